"""Losses by name. All take logits (B, K) and labels (B, K) in 0..1 and give one number."""

from collections.abc import Callable

import torch
from torch.nn import functional

from training.config import LossConfig, LossKind
from training.errors import RecipeInvalid

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build_loss(config: LossConfig, outputs: int) -> Loss:
    """The recipe's loss. Raises RecipeInvalid when its weights do not fit `outputs`."""
    if config.kind is LossKind.CROSS_ENTROPY:
        return _cross_entropy(config.label_smoothing)
    if len(config.pos_weight) not in {0, 1, outputs}:
        raise RecipeInvalid(f"loss.pos_weight has {len(config.pos_weight)} values; give none, 1 or {outputs}.")
    return _bce(torch.tensor(config.pos_weight) if config.pos_weight else None)


def _bce(pos_weight: torch.Tensor | None) -> Loss:
    def bce(logits_BK: torch.Tensor, labels_BK: torch.Tensor) -> torch.Tensor:
        weight = pos_weight.to(logits_BK.device) if pos_weight is not None else None
        return functional.binary_cross_entropy_with_logits(logits_BK, labels_BK, pos_weight=weight)

    return bce


def _cross_entropy(label_smoothing: float) -> Loss:
    def cross_entropy(logits_BK: torch.Tensor, labels_BK: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits_BK, labels_BK, label_smoothing=label_smoothing)

    return cross_entropy
