"""Logits to probabilities and thresholds, fitted on validation alone.

Source: Platt 1999 (with its smoothed targets); Lin, Lin and Weng 2007, 'A note on Platt's probabilistic outputs';
Youden 1950, 'Index for rating diagnostic tests'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from diagnosis_tool.cxr.bundle import EvaluationRecord, OperatingPoint, Output
from diagnosis_tool.cxr.calibration import Activation, Calibration, CalibrationMethod, sigmoid
from training.evaluate.metrics import Array, Labels, patient_weights, share
from training.evaluate.predictions import Predictions

_NEWTON_STEPS = 50
_CONVERGED = 1e-10
_MEAN_STEPS, _MEAN_CLOSE = 100, 1e-6
_ROUNDING = 1e-9  # 0.9 * 30 is a little above 27


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What `calibrate` leaves beside a run, for release. evaluation is of validation, on which all this was fitted."""

    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]
    evaluation: EvaluationRecord
    notes: tuple[str, ...]


def fit_calibration(
    logits_nK: Array,
    labels_nK: Labels,
    outputs: Sequence[Output],
    activation: Activation,
    fitted_on: str,
    *,
    method: CalibrationMethod = CalibrationMethod.PLATT,
    slope_spread: float = 0.0,
) -> tuple[Calibration, tuple[str, ...]]:
    """Logits to probabilities by `method`, and notes for the card. Exclusive outputs always get one temperature.

    By Platt, an output without positives or without negatives cannot be fitted: it keeps its raw score, and a note
    says so. slope_spread: as fit_platt_together has it; 0 leaves each output's slope free.
    """
    if activation is Activation.SOFTMAX or method is CalibrationMethod.TEMPERATURE:
        inverse = fit_temperature(logits_nK, labels_nK, activation)
        count = len(outputs)
        method, slopes, intercepts = CalibrationMethod.TEMPERATURE, (inverse,) * count, (0.0,) * count
        return Calibration(method=method, slope=slopes, intercept=intercepts, fitted_on=fitted_on), ()
    fits = [k for k in range(len(outputs)) if labels_nK[:, k].min() < labels_nK[:, k].max()]
    notes = tuple(
        f"{output.name} could not be calibrated: {fitted_on} has only one kind of label for it."
        for k, output in enumerate(outputs)
        if k not in fits
    )
    pairs = [(1.0, 0.0)] * len(outputs)
    together = fit_platt_together(logits_nK[:, fits], labels_nK[:, fits], slope_spread)
    for k, pair in zip(fits, together, strict=True):
        pairs[k] = pair
    slope, intercept = zip(*pairs, strict=True)
    calibration = Calibration(method=CalibrationMethod.PLATT, slope=slope, intercept=intercept, fitted_on=fitted_on)
    return calibration, notes


def fit_platt_together(logits_nK: Array, labels_nK: Labels, slope_spread: float = 0.0) -> list[tuple[float, float]]:
    """fit_platt of each output, with slopes that are drawn to their mean: one network made them all, and few positives
    say little about a slope.

    slope_spread: the standard deviation of the slopes about their mean that is expected, as a part of that mean; 0
    leaves them free. Source: a normal prior, its mean by iterated conditional modes (Besag 1986).
    """
    count = logits_nK.shape[1]
    if not slope_spread or not count:
        return [fit_platt(logits_nK[:, k], labels_nK[:, k]) for k in range(count)]
    mean = fit_temperature(logits_nK, labels_nK, Activation.SIGMOID)
    for _ in range(_MEAN_STEPS):
        pull = 1 / (slope_spread * mean) ** 2
        pairs = [fit_platt(logits_nK[:, k], labels_nK[:, k], towards=mean, pull=pull) for k in range(count)]
        before, mean = mean, float(np.mean([slope for slope, _ in pairs]))
        if abs(mean - before) < _MEAN_CLOSE * mean:
            break
    return pairs


