"""Metrics of scores and labels, each for one output, with patient-bootstrap intervals. Pure."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Interval, Output
from diagnosis_tool.cxr.findings import OutputKind

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]

BINS = 15
"""Equal-mass bins of the expected calibration error."""
REPLICATES = 1000
"""Bootstrap replicates behind a 95% interval."""
SEED = 2017
"""Of the bootstrap, so that an evaluation gives the same intervals every time."""
_CHUNK = 50  # bootstrap replicates that are worked on at once: 10 MB at 25,000 images


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


def reliability(probabilities_N: Array, labels_N: Labels, bins: int = BINS) -> tuple[Array, Array, Array] | None:
    """Mean stated probability, observed share of positives and number of images in bins of equal mass, (B,) each.

    None for no images.
    """
    if len(probabilities_N) == 0:
        return None
    order = np.argsort(probabilities_N, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    stated_B, observed_B = (
        np.array([values_N[part].mean() for part in parts]) for values_N in (probabilities_N, labels_N)
    )
    return stated_B, observed_B, np.array([float(len(part)) for part in parts])


def expected_calibration_error(probabilities_N: Array, labels_N: Labels, bins: int = BINS) -> float | None:
    """Mean distance of stated probability and observed share over `bins` bins of equal mass. None for no images.

    Source: Naeini et al. 2015, with equal-mass bins as in Nguyen and O'Connor 2015.
    """
    found = reliability(probabilities_N, labels_N, bins)
    if found is None:
        return None
    return float(sum(count * abs(stated - observed) for stated, observed, count in zip(*found, strict=True))) / len(
        labels_N
    )


def patient_weights(patients: Sequence[str], seed: int = SEED, replicates: int = REPLICATES) -> NDArray[np.uint8]:
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


def auc_with_replicates(
    scores_NK: Array, labels_NK: Labels, weights_RN: NDArray[np.uint8]
) -> tuple[tuple[float | None, ...], Array]:
    """(K,) AUC of every output, and (R, K) of every bootstrap replicate."""
    return per_output(auc, scores_NK, labels_NK), auc_replicates(scores_NK, labels_NK, weights_RN)


def average_precision_replicates(scores_NK: Array, labels_NK: Labels, weights_RN: NDArray[np.uint8]) -> Array:
    """(R, K) average precision of every bootstrap replicate and output; NaN where a replicate has no positives."""
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


def share_replicates(hit_N: NDArray[np.bool_], among_N: NDArray[np.bool_], weights_RN: NDArray[np.uint8]) -> Array:
    """(R,) the share of the images `among_N` that are hit, in every replicate; NaN in one that holds none of them."""
    counts_R, hits_R = (weights_RN[:, mask_N].sum(axis=1, dtype=np.float64) for mask_N in (among_N, among_N & hit_N))
    return np.asarray(np.where(counts_R > 0, hits_R / np.maximum(counts_R, 1), np.nan))


def share(hit_N: NDArray[np.bool_], among_N: NDArray[np.bool_], weights_RN: NDArray[np.uint8]) -> Interval | None:
    """The share of the images `among_N` that are hit; None where there are none of them."""
    value = float(hit_N[among_N].mean()) if among_N.any() else None
    return with_interval(value, share_replicates(hit_N, among_N, weights_RN))


def with_interval(value: float | None, replicates_R: Array) -> Interval | None:
    """The value with the 2.5th and 97.5th percentile of the replicates that are numbers; None where it is not defined.

    Its ends are NaN when no replicate is a number.
    """
    if value is None:
        return None
    finite = replicates_R[np.isfinite(replicates_R)]
    low, high = np.percentile(finite, (2.5, 97.5)) if len(finite) else (np.nan, np.nan)
    return Interval(value=value, low=float(low), high=float(high))


def in_words(interval: Interval | None, *, signed: bool = False, digits: int = 3) -> str:
    """'0.743 (0.721 to 0.764)', or n/a."""
    if interval is None:
        return "n/a"
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of these texts."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def mean_with_interval(values_K: Sequence[float | None], replicates_RK: Array) -> Interval | None:
    """The mean of the values that are numbers. A replicate may by chance hold no positive of a rare finding: its mean
    is over the others.
    """
    known = [k for k, value in enumerate(values_K) if value is not None]
    return with_interval(mean_defined(values_K), row_means(replicates_RK[:, known]))


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


def findings_of(outputs: Sequence[Output]) -> list[int]:
    """The columns of the findings: No Finding is none."""
    return [k for k, output in enumerate(outputs) if output.kind is OutputKind.FINDING]


def mean_auc(scores_NK: Array, labels_NK: Labels, outputs: Sequence[Output]) -> float | None:
    """Over the findings that have both kinds of label; None when none has."""
    columns = findings_of(outputs)
    return mean_defined(per_output(auc, scores_NK[:, columns], labels_NK[:, columns]))


def per_output(
    metric: Callable[[Array, Labels], float | None], scores_NK: Array, labels_NK: Labels
) -> tuple[float | None, ...]:
    """`metric` of each column."""
    return tuple(metric(scores_NK[:, k], labels_NK[:, k]) for k in range(scores_NK.shape[1]))
