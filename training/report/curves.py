"""Curves and counts of one output, from scores and labels alone. numpy only; tested against scikit-learn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluate.metrics import BINS, Array, Labels

_CHUNK = 50  # bootstrap replicates that are worked on at once: 10 MB at 25,000 images


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """Points from (0, 0) to (1, 1). Calling positive at or above thresholds_P[p] gives point p; the first is inf.

    best: the point of the largest Youden's J, of equals the one with the lowest threshold.
    """

    false_positive_P: Array
    true_positive_P: Array
    thresholds_P: Array
    best: int

    @property
    def youden(self) -> float:
        """The largest sensitivity + specificity - 1."""
        return float(self.true_positive_P[self.best] - self.false_positive_P[self.best])


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecall:
    """Precision and recall at every threshold, falling thresholds, so recall rises."""

    precision_P: Array
    recall_P: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Bins of equal mass: mean stated probability, observed share of positives, number of images."""

    stated_B: Array
    observed_B: Array
    count_B: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of one output, or of one class against the others. Shares are None where nothing can be divided."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def count(self) -> int:
        """All images."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def sensitivity(self) -> float | None:
        """Share of the positives that were called; also named recall."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float | None:
        """Share of the negatives that were not called."""
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def precision(self) -> float | None:
        """Share of the called that are positive."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def youden(self) -> float | None:
        """Youden's J, sensitivity + specificity - 1."""
        sensitivity, specificity = self.sensitivity, self.specificity
        return None if sensitivity is None or specificity is None else sensitivity + specificity - 1

    @property
    def accuracy(self) -> float | None:
        """Share of right answers."""
        return _share(self.true_positive + self.true_negative, self.count)

    @property
    def turned(self) -> "Confusion":
        """The same answers with 'negative' as the class that is looked for."""
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


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def roc(scores_N: Array, labels_N: Labels) -> Roc | None:
    """The ROC curve, one point a distinct score. None without positives or without negatives."""
    found = _cumulated(scores_N, labels_N)
    if found is None:
        return None
    thresholds_P, true_P, all_P = found
    false_P = all_P - true_P
    if true_P[-1] == 0 or false_P[-1] == 0:
        return None
    sensitivity_P = np.concatenate([[0.0], true_P / true_P[-1]])
    fall_out_P = np.concatenate([[0.0], false_P / false_P[-1]])
    j_P = sensitivity_P - fall_out_P
    return Roc(
        false_positive_P=fall_out_P,
        true_positive_P=sensitivity_P,
        thresholds_P=np.concatenate([[np.inf], thresholds_P]),
        best=len(j_P) - 1 - int(np.argmax(j_P[::-1])),
    )


def precision_recall(scores_N: Array, labels_N: Labels) -> PrecisionRecall | None:
    """The precision-recall curve, one point a distinct score. None without positives."""
    found = _cumulated(scores_N, labels_N)
    if found is None or found[1][-1] == 0:
        return None
    _, true_P, all_P = found
    return PrecisionRecall(precision_P=true_P / all_P, recall_P=true_P / true_P[-1])


def _cumulated(scores_N: Array, labels_N: Labels) -> tuple[Array, Array, Array] | None:
    """Falling distinct scores; positives, and images, at or above each. None for no images."""
    if len(scores_N) == 0:
        return None
    order = np.argsort(-scores_N, kind="stable")
    falling = scores_N[order]
    last = np.flatnonzero(np.concatenate([np.diff(falling) != 0, [True]]))
    return falling[last], np.cumsum(labels_N[order].astype(np.float64))[last], (last + 1).astype(np.float64)


def reliability(probabilities_N: Array, labels_N: Labels, bins: int = BINS) -> Reliability | None:
    """The bins of training.evaluate.metrics.expected_calibration_error. None for no images."""
    if len(probabilities_N) == 0:
        return None
    order = np.argsort(probabilities_N, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return Reliability(
        stated_B=np.array([probabilities_N[part].mean() for part in parts]),
        observed_B=np.array([labels_N[part].mean() for part in parts]),
        count_B=np.array([len(part) for part in parts]),
    )


def confusion(called_N: NDArray[np.bool_], labels_N: Labels) -> Confusion:
    """Counts of what was called positive against the labels."""
    positive_N = labels_N > 0
    return Confusion(
        true_positive=int((called_N & positive_N).sum()),
        false_positive=int((called_N & ~positive_N).sum()),
        false_negative=int((~called_N & positive_N).sum()),
        true_negative=int((~called_N & ~positive_N).sum()),
    )


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


def class_matrix(probabilities_NK: Array, labels_NK: Labels) -> NDArray[np.int64]:
    """(K, K) images of exclusive classes: row the labelled class, column the most probable one."""
    count = probabilities_NK.shape[1]
    pairs_N = labels_NK.argmax(axis=1) * count + probabilities_NK.argmax(axis=1)
    return np.bincount(pairs_N, minlength=count * count).reshape(count, count)


def average_precision_replicates(scores_NK: Array, labels_NK: Labels, weights_RN: NDArray[np.uint8]) -> Array:
    """(R, K) average precision of every bootstrap replicate; NaN where a replicate has no positives."""
    result = np.full((len(weights_RN), scores_NK.shape[1]), np.nan)
    for k in range(scores_NK.shape[1]):
        order = np.argsort(-scores_NK[:, k], kind="stable")
        last = np.flatnonzero(np.concatenate([np.diff(scores_NK[order, k]) != 0, [True]]))
        labels_N = labels_NK[order, k]
        for start in range(0, len(weights_RN), _CHUNK):
            weights_rN = weights_RN[start : start + _CHUNK, order].astype(np.float64)
            true_rP = np.cumsum(weights_rN * labels_N, axis=1)[:, last]
            all_rP = np.cumsum(weights_rN, axis=1)[:, last]
            gained_rP = np.diff(true_rP, axis=1, prepend=0.0)
            area_r = (gained_rP * true_rP / np.maximum(all_rP, 1)).sum(axis=1)
            total_r = true_rP[:, -1]
            result[start : start + _CHUNK, k] = np.where(total_r > 0, area_r / np.maximum(total_r, 1), np.nan)
    return result


def share_replicates(hit_NK: NDArray[np.bool_], weights_RN: NDArray[np.uint8]) -> Array:
    """(R, K) share of hits in every bootstrap replicate."""
    parts = [
        weights_RN[start : start + _CHUNK].astype(np.float64) @ hit_NK.astype(np.float64)
        for start in range(0, len(weights_RN), _CHUNK)
    ]
    return np.asarray(np.concatenate(parts) / np.maximum(weights_RN.sum(axis=1, dtype=np.float64), 1)[:, None])


def thinned(x_P: Array, y_P: Array, limit: int) -> tuple[Array, Array]:
    """At most about `limit` points of a curve for drawing: corners of straight runs first, then evenly along it."""
    if len(x_P) > 2:
        turn = np.diff(x_P[:-1]) * np.diff(y_P[1:]) != np.diff(x_P[1:]) * np.diff(y_P[:-1])
        kept = np.concatenate([[True], turn, [True]])
        x_P, y_P = x_P[kept], y_P[kept]
    if len(x_P) <= limit:
        return x_P, y_P
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x_P)) + np.abs(np.diff(y_P)))])
    chosen = np.unique(np.searchsorted(along, np.linspace(0, along[-1], limit)).clip(0, len(x_P) - 1))
    return x_P[chosen], y_P[chosen]
