"""Activation functions by name, and their exchange in a network that is already built."""

from collections.abc import Callable
from typing import Final

from torch import nn

from diagnosis_tool.errors import BundleInvalid

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
}
"""Gates (the sigmoid of squeeze-excitation) are no activations in this sense: their range matters."""

# by class name, for timm has its own classes of the same names
_REPLACEABLE: Final = frozenset(
    {"ReLU", "ReLU6", "LeakyReLU", "ELU", "SiLU", "GELU", "GELUTanh", "Hardswish", "Swish", "HardSwish"}
)


def activation(name: str) -> nn.Module:
    """A new activation of this name. Raises BundleInvalid when it is not in ACTIVATIONS."""
    if name not in ACTIVATIONS:
        raise BundleInvalid(f"Unknown activation {name!r}; known: {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]()


def replace_activations(network: nn.Module, make: Callable[[], nn.Module]) -> int:
    """Puts make() in place of every activation inside the network; weights stay. Returns how many there were."""
    count = 0
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ in _REPLACEABLE:
                setattr(parent, name, make())
                count += 1
    return count
