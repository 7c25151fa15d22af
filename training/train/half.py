"""Weights as they are stored: in half precision."""

import torch

from training.errors import TrainingFailed


def as_released(name: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor of a run as the bundle stores it: float16, or float32 where a value lies beyond float16's range.

    Raises TrainingFailed when a value is not finite.
    """
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise TrainingFailed(f"{name} holds values that are not finite: the run diverged. Lower the learning rate.")
    half = value.half()
    # a first layer that sees 0..255 has variances beyond float16's 65504; such a tensor is small and stays float32
    return half if torch.isfinite(half).all() else value.float()
