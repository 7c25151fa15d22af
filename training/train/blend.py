"""ReLU6 turned into SiLU little by little, for networks started from weights that were trained with ReLU6.

Put in at once, SiLU destroys such a start. The blend has no weights, so checkpoints are those of the plain network,
and at the end nothing of it is left.
"""

import torch
from torch import nn
from torch.nn import functional

from diagnosis_tool.cxr.activations import replace_activations


class BlendedActivation(nn.Module):
    """(1 - ratio) ReLU6(x) + ratio SiLU(x), elementwise on any shape. ratio: 0..1, set from outside."""

    def __init__(self, ratio: float = 0.0) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in, the same out."""
        if self.ratio <= 0:
            return functional.relu6(x)
        if self.ratio >= 1:
            return functional.silu(x)
        return torch.lerp(functional.relu6(x), functional.silu(x), self.ratio)


def start_blend(backbone: nn.Module) -> int:
    """Replaces every activation of the backbone by a blend that is still all ReLU6; returns how many there were."""
    return replace_activations(backbone, BlendedActivation)


def set_blend(network: nn.Module, ratio: float) -> None:
    """Sets the share of SiLU in all blends of the network. Do so for an averaged copy (EMA) as well."""
    for module in network.modules():
        if isinstance(module, BlendedActivation):
            module.ratio = ratio


def blend_ratio(step: int, steps: int, part: float = 0.5) -> float:
    """The share of SiLU before step `step` (from 0) of `steps`: it rises evenly over the first `part` of them."""
    return min(1.0, step / max(1.0, steps * part))


def finish_blend(network: nn.Module) -> None:
    """Replaces every blend by plain SiLU: the network is then the architecture that its spec names.

    Raises ValueError when a blend is not yet all SiLU: the network would answer differently.
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BlendedActivation):
                if child.ratio < 1:
                    raise ValueError(f"the activations are still {1 - child.ratio:.0%} ReLU6")
                setattr(parent, name, nn.SiLU(inplace=True))