def fit_platt(logits_n: Array, labels_n: Labels, *, towards: float = 1.0, pull: float = 0.0) -> tuple[float, float]:
    """Slope and intercept of the likeliest sigmoid(slope * logit + intercept), by Newton's method with step halving.

    Targets are drawn in from 0 and 1 as Platt does, so that a separable set has a finite answer. pull: the precision of
    a normal prior of the slope about `towards`; 0 for none.
    """
    positives = float(labels_n.sum())
    negatives = len(labels_n) - positives
    target_n = np.where(labels_n > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design_n2 = np.stack([logits_n, np.ones_like(logits_n)], axis=1)
    prior = np.diag([pull, 0.0])

    def lost(pair: Array) -> float:
        return _cross_entropy(design_n2 @ pair, target_n) + pull * float(pair[0] - towards) ** 2 / 2

    fitted = np.array([towards, 0.0])
    loss = lost(fitted)
    for _ in range(_NEWTON_STEPS):
        score_n = sigmoid(design_n2 @ fitted)
        gradient = design_n2.T @ (score_n - target_n) + prior @ (fitted - [towards, 0.0])
        curvature = (design_n2 * (score_n * (1 - score_n))[:, None]).T @ design_n2 + prior
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        scale = 1.0
        while (tried := lost(fitted - scale * step)) > loss and scale > 1e-6:
            scale /= 2
        fitted, fell, loss = fitted - scale * step, loss - tried, tried
        if abs(fell) < _CONVERGED:
            break
    return float(fitted[0]), float(fitted[1])


def fit_temperature(logits_nK: Array, labels_nK: Labels, activation: Activation = Activation.SOFTMAX) -> float:
    """1/T of the likeliest activation(logits / T), by golden-section search over T in 0.05..20.

    The loss is unimodal in log T.
    """

    def loss(log_t: float) -> float:
        z = logits_nK / np.exp(log_t)
        if activation is Activation.SIGMOID:
            return _cross_entropy(z, labels_nK)
        z = z - z.max(axis=1, keepdims=True)
        return float(-(labels_nK * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum())

    low, high, golden = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp(-(low + high) / 2))


def operating_points(predictions: Predictions, seed: int) -> tuple[OperatingPoint, ...]:
    """For each output that has both kinds of label, the points of CRITERIA in their order; of calibrated predictions.

    Intervals: 95%, patients drawn with replacement, the threshold held fixed.
    """
    weights_RN = patient_weights(predictions.patients, seed)
    points = []
    for k, output in enumerate(predictions.outputs):
        scores_n, labels_n = predictions.scores_NK[:, k], predictions.labels_NK[:, k]
        positive_n = labels_n > 0
        if not positive_n.any() or positive_n.all():
            continue
        for criterion, threshold_of in CRITERIA.items():
            threshold = threshold_of(scores_n, labels_n)
            right_n = (scores_n >= threshold) == positive_n
            sensitivity, specificity = (share(right_n, among_n, weights_RN) for among_n in (positive_n, ~positive_n))
            if sensitivity and specificity:  # both are there, as both kinds of label are
                points.append(
                    OperatingPoint(
                        output=output.name,
                        criterion=criterion,
                        threshold=threshold,
                        sensitivity=sensitivity,
                        specificity=specificity,
                        source=f"{predictions.dataset} {predictions.split}",
                    )
                )
    return tuple(points)


def youden_threshold(scores_n: Array, labels_n: Labels) -> float:
    """The score at or above which to call positive for the largest Youden's J; the lowest such score of equals.

    It lies half-way to the next lower score, so that rounding cannot move an image across it.
    """
    values, group_n = np.unique(scores_n, return_inverse=True)
    positive = np.bincount(group_n, labels_n.astype(np.float64))
    negative = np.bincount(group_n, 1.0 - labels_n)
    at_or_above = np.cumsum(positive[::-1])[::-1] / positive.sum() - np.cumsum(negative[::-1])[::-1] / negative.sum()
    return _half_way_below(values, int(np.argmax(at_or_above)))


def sensitivity_threshold(scores_n: Array, labels_n: Labels, least: float = 0.90) -> float:
    """The highest score at or above which at least the share `least` of the positives is called positive.

    It lies half-way to the next lower score, as youden_threshold does.
    """
    positive_n = np.sort(scores_n[labels_n > 0])[::-1]
    needed = max(1, int(np.ceil(least * len(positive_n) - _ROUNDING)))
    values = np.unique(scores_n)
    return _half_way_below(values, int(np.searchsorted(values, positive_n[needed - 1])))


def _half_way_below(values: Array, chosen: int) -> float:
    return float(values[chosen]) if chosen == 0 else float((values[chosen] + values[chosen - 1]) / 2)


CRITERIA: Final[dict[str, Callable[[Array, Labels], float]]] = {
    "youden": youden_threshold,
    "sensitivity_90": sensitivity_threshold,
}
"""How a threshold is chosen, by the name that it has in bundles; diagnosis_tool.cxr.bundle.OperatingPoint explains."""


def _cross_entropy(z: Array, target: Array | Labels) -> float:
    return float((np.logaddexp(0, z) - target * z).sum())
