"""Makes published weights fit a network's own input: its mean and std, and one grey channel instead of three."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from diagnosis_tool.cxr.network import ChestNetwork, first_convolution

StateDict = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """What weights expect of their input: (pixel / 255 - mean) / std, red, green and blue in this order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET: Final = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""torchvision's weights."""
SYMMETRIC: Final = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)
"""Weights that came from TensorFlow Slim: -1..1."""


def fit_first_layer(network: ChestNetwork, backbone: Mapping[str, torch.Tensor], expected: Normalisation) -> StateDict:
    """The same weights with a first layer for the network's own mean, std and number of channels.

    backbone: state of network.features for three channels normalised as in `expected`; it is not changed.
    The network then answers to a grey image as the weights did to that image three times. Kernels are scaled and,
    for one channel, summed; the difference of the means goes into the next bias or BatchNorm mean. That is exact
    wherever the kernel lies inside of the image; on the border, where zeros are padded after the normalisation, it is
    exact only when the network's mean equals the expected one in every channel.
    """
    state = dict(backbone)
    name, _ = first_convolution(network.features)
    kernel_OIkk = state[f"{name}.weight"].double()
    ours_mean_I, ours_std_I = (t.flatten().cpu().double().expand(3)[:, None, None] for t in (network.mean, network.std))
    # through float32, as the network has them: where nothing is to be done, nothing is
    mean_I, std_I = (
        torch.tensor(v, dtype=torch.float32).double()[:, None, None] for v in (expected.mean, expected.std)
    )
    offset_O = (kernel_OIkk * ((ours_mean_I - mean_I) / std_I)).sum(dim=(1, 2, 3))
    kernel_OIkk = kernel_OIkk * (ours_std_I / std_I)
    if network.in_channels == 1:
        kernel_OIkk = kernel_OIkk.sum(dim=1, keepdim=True)
    state[f"{name}.weight"] = kernel_OIkk.float()
    key, sign = _constant_behind(network.features, name)
    state[key] = (state[key].double() + sign * offset_O).float()
    return state


def _constant_behind(features: nn.Module, convolution: str) -> tuple[str, int]:
    """Where a constant can be added to the convolution's output: its bias, or (negated) the next BatchNorm's mean."""
    modules = dict(features.named_modules())
    if getattr(modules[convolution], "bias", None) is not None:
        return f"{convolution}.bias", 1
    names = list(modules)
    later = names[names.index(convolution) + 1 :]
    return f"{next(n for n in later if isinstance(modules[n], nn.BatchNorm2d))}.running_mean", -1
