"""What the operating points are worth on images that they were not chosen on, beside always answering no."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diagnosis_tool.cxr.bundle import Interval, OperatingPoint
from training.evaluate.metrics import Array, mean_defined, share_replicates
from training.evidence.estimates import estimate, weights_of
from training.evidence.said import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPoint:
    """One operating point of one finding. Shares are None where there is nothing to divide by."""

    criterion: str
    threshold: float
    accuracy: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One finding. all_negative: the accuracy of always answering no."""

    finding: str
    positives: int
    all_negative: float
    points: tuple[AtPoint, ...]

    def at(self, criterion: str) -> AtPoint | None:
        """The point of this criterion, None where the bundle has none."""
        return next((point for point in self.points if point.criterion == criterion), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """mean_accuracy: over the findings that have a point of the criterion; mean_all_negative: over all findings."""

    findings: tuple[Answer, ...]
    mean_accuracy: dict[str, float | None]
    mean_all_negative: float


def answers_of(said: Said, points: Sequence[OperatingPoint]) -> Answers:
    """points: the bundle's."""
    weights_RN = weights_of(said.patients).astype(np.float64)
    findings = []
    for k, finding in enumerate(said.findings):
        own = [point for point in points if point.output == finding]
        findings.append(
            Answer(
                finding=finding,
                positives=int(said.labels_NK[:, k].sum()),
                all_negative=float(1 - said.labels_NK[:, k].mean()),
                points=tuple(_at(point, said, k, weights_RN) for point in own),
            )
        )
    criteria = dict.fromkeys(point.criterion for point in points)
    return Answers(
        findings=tuple(findings),
        mean_accuracy={name: mean_defined([_accuracy(answer, name) for answer in findings]) for name in criteria},
        mean_all_negative=float(np.mean([answer.all_negative for answer in findings])),
    )


def _at(point: OperatingPoint, said: Said, k: int, weights_RN: Array) -> AtPoint:
    called_n, positive_n = said.probabilities_NK[:, k] >= point.threshold, said.labels_NK[:, k] > 0

    def share(right: bool | None) -> Interval | None:
        among_n = np.ones_like(positive_n) if right is None else positive_n == right
        hit_n = called_n == positive_n
        value = float(hit_n[among_n].mean()) if among_n.any() else None
        return estimate(value, share_replicates(hit_n, among_n, weights_RN))

    return AtPoint(
        criterion=point.criterion,
        threshold=point.threshold,
        accuracy=share(None),
        sensitivity=share(True),
        specificity=share(False),
    )


def _accuracy(answer: Answer, criterion: str) -> float | None:
    point = answer.at(criterion)
    return point.accuracy.value if point and point.accuracy else None
