"""Logits to probabilities. Only calibrated values may be called probabilities.

Source: Platt 1999, 'Probabilistic outputs for support vector machines' (sigmoid of an affine logit, per output);
Guo et al. 2017, 'On calibration of modern neural networks' (one temperature, for softmax).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Activation(StrEnum):
    """How logits become scores: independent outputs (also one, for binary tasks), or exclusive classes."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class CalibrationMethod(StrEnum):
    """How the calibration was fitted; NONE must say so in the card."""

    NONE = "none"
    PLATT = "platt"
    TEMPERATURE = "temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Affine map of each logit before the activation: slope * logit + intercept, one pair an output.

    A temperature T is slope 1/T and intercept 0 for all. fitted_on names the data, for example 'nih validation'.
    """

    method: CalibrationMethod
    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    fitted_on: str


def probabilities(
    logits_BK: NDArray[np.float32] | NDArray[np.float64], activation: Activation, calibration: Calibration
) -> NDArray[np.float64]:
    """Calibrated probabilities (B, K) in [0, 1] of logits (B, K); softmax rows sum to 1."""
    z = logits_BK.astype(np.float64) * np.asarray(calibration.slope) + np.asarray(calibration.intercept)
    if activation is Activation.SIGMOID:
        return sigmoid(z)
    shifted = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)) of any shape, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))
