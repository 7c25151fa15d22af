"""Figures with their 95% intervals, patients drawn with replacement; what the tables of evidence are made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Interval
from training.evaluate.evaluation import SEED
from training.evaluate.metrics import (
    Array,
    Labels,
    auc,
    auc_replicates,
    interval,
    mean_defined,
    patient_weights,
    per_output,
    row_means,
)

Aucs = tuple[tuple[float | None, ...], Array]
"""The AUC of each of K columns, and (R, K) of every bootstrap replicate."""


def weights_of(patients: Sequence[str]) -> NDArray[np.uint8]:
    """(R, N) bootstrap weights, the same for the same patients."""
    return patient_weights(patients, SEED)


def aucs_of(scores_NK: Array, labels_NK: Labels, weights_RN: NDArray[np.uint8]) -> Aucs:
    """AUC of each column, with replicates; None and NaN for no positives or no negatives, or for no images at all."""
    if len(scores_NK) == 0:
        count = scores_NK.shape[1]
        return (None,) * count, np.full((len(weights_RN), count), np.nan)
    return per_output(auc, scores_NK, labels_NK), auc_replicates(scores_NK, labels_NK, weights_RN)


def estimate(value: float | None, replicates_R: Array) -> Interval | None:
    """The value with the interval of its replicates, None where it is not defined."""
    if value is None:
        return None
    low, high = interval(replicates_R)
    return Interval(value=value, low=low, high=high) if np.isfinite(low) else None


def each(aucs: Aucs) -> tuple[Interval | None, ...]:
    """Every column with its interval."""
    return tuple(estimate(value, aucs[1][:, k]) for k, value in enumerate(aucs[0]))


def mean_of(aucs: Aucs, columns: Sequence[int]) -> Interval | None:
    """The mean over these columns; a replicate's is over those that it can judge."""
    chosen = list(columns)
    return estimate(mean_defined([aucs[0][k] for k in chosen]), row_means(aucs[1][:, chosen]))
