"""Stochastic depth (Huang et al. 2016): residual blocks that are left out at random while a network learns."""

from torch import nn
from torchvision.ops import StochasticDepth


def scale_stochastic_depth(backbone: nn.Module, share: float) -> None:
    """Multiplies the probability that a block is left out, in place; 1 leaves the architecture's own, 0 drops none.

    Networks without stochastic depth are not changed.
    """
    for module in backbone.modules():
        if isinstance(module, StochasticDepth):
            module.p *= share
