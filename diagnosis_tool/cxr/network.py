"""Builds networks by name; each returns logits and its last feature map in one forward pass."""

from collections.abc import Callable

import torch
from torch import nn

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before torchvision
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.errors import BundleInvalid

# isort: split
from torchvision import models


class ChestNetwork(nn.Module):
    """Grey uint8 radiographs in; logits and the last feature map out.

    features: (B, in_channels, H, W) normalised float -> (B, C, h, w).
    head: (B, C, h, w) -> (B, outputs) logits. Grad-CAM runs on the head alone.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: nn.Module, head: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        self.features = features
        self.head = head
        self.in_channels = spec.in_channels
        shape = (1, spec.in_channels, 1, 1)
        # not saved with the weights: the spec is their only source
        self.register_buffer("mean", torch.tensor(spec.mean).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).reshape(shape), persistent=False)

    def normalise(self, x_BHW: torch.Tensor) -> torch.Tensor:
        """(B, H, W) grey values 0..255 of any dtype -> (B, in_channels, H, W) float, divided by 255, normalised."""
        x_BCHW = x_BHW[:, None].float().div(255).expand(-1, self.in_channels, -1, -1)
        return (x_BCHW - self.mean) / self.std

    def forward(self, x_BHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, H, W) grey values 0..255 -> logits (B, outputs) and feature map (B, C, h, w)."""
        features_BChw = self.features(self.normalise(x_BHW))
        return self.head(features_BChw), features_BChw


def _mobilenet_v2() -> tuple[nn.Module, int]:
    return models.mobilenet_v2(weights=None).features, 1280


def _efficientnet(name: str) -> Callable[[], tuple[nn.Module, int]]:
    def build() -> tuple[nn.Module, int]:
        trunk = getattr(models, name)(weights=None)
        return trunk.features, trunk.classifier[-1].in_features

    return build


def _resnet(name: str) -> Callable[[], tuple[nn.Module, int]]:
    def build() -> tuple[nn.Module, int]:
        trunk = getattr(models, name)(weights=None)
        layers = [n for n, _ in trunk.named_children() if n not in {"avgpool", "fc"}]
        return nn.Sequential(*(getattr(trunk, n) for n in layers)), trunk.fc.in_features

    return build


_TRUNKS: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "mobilenet_v2": _mobilenet_v2,
    **{f"efficientnet_b{i}": _efficientnet(f"efficientnet_b{i}") for i in range(8)},
    **{f"resnet{n}": _resnet(f"resnet{n}") for n in (18, 34, 50)},
}

ARCHITECTURES = tuple(sorted(_TRUNKS))


def build_network(spec: NetworkSpec, outputs: int) -> ChestNetwork:
    """A network of the spec's architecture with `outputs` logits and random weights, in training mode.

    Raises BundleInvalid for an architecture that is not in ARCHITECTURES or a spec that does not fit together.
    """
    if spec.architecture not in _TRUNKS:
        raise BundleInvalid(f"Unknown architecture {spec.architecture!r}; known: {', '.join(ARCHITECTURES)}.")
    if spec.in_channels != 3:
        raise BundleInvalid(f"in_channels is {spec.in_channels}; {spec.architecture} takes 3.")
    if len(spec.mean) != spec.in_channels or len(spec.std) != spec.in_channels:
        raise BundleInvalid("mean and std must have one value an input channel.")
    features, width = _TRUNKS[spec.architecture]()
    return ChestNetwork(features, _pooled_head(width, spec, outputs), spec)


def _pooled_head(width: int, spec: NetworkSpec, outputs: int) -> nn.Sequential:
    hidden: list[nn.Module] = [nn.Linear(width, spec.head_hidden), nn.ReLU()] if spec.head_hidden else []
    last = nn.Linear(spec.head_hidden or width, outputs)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *hidden, nn.Dropout(spec.head_dropout), last)
