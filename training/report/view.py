"""What the page shows, arranged: runs by data set, the best of a comparable column, published figures beside ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.nih import subset_note
from training.report.judged import Judged
from training.report.published import Published, published_on

_METRICS = {
    "mean_auc": "mean AUC",
    "mean_accuracy": "mean accuracy of the findings",
    "accuracy": "accuracy",
    "f1": "F1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A figure in a comparison; best: the highest of the runs that read the same images."""

    value: float | None
    best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the AUC table: one cell a finding, the mean last. theirs: published, not ours."""

    title: str
    remark: str
    values: tuple[Cell, ...]
    theirs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A published figure and ours in words, with what differs in the data."""

    title: str
    metric: str
    value: float
    ours: tuple[str, ...]
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All runs on one data set that answer the same outputs. names: the outputs."""

    dataset: str
    names: tuple[str, ...]
    runs: tuple[Judged, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """The outputs that are findings."""
        return tuple(f.name for f in self.runs[0].findings if f.kind is OutputKind.FINDING)


def groups(runs: Sequence[Judged]) -> tuple[Group, ...]:
    """The runs by data set and outputs, in the order in which each first appears."""
    found: dict[tuple[str, tuple[str, ...]], list[Judged]] = {}
    for judged in runs:
        found.setdefault((judged.run.dataset, judged.names), []).append(judged)
    return tuple(Group(dataset=key[0], names=key[1], runs=tuple(members)) for key, members in found.items())


def auc_rows(group: Group) -> tuple[Row, ...]:
    """Ours with the best marked, then what others published on the data set and its findings."""
    values = [[*(f.auc.value if f.auc else None for f in j.findings), j.mean_auc.value if j.mean_auc else None]
              for j in group.runs]  # fmt: skip
    ours = [
        Row(
            title=judged.run.title,
            remark=judged.run.split,
            values=tuple(Cell(value=v, best=_is_best(group.runs, values, i, k)) for k, v in enumerate(values[i])),
        )
        for i, judged in enumerate(group.runs)
    ]
    theirs = [
        Row(
            title=system.title,
            remark="published",
            values=(
                *(Cell(value=system.auc.get(name)) for name in group.names),
                Cell(value=system.mean_auc_of(group.findings)),
            ),
            theirs=True,
        )
        for system in _with_table(group)
    ]
    return (*ours, *theirs)


def _is_best(runs: Sequence[Judged], values: list[list[float | None]], i: int, k: int) -> bool:
    rivals = [values[j][k] for j, judged in enumerate(runs) if _images(judged) == _images(runs[i])]
    known = [value for value in rivals if value is not None]
    return len(known) > 1 and values[i][k] == max(known)


def _images(judged: Judged) -> tuple[str, object]:
    """Equal for runs that were judged on the same images, as far as the files can tell."""
    said = judged.run.predictions
    return judged.run.split, frozenset(said.images) if said else judged.images


def what_differs(group: Group) -> tuple[str, ...]:
    """A sentence for each way in which the data behind the published rows of the AUC table differ."""
    by_text: dict[str, list[str]] = {}
    for system in _with_table(group):
        by_text.setdefault(system.differs, []).append(system.title)
    return tuple(f"{'; '.join(titles)}. {text}" for text, titles in by_text.items())


def on_a_subset(group: Group) -> tuple[str, ...]:
    """The sentence that must stand beside figures on a part of NIH's test list, if any run here has such."""
    notes = {subset_note(group.dataset, judged.images) for judged in group.runs}
    return tuple(note for note in notes if note)


def _with_table(group: Group) -> list[Published]:
    return [system for system in published_on(group.dataset) if set(system.auc) & set(group.names)]


def beside(group: Group) -> tuple[Beside, ...]:
    """Published figures with ours of the same kind: mean AUC where a run repeats the recipe, all others always."""
    found = []
    for system in published_on(group.dataset):
        same = [judged for judged in group.runs if system.recipe and judged.run.recipe == system.recipe]
        mean = system.mean_auc_stated
        if mean is None:
            mean = system.mean_auc_of(group.findings)
        figures = {"mean_auc": mean, **system.metrics} if same and mean is not None else system.metrics
        for metric, value in figures.items():
            ours = [text for judged in same or group.runs if (text := _OURS[metric](judged))]
            found.append(
                Beside(
                    title=system.title, metric=_METRICS[metric], value=value, ours=tuple(ours), differs=system.differs
                )
            )
    return tuple(found)


def _mean_auc(judged: Judged) -> str:
    return f"{judged.run.title}: {judged.mean_auc.value:.3f}, {_where(judged)}" if judged.mean_auc else ""


def _mean_accuracy(judged: Judged) -> str:
    half = judged.at_half
    if half is None or half.mean_accuracy is None or half.all_negative is None:
        return ""
    guess = f"all-negative guess {half.all_negative:.3f}"
    return f"{judged.run.title}: {half.mean_accuracy.value:.3f} at 0.5, {guess}, {_where(judged)}"


def _accuracy(judged: Judged) -> str:
    used = judged.at_half or judged.answers
    if used is None or used.accuracy is None or judged.constant is None:
        return ""
    guess = f"best constant answer {judged.constant:.3f}"
    return f"{judged.run.title}: {used.accuracy.value:.3f} {used.rule}, {guess}, {_where(judged)}"


def _f1(judged: Judged) -> str:
    used = judged.at_half or judged.answers
    if used is None or used.weighted is None:
        return ""
    own = used.confusions_K[0].f1 if judged.activation is Activation.SIGMOID and used.confusions_K[0] else None
    of_positives = "" if own is None else f" ({own:.3f} of the positives)"
    return f"{judged.run.title}: {used.weighted.f1:.3f} weighted{of_positives} {used.rule}, {_where(judged)}"


def _where(judged: Judged) -> str:
    return judged.run.split if judged.images is None else f"{judged.images:,} images, {judged.run.split}"


_OURS: dict[str, Callable[[Judged], str]] = {
    "mean_auc": _mean_auc,
    "mean_accuracy": _mean_accuracy,
    "accuracy": _accuracy,
    "f1": _f1,
}
