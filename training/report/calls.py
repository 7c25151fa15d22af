"""What calling findings positive by a rule is worth: counts, shares, and the guesses that never look at an image."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.calibration import Activation
from training.calibrate.fit import youden_threshold
from training.evaluate.metrics import (
    Array,
    Labels,
    mean_defined,
    mean_with_interval,
    patient_weights,
    share,
    share_replicates,
    with_interval,
)
from training.evaluate.predictions import Predictions

FITTED_HERE: Final = "these images"
"""Where an operating point comes from that was chosen on the very images it is judged on."""


class Rule(StrEnum):
    """How probabilities become calls."""

    OPERATING_POINT = "at the operating point"
    HALF = "at 0.5"
    ARGMAX = "most probable class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of one output, or of one class against the others. Shares are None where nothing can be divided."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the positives that were called; also named recall."""
        return _part(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float | None:
        """Share of the negatives that were not called."""
        return _part(self.true_negative, self.true_negative + self.false_positive)

    @property
    def precision(self) -> float | None:
        """Share of the called that are positive."""
        return _part(self.true_positive, self.true_positive + self.false_positive)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return _part(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def youden(self) -> float | None:
        """Youden's J, sensitivity + specificity - 1."""
        sensitivity, specificity = self.sensitivity, self.specificity
        return None if sensitivity is None or specificity is None else sensitivity + specificity - 1

    @property
    def turned(self) -> "Confusion":
        """The same calls with 'negative' as the class that is looked for."""
        return Confusion(
            true_positive=self.true_negative,
            false_positive=self.false_negative,
            false_negative=self.false_positive,
            true_negative=self.true_positive,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Precision, recall and F1, averaged over classes by their number of positives."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMetrics:
    """One rule applied to all images. Means are over the findings with positives; for exclusive classes over classes.

    confusions, accuracies: of the outputs that have positives and can be called. mean_accuracy_all_negative: what
    mean_accuracy would be for never calling. accuracy: of whole images, for binary and exclusive tasks.
    """

    rule: Rule
    confusions: dict[str, Confusion]
    accuracies: dict[str, Interval | None]
    accuracy: Interval | None
    mean_accuracy: Interval | None
    mean_accuracy_all_negative: float | None
    weighted: Weighted | None


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def confusion(called_N: NDArray[np.bool_], labels_N: Labels) -> Confusion:
    """Counts of what was called positive against the labels."""
    positive_N = labels_N > 0
    return Confusion(
        true_positive=int((called_N & positive_N).sum()),
        false_positive=int((called_N & ~positive_N).sum()),
        false_negative=int((~called_N & positive_N).sum()),
        true_negative=int((~called_N & ~positive_N).sum()),
    )


def best_confusion(scores_N: Array, labels_N: Labels) -> Confusion:
    """The counts at the largest Youden's J of these very images."""
    return confusion(scores_N >= youden_threshold(scores_N, labels_N), labels_N)


def weighted(confusions: list[Confusion]) -> Weighted | None:
    """Averages by the number of positives; a class that was never called has precision 0, as usual for this average.

    None when there is no positive at all.
    """
    support = np.array([c.true_positive + c.false_negative for c in confusions], dtype=np.float64)
    if support.sum() == 0:
        return None

    def mean(values: list[float | None]) -> float:
        return float(np.average([value or 0.0 for value in values], weights=support))

    return Weighted(
        precision=mean([c.precision for c in confusions]),
        recall=mean([c.sensitivity for c in confusions]),
        f1=mean([c.f1 for c in confusions]),
    )


def class_matrix(predictions: Predictions) -> NDArray[np.int64] | None:
    """(K, K) images of exclusive classes: row the labelled class, column the most probable one; None for others."""
    if predictions.activation is not Activation.SOFTMAX:
        return None
    count = len(predictions.outputs)
    pairs_N = predictions.labels_NK.argmax(axis=1) * count + predictions.scores_NK.argmax(axis=1)
    return np.bincount(pairs_N, minlength=count * count).reshape(count, count)


def best_constant_accuracy(predictions: Predictions) -> float | None:
    """The accuracy of the best answer that never looks at an image, for binary and exclusive tasks."""
    shares_K = predictions.labels_NK.mean(axis=0)
    if predictions.activation is Activation.SOFTMAX:
        return float(shares_K.max())
    return float(max(shares_K[0], 1 - shares_K[0])) if len(shares_K) == 1 else None


def with_points(predictions: Predictions) -> Predictions:
    """The predictions with their own operating points; with Youden's on these very images where they have none."""
    if predictions.thresholds_from:
        return predictions
    columns = zip(predictions.scores_NK.T, predictions.labels_NK.T, strict=True)
    return replace(
        predictions,
        thresholds_K=np.array(
            [
                youden_threshold(scores, labels) if 0 < labels.sum() < len(labels) else np.nan
                for scores, labels in columns
            ]
        ),
        thresholds_from=FITTED_HERE,
    )


def judge_calls(predictions: Predictions, *, half: bool = False) -> CallMetrics:
    """By the rule that the tool uses, or by probability 0.5."""
    scores_NK, labels_NK, names = predictions.scores_NK, predictions.labels_NK, predictions.names
    exclusive = predictions.activation is Activation.SOFTMAX and not half
    rule = Rule.ARGMAX if exclusive else Rule.HALF if half else Rule.OPERATING_POINT
    thresholds_K = np.full(len(names), 0.5) if half else predictions.thresholds_K
    called_NK = scores_NK >= thresholds_K
    if exclusive:
        called_NK = scores_NK.argmax(axis=1)[:, None] == np.arange(len(names))
    right_NK = called_NK == (labels_NK > 0)
    judged = [k for k in range(len(names)) if labels_NK[:, k].any() and (exclusive or np.isfinite(thresholds_K[k]))]
    weights_RN, everyone_N = patient_weights(predictions.patients), np.ones(len(labels_NK), dtype=np.bool_)
    share_RK = np.stack([share_replicates(right_NK[:, k], everyone_N, weights_RN) for k in range(len(names))], axis=1)
    confusions = {names[k]: confusion(called_NK[:, k], labels_NK[:, k]) for k in judged}
    used = [k for k in judged if exclusive or k in predictions.findings]
    counted = [confusions[names[k]] for k in used]
    right_K = right_NK.mean(axis=0).tolist()
    whole = used and (exclusive or len(names) == 1)
    return CallMetrics(
        rule=rule,
        confusions=confusions,
        accuracies={names[k]: with_interval(right_K[k], share_RK[:, k]) for k in judged},
        accuracy=share(right_NK.all(axis=1), everyone_N, weights_RN) if whole else None,
        mean_accuracy=mean_with_interval([right_K[k] for k in used], share_RK[:, used]),
        mean_accuracy_all_negative=mean_defined([float(1 - labels_NK[:, k].mean()) for k in used]),
        # a binary task has two classes: positive and negative both count
        weighted=weighted([*counted, *(c.turned for c in counted)] if len(names) == 1 else counted),
    )
