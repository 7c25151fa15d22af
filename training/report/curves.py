"""Curves of one output, from scores and labels alone. numpy only; tested against scikit-learn."""

import numpy as np

from training.evaluate.metrics import Array, Labels

Curve = tuple[Array, Array]
"""x and y of its points."""


def roc(scores_N: Array, labels_N: Labels) -> Curve | None:
    """1 - specificity and sensitivity from (0, 0) to (1, 1), a point a distinct score. None without both kinds."""
    found = _cumulated(scores_N, labels_N)
    if found is None:
        return None
    true_P, all_P = found
    false_P = all_P - true_P
    if true_P[-1] == 0 or false_P[-1] == 0:
        return None
    return np.concatenate([[0.0], false_P / false_P[-1]]), np.concatenate([[0.0], true_P / true_P[-1]])


def precision_recall(scores_N: Array, labels_N: Labels) -> Curve | None:
    """Recall and precision, a point a distinct score, recall rising. None without positives."""
    found = _cumulated(scores_N, labels_N)
    if found is None or found[0][-1] == 0:
        return None
    true_P, all_P = found
    return true_P / true_P[-1], true_P / all_P


def _cumulated(scores_N: Array, labels_N: Labels) -> tuple[Array, Array] | None:
    """Positives, and images, at or above each distinct score, falling. None for no images."""
    if len(scores_N) == 0:
        return None
    order = np.argsort(-scores_N, kind="stable")
    last = np.flatnonzero(np.concatenate([np.diff(scores_N[order]) != 0, [True]]))
    return np.cumsum(labels_N[order].astype(np.float64))[last], (last + 1).astype(np.float64)


def thinned(curve: Curve, limit: int) -> Curve:
    """At most about `limit` points of a curve for drawing: corners of straight runs first, then evenly along it."""
    x_P, y_P = curve
    if len(x_P) > 2:
        turn = np.diff(x_P[:-1]) * np.diff(y_P[1:]) != np.diff(x_P[1:]) * np.diff(y_P[:-1])
        kept = np.concatenate([[True], turn, [True]])
        x_P, y_P = x_P[kept], y_P[kept]
    if len(x_P) <= limit:
        return x_P, y_P
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x_P)) + np.abs(np.diff(y_P)))])
    chosen = np.unique(np.searchsorted(along, np.linspace(0, along[-1], limit)).clip(0, len(x_P) - 1))
    return x_P[chosen], y_P[chosen]
