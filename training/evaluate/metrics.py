"""Figures on scores and labels, each for one output, with patient-bootstrap intervals. numpy only."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]

BINS = 15
"""Equal-mass bins of the expected calibration error."""
REPLICATES = 1000
"""Bootstrap replicates behind a 95% interval."""


def auc(scores_N: Array, labels_N: Labels, weights_N: Array | None = None) -> float | None:
    """Area under the ROC curve; ties count half. None without positives or without negatives (of weight > 0).

    weights_N: how often each image counts, for the bootstrap.
    """
    order = np.argsort(scores_N, kind="stable")
    return _auc_sorted(
        *_sorted(scores_N, labels_N, order), np.ones(len(order)) if weights_N is None else weights_N[order]
    )


def _sorted(scores_N: Array, labels_N: Labels, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], Labels]:
    """Starts of the groups of equal scores, and the labels, both in ascending order of the scores."""
    ascending = scores_N[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(ascending) > 0])) if len(ascending) else np.array([], int)
    return starts, labels_N[order]


def _auc_sorted(starts: NDArray[np.int64], labels_N: Labels, weights_N: Array) -> float | None:
    positive_G = np.add.reduceat(weights_N * labels_N, starts) if len(starts) else np.zeros(0)
    negative_G = np.add.reduceat(weights_N * (1 - labels_N.astype(np.float64)), starts) if len(starts) else np.zeros(0)
    pairs = positive_G.sum() * negative_G.sum()
    if pairs == 0:
        return None
    below_G = np.cumsum(negative_G) - negative_G
    return float((positive_G * (below_G + negative_G / 2)).sum() / pairs)


def average_precision(scores_N: Array, labels_N: Labels) -> float | None:
    """Area under the precision-recall curve by steps (average precision). None without positives."""
    order = np.argsort(-scores_N, kind="stable")
    hits = np.cumsum(labels_N[order].astype(np.float64))
    if len(hits) == 0 or hits[-1] == 0:
        return None
    # images of equal score share one threshold: take each group's last place
    last = np.flatnonzero(np.concatenate([np.diff(scores_N[order]) != 0, [True]]))
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * hits[last] / (last + 1)).sum())


def expected_calibration_error(probabilities_N: Array, labels_N: Labels, bins: int = BINS) -> float | None:
    """Mean distance of stated probability and observed share over `bins` bins of equal mass. None for no images.

    Source: Naeini et al. 2015, with equal-mass bins as in Nguyen and O'Connor 2015.
    """
    if len(probabilities_N) == 0:
        return None
    order = np.argsort(probabilities_N, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(probabilities_N[part].mean() - labels_N[part].mean()) for part in parts]
    return float(sum(gaps) / len(probabilities_N))


def patient_weights(patients: Sequence[str], seed: int, replicates: int = REPLICATES) -> NDArray[np.uint8]:
    """(replicates, N) how often each image counts when patients are drawn with replacement."""
    _, patient_N = np.unique(np.asarray(patients), return_inverse=True)
    if len(patient_N) == 0:
        return np.zeros((replicates, 0), dtype=np.uint8)
    count = int(patient_N.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return np.minimum(drawn, 255).astype(np.uint8)[:, patient_N]


def auc_replicates(scores_NK: Array, labels_NK: Labels, weights_RN: NDArray[np.uint8]) -> Array:
    """(R, K) AUC of every bootstrap replicate and output; NaN where a replicate has no positives or no negatives."""
    result = np.full((len(weights_RN), scores_NK.shape[1]), np.nan)
    for k in range(scores_NK.shape[1]):
        order = np.argsort(scores_NK[:, k], kind="stable")
        starts, labels_N = _sorted(scores_NK[:, k], labels_NK[:, k], order)
        for r, weights_N in enumerate(weights_RN):
            value = _auc_sorted(starts, labels_N, weights_N[order].astype(np.float64))
            result[r, k] = np.nan if value is None else value
    return result


def share_replicates(hit_N: NDArray[np.bool_], among_N: NDArray[np.bool_], weights_RN: Array) -> Array:
    """(R,) the share of the images `among_N` that are hit, in every replicate; NaN in one that holds none of them."""
    chosen_RN = weights_RN[:, among_N]
    with np.errstate(invalid="ignore"):
        return np.asarray((chosen_RN * hit_N[among_N]).sum(axis=1) / chosen_RN.sum(axis=1))


def interval(replicates_R: Array) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the replicates that are numbers; (nan, nan) when none is."""
    finite = replicates_R[np.isfinite(replicates_R)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, (2.5, 97.5))
    return float(low), float(high)


def row_means(values_RK: Array) -> Array:
    """(R,) mean of the numbers in each row, NaN where a row has none."""
    known_RK = np.isfinite(values_RK)
    counts_R = known_RK.sum(axis=1)
    sums_R = np.where(known_RK, values_RK, 0.0).sum(axis=1)
    return np.asarray(np.where(counts_R > 0, sums_R / np.maximum(counts_R, 1), np.nan))


def mean_defined(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are numbers, None when there is none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def per_output(
    metric: Callable[[Array, Labels], float | None], scores_NK: Array, labels_NK: Labels
) -> tuple[float | None, ...]:
    """`metric` of each column."""
    return tuple(metric(scores_NK[:, k], labels_NK[:, k]) for k in range(scores_NK.shape[1]))
