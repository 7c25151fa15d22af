"""What a released model is worth, as plain sentences and metrics from its bundle. Pure.

The model's own limits are the bundle's sentences, in English; what follows from its metrics is said here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from diagnosis_tool.cxr.bundle import BundleMetadata, EvaluationRecord, Interval, OperatingPoint
from diagnosis_tool.cxr.findings import OutputKind, anatomical_rank
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import ngettext

_CHANCE: Final = 0.5
"""AUC of a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFacts:
    """What is known of one output. None where it was not measured.

    point: by Youden's criterion, what 'above its operating point' means. screening: the one that keeps nine of ten.
    pointing, pointing_blind, boxes: heatmaps against readers' boxes, as in cxr.bundle.Localisation.
    """

    name: str
    auc: Interval | None
    point: OperatingPoint | None
    screening: OperatingPoint | None
    pointing: float | None
    pointing_blind: float | None
    boxes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A row of a chart of metrics between 0 and 1: the metric, its interval, and what it is held against."""

    label: str
    value: float | None
    interval: Interval | None
    other: float | None


def headline(metadata: BundleMetadata) -> EvaluationRecord | None:
    """The metrics to show: on test images, else on others; None where nothing was measured."""
    return min(metadata.evaluations, key=lambda e: e.split != "test", default=None)


def output_facts(metadata: BundleMetadata) -> tuple[OutputFacts, ...]:
    """All outputs, those that say 'nothing found' first, then the findings in anatomical order."""
    outputs = sorted(metadata.outputs, key=lambda o: (o.kind is OutputKind.FINDING, anatomical_rank(o.name)))
    return tuple(_facts(metadata, output.name) for output in outputs)


def _facts(metadata: BundleMetadata, name: str) -> OutputFacts:
    evaluation = headline(metadata)
    where = evaluation.localisation if evaluation else None
    points = {p.criterion: p for p in metadata.operating_points if p.output == name}
    return OutputFacts(
        name=name,
        auc=evaluation.auc.get(name) if evaluation else None,
        point=points.get("youden"),
        screening=points.get("sensitivity_90"),
        pointing=where.pointing.get(name) if where else None,
        pointing_blind=where.pointing_blind.get(name) if where else None,
        boxes=where.boxes.get(name) if where else None,
    )


def auc_dots(facts: Sequence[OutputFacts]) -> tuple[Dot, ...]:
    """AUC with its interval."""
    return tuple(_dot(f, f.auc, None) for f in facts)


def point_dots(facts: Sequence[OutputFacts]) -> tuple[Dot, ...]:
    """Sensitivity with its interval at the operating point, held against specificity there."""
    return tuple(
        _dot(f, f.point.sensitivity if f.point else None, f.point.specificity.value if f.point else None) for f in facts
    )


def pointing_dots(facts: Sequence[OutputFacts]) -> tuple[Dot, ...]:
    """Pointing accuracy held against the prior that never looks; only what was judged."""
    return tuple(
        Dot(label=wording.finding_name(f.name), value=f.pointing, interval=None, other=f.pointing_blind)
        for f in facts
        if f.pointing is not None
    )


def _dot(facts: OutputFacts, metric: Interval | None, other: float | None) -> Dot:
    value = metric.value if metric else None
    return Dot(label=wording.finding_name(facts.name), value=value, interval=metric, other=other)


def judged_sentence(metadata: BundleMetadata) -> str:
    """On which images the metrics were taken, and what that says of them."""
    evaluation = headline(metadata)
    if evaluation is None:
        return _("Nothing was measured: its answers may mean nothing at all.")
    images = ngettext("%(n)s image", "%(n)s images", evaluation.images)
    patients = ngettext("%(n)s patient", "%(n)s patients", evaluation.patients)
    of = {"images": images, "patients": patients, "data": evaluation.dataset, "split": evaluation.split}
    if evaluation.split == "test":
        return _(
            "Measured on %(images)s of %(patients)s (%(data)s, %(split)s). No weight, calibration or threshold was "
            "chosen on them. Intervals: 95%%, by patient.",
            **of,
        )
    return _(
        "Measured on %(images)s of %(patients)s (%(data)s, %(split)s), on which the model was also tuned: the figures "
        "flatter. Intervals: 95%%, by patient.",
        **of,
    )


def worth_sentence(metadata: BundleMetadata) -> str:
    """The mean AUC with its interval; empty where nothing was measured."""
    evaluation = headline(metadata)
    if evaluation is None:
        return ""
    return _(
        "Mean AUC of the findings: %(auc)s. 1 would be perfect, 0.5 is a guess.",
        auc=wording.interval(evaluation.mean_auc),
    )


def calibration_sentence(metadata: BundleMetadata) -> str:
    """How far the probabilities can be taken at their word."""
    fitted = _("Probabilities are calibrated (%(method)s) on %(data)s.", method=metadata.calibration.method,
               data=metadata.calibration.fitted_on)  # fmt: skip
    evaluation = headline(metadata)
    if evaluation is None:
        return fitted
    error = _(
        "A stated probability is off by %(ece)s on average (expected calibration error). Where findings are more or "
        "less frequent than there, it is off by more.",
        ece=f"{evaluation.mean_ece:.3f}",
    )
    return f"{fitted} {error}"


def weaknesses(metadata: BundleMetadata) -> tuple[str, ...]:
    """What its own metrics hold against it."""
    facts = output_facts(metadata)
    guesses = [f for f in facts if f.auc is not None and f.auc.low <= _CHANCE]
    unmeasured = [f for f in facts if f.auc is None]
    blind = [f for f in facts if f.pointing is not None and f.pointing <= (f.pointing_blind or 0)]
    said = []
    if guesses:
        said.append(_("It may be no better than a guess at: %(findings)s.", findings=_names(guesses)))
    if unmeasured and headline(metadata) is not None:
        said.append(_("Never measured: %(findings)s.", findings=_names(unmeasured)))
    if blind:
        said.append(
            _(
                "Its heatmaps point no better than a guess that never looks at the image, at: %(findings)s.",
                findings=_names(blind),
            )
        )
    return tuple(said)


def _names(facts: Sequence[OutputFacts]) -> str:
    return ", ".join(wording.finding_name(f.name) for f in facts)


def one_line(metadata: BundleMetadata) -> str:
    """The model in a line, for the foot of a report."""
    name = f"{metadata.name}-{metadata.version}"
    evaluation = headline(metadata)
    if evaluation is None:
        return _("Model %(name)s: never measured.", name=name)
    return _(
        "Model %(name)s: mean AUC %(auc)s on %(data)s (%(split)s).",
        name=name,
        auc=wording.interval(evaluation.mean_auc),
        data=evaluation.dataset,
        split=evaluation.split,
    )
