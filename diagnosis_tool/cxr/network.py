"""Builds networks by name; each returns logits and its last feature map in one forward pass."""

import torch
from torch import nn

from diagnosis_tool.cxr.activations import ACTIVATIONS, activation, replace_activations
from diagnosis_tool.cxr.backbones import ARCHITECTURES, Backbone, build_backbone
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.errors import BundleInvalid

__all__ = ["ARCHITECTURES", "OWN_ACTIVATION", "ChestNetwork", "build_network", "first_convolution"]

OWN_ACTIVATION = "own"
"""In NetworkSpec.trunk_activation: leave the architecture's own."""


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


def build_network(spec: NetworkSpec, outputs: int) -> ChestNetwork:
    """A network of the spec's architecture with `outputs` logits and random weights, in training mode.

    Raises BundleInvalid for an architecture or activation that is not known, or a spec that does not fit together.
    """
    _check(spec)
    backbone = build_backbone(spec.architecture, spec.input_px)
    if spec.in_channels == 1:
        _see_grey(backbone.features)
    if spec.trunk_activation != OWN_ACTIVATION:
        activation(spec.trunk_activation)  # complains of an unknown name
        replace_activations(backbone.features, ACTIVATIONS[spec.trunk_activation])
    return ChestNetwork(backbone.features, _head(backbone, spec, outputs), spec)


def _check(spec: NetworkSpec) -> None:
    if spec.in_channels not in (1, 3):
        raise BundleInvalid(f"in_channels is {spec.in_channels}; write 1 or 3.")
    if len(spec.mean) != spec.in_channels or len(spec.std) != spec.in_channels:
        raise BundleInvalid("mean and std must have one value an input channel.")
    if min(spec.std) <= 0:
        raise BundleInvalid("std must be above 0 in every channel.")
    if spec.head_grid < 1 or min(spec.head_hidden, default=1) < 1:
        raise BundleInvalid("head_grid and each width of head_hidden must be at least 1.")
    if not 0 <= spec.head_dropout < 1:
        raise BundleInvalid("head_dropout must lie in [0, 1).")


def first_convolution(features: nn.Module) -> tuple[str, nn.Conv2d]:
    """The convolution that sees the image, with its name in the backbone."""
    return next((name, layer) for name, layer in features.named_modules() if isinstance(layer, nn.Conv2d))


def _see_grey(features: nn.Module) -> None:
    """One input channel: summed kernels answer as the three did when all three saw the same grey image."""
    _, layer = first_convolution(features)
    layer.weight = nn.Parameter(layer.weight.detach().sum(dim=1, keepdim=True))
    layer.in_channels = 1


def _head(backbone: Backbone, spec: NetworkSpec, outputs: int) -> nn.Sequential:
    """Pooling, then dense layers each with activation, perhaps norm, and dropout; the order of VGG-16's own head."""
    width = backbone.width * spec.head_grid**2
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(spec.head_grid), nn.Flatten()]
    if backbone.pooled_norm:
        layers.append(nn.LayerNorm(width, eps=1e-6))
    for hidden in spec.head_hidden:
        layers += [nn.Linear(width, hidden), activation(spec.head_activation)]
        layers += [nn.BatchNorm1d(hidden)] if spec.head_batch_norm else []
        layers.append(nn.Dropout(spec.head_dropout))
        width = hidden
    if not spec.head_hidden:
        layers.append(nn.Dropout(spec.head_dropout))
    return nn.Sequential(*layers, nn.Linear(width, outputs))
