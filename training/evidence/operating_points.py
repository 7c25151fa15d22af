"""What the operating points are worth on images that they were not chosen on, beside always answering no."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diagnosis_tool.cxr.bundle import Interval, OperatingPoint
from training.evaluate.metrics import mean_defined, patient_weights, share
from training.evaluate.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMetrics:
    """One operating point of one finding. Shares are None where there is nothing to divide by."""

    criterion: str
    threshold: float
    accuracy: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingPoints:
    """One finding. all_negative: the accuracy of always answering no."""

    finding: str
    positives: int
    all_negative: float
    points: tuple[PointMetrics, ...]

    def at(self, criterion: str) -> PointMetrics | None:
        """The point of this criterion, None where the bundle has none."""
        return next((point for point in self.points if point.criterion == criterion), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsOnTest:
    """mean_accuracy: over the findings that have a point of the criterion; mean_all_negative: over all findings."""

    findings: tuple[FindingPoints, ...]
    mean_accuracy: dict[str, float | None]
    mean_all_negative: float


def points_on_test(predictions: Predictions, points: Sequence[OperatingPoint]) -> PointsOnTest:
    """points: the bundle's."""
    weights_RN = patient_weights(predictions.patients)
    findings = []
    for k in predictions.findings:
        scores_N, positive_N = predictions.scores_NK[:, k], predictions.labels_NK[:, k] > 0
        everyone_N = np.ones_like(positive_N)
        measured = []
        for point in points:
            if point.output == predictions.names[k]:
                right_N = (scores_N >= point.threshold) == positive_N
                accuracy, sensitivity, specificity = (
                    share(right_N, among_N, weights_RN) for among_N in (everyone_N, positive_N, ~positive_N)
                )
                measured.append(
                    PointMetrics(
                        criterion=point.criterion,
                        threshold=point.threshold,
                        accuracy=accuracy,
                        sensitivity=sensitivity,
                        specificity=specificity,
                    )
                )
        findings.append(
            FindingPoints(
                finding=predictions.names[k],
                positives=int(positive_N.sum()),
                all_negative=float(1 - positive_N.mean()),
                points=tuple(measured),
            )
        )
    return PointsOnTest(
        findings=tuple(findings),
        mean_accuracy={name: _mean_accuracy(findings, name) for name in dict.fromkeys(p.criterion for p in points)},
        mean_all_negative=float(np.mean([one.all_negative for one in findings])),
    )


def _mean_accuracy(findings: Sequence[FindingPoints], criterion: str) -> float | None:
    found = [point.accuracy for one in findings if (point := one.at(criterion))]
    return mean_defined([accuracy.value if accuracy else None for accuracy in found])
