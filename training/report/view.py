"""What the page shows, arranged: runs by data set, the best of a comparable column, published metrics beside ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from diagnosis_tool.cxr.bundle import Interval
from training.datasets.nih import subset_note
from training.report.calls import best_constant_accuracy
from training.report.published import Published, differences, published_on
from training.report.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class AucRow:
    """A line of the AUC table: one value a finding, the mean last. theirs: published, not ours.

    best: where it is the highest of the runs that read the same images.
    """

    title: str
    remark: str
    values: tuple[float | None, ...]
    best: tuple[bool, ...]
    theirs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A published metric and ours in words, with what differs in the data."""

    title: str
    metric: str
    value: float
    ours: tuple[str, ...]
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """All runs on one data set that answer the same outputs. names: the outputs."""

    dataset: str
    names: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """The outputs that are findings."""
        return self.runs[0].evaluation.findings


def comparable(runs: Sequence[Run]) -> tuple[Comparable, ...]:
    """The runs by data set and outputs, in the order in which each first appears."""
    found: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        found.setdefault((run.evaluation.dataset, run.names), []).append(run)
    return tuple(Comparable(dataset=key[0], names=key[1], runs=tuple(members)) for key, members in found.items())


def auc_rows(group: Comparable) -> tuple[AucRow, ...]:
    """Ours with the best marked, then what others published on the data set and its findings."""
    ours = [[_value(run.evaluation.auc.get(name)) for name in group.names] + [_value(run.evaluation.mean_auc)]
            for run in group.runs]  # fmt: skip
    rows = []
    for run, values in zip(group.runs, ours, strict=True):
        rivals = [theirs for other, theirs in zip(group.runs, ours, strict=True) if _images(other) == _images(run)]
        known = [[value for value in column if value is not None] for column in zip(*rivals, strict=True)]
        best = tuple(len(k) > 1 and value == max(k) for k, value in zip(known, values, strict=True))
        rows.append(AucRow(title=run.title, remark=run.evaluation.split, values=tuple(values), best=best))
    for system in _with_table(group):
        published = (*(system.auc.get(name) for name in group.names), system.mean_auc_of(group.findings))
        none = (False,) * len(published)
        rows.append(AucRow(title=system.title, remark="published", values=published, best=none, theirs=True))
    return tuple(rows)


def _value(interval: Interval | None) -> float | None:
    return interval.value if interval else None


def _images(run: Run) -> tuple[str, object]:
    """Equal for runs that were judged on the same images, as far as the files can tell."""
    return run.evaluation.split, frozenset(run.predictions.images) if run.predictions else run.evaluation.images


def what_differs(group: Comparable) -> tuple[str, ...]:
    """A sentence for each way in which the data behind the published rows of the AUC table differ."""
    return tuple(f"{'; '.join(titles)}. {text}" for text, titles in differences(_with_table(group)).items())


def on_a_subset(group: Comparable) -> tuple[str, ...]:
    """The sentence that must stand beside metrics on a part of NIH's test list, if any run here has such."""
    notes = {subset_note(group.dataset, run.evaluation.images) for run in group.runs}
    return tuple(note for note in notes if note)


def _with_table(group: Comparable) -> list[Published]:
    return [system for system in published_on(group.dataset) if set(system.auc) & set(group.names)]


def beside(group: Comparable) -> tuple[Beside, ...]:
    """Published metrics with ours of the same kind: mean AUC where a run repeats the recipe, all others always."""
    found = []
    for system in published_on(group.dataset):
        same = [run for run in group.runs if system.recipe and run.recipe == system.recipe]
        mean = system.mean_auc_stated
        if mean is None:
            mean = system.mean_auc_of(group.findings)
        metrics = {"mean_auc": mean, **system.metrics} if same and mean is not None else system.metrics
        for metric, value in metrics.items():
            name, in_words = _METRICS[metric]
            ours = tuple(f"{run.title}: {text}, {_where(run)}" for run in same or group.runs if (text := in_words(run)))
            found.append(Beside(title=system.title, metric=name, value=value, ours=ours, differs=system.differs))
    return tuple(found)


def _mean_auc(run: Run) -> str:
    mean = run.evaluation.mean_auc
    return f"{mean.value:.3f}" if mean else ""


def _mean_accuracy(run: Run) -> str:
    half = run.at_half
    if half is None or half.mean_accuracy is None or half.mean_accuracy_all_negative is None:
        return ""
    return f"{half.mean_accuracy.value:.3f} at 0.5, all-negative guess {half.mean_accuracy_all_negative:.3f}"


def _accuracy(run: Run) -> str:
    calls = run.at_half or run.calls
    constant = best_constant_accuracy(run.predictions) if run.predictions else None
    if calls is None or calls.accuracy is None or constant is None:
        return ""
    return f"{calls.accuracy.value:.3f} {calls.rule}, best constant answer {constant:.3f}"


def _f1(run: Run) -> str:
    calls = run.at_half or run.calls
    if calls is None or calls.weighted is None:
        return ""
    first = None if run.exclusive else calls.confusions.get(run.names[0])
    of_positives = f" ({first.f1:.3f} of the positives)" if first and first.f1 is not None else ""
    return f"{calls.weighted.f1:.3f} weighted{of_positives} {calls.rule}"


def _where(run: Run) -> str:
    images, split = run.evaluation.images, run.evaluation.split
    return split if images is None else f"{images:,} images, {split}"


_METRICS: Final[dict[str, tuple[str, Callable[[Run], str]]]] = {
    "mean_auc": ("mean AUC", _mean_auc),
    "mean_accuracy": ("mean accuracy of the findings", _mean_accuracy),
    "accuracy": ("accuracy", _accuracy),
    "f1": ("F1", _f1),
}
"""By the name in published.csv: what it is called, and ours in words, '' where it cannot be given."""
