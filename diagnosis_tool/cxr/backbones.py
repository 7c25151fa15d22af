"""Backbones by name: the part of each network that turns an image into its last feature map.

Parameters keep the names that the libraries give them, counted from the backbone, so that published weights fit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before torchvision
from diagnosis_tool.cxr.activations import replace_activations
from diagnosis_tool.errors import BundleInvalid

# isort: split
from torchvision import models
from torchvision.models import vgg
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig
from torchvision.models.googlenet import Inception, InceptionAux

# TensorFlow's default, which published Keras and EfficientNet weights were trained with
_TENSORFLOW_NORM: Final = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """features: (B, 3, H, W) -> (B, width, h, w). pooled_norm: the head normalises the pooled features (LayerNorm)."""

    features: nn.Module
    width: int
    pooled_norm: bool = False


def build_backbone(architecture: str, input_px: int) -> Backbone:
    """A backbone with three input channels and random weights.

    Raises BundleInvalid for an unknown architecture, or an input_px that does not go with it.
    """
    if architecture in _SIZED:
        if input_px <= 0 or input_px % 32:
            raise BundleInvalid(f"input_px is {input_px}; {architecture} needs its input's side, a multiple of 32.")
        return _SIZED[architecture](input_px)
    if architecture not in _FREE:
        raise BundleInvalid(f"Unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}.")
    if input_px != 0:
        raise BundleInvalid(f"input_px is {input_px}; {architecture} takes any size: write 0.")
    return _FREE[architecture]()


def _mobilenet_v2() -> Backbone:
    network = models.mobilenet_v2(weights=None)
    return Backbone(features=network.features, width=network.last_channel)


def _efficientnet(name: str) -> Backbone:
    network = getattr(models, name)(weights=None)
    return Backbone(features=network.features, width=network.classifier[-1].in_features)


class _SameConv2d(nn.Conv2d):
    """Pads as TensorFlow's SAME does: what is left over of an odd padding goes right and below."""

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        pads: list[int] = []
        for axis in (1, 0):
            size, stride, kernel = x_BCHW.shape[2 + axis], self.stride[axis], self.kernel_size[axis]
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        x_BCHW = functional.pad(x_BCHW, pads)
        return functional.conv2d(x_BCHW, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _no_gate(*_: Any, **__: Any) -> nn.Module:
    return nn.Identity()


def _efficientnet_lite(width: float, depth: float) -> Backbone:
    """EfficientNet without squeeze-excitation and with ReLU6; the stem, the head and two stages' depths do not scale.

    Source: the EfficientNet-Lite networks of the TensorFlow TPU models (2020); base table from Tan & Le 2019.
    """
    stages = []
    # expansion, kernel, stride, channels in and out, blocks
    table = (
        (1, 3, 1, 32, 16, 1),
        (6, 3, 2, 16, 24, 2),
        (6, 5, 2, 24, 40, 2),
        (6, 3, 2, 40, 80, 3),
        (6, 5, 1, 80, 112, 3),
        (6, 5, 2, 112, 192, 4),
        (6, 3, 1, 192, 320, 1),
    )
    for row in table:
        stage_depth = 1.0 if row in (table[0], table[-1]) else depth
        block = partial(MBConv, se_layer=_no_gate)
        stages.append(MBConvConfig(*row, width_mult=width, depth_mult=stage_depth, block=block))
    network = EfficientNet(stages, dropout=0.0, last_channel=1280, norm_layer=_TENSORFLOW_NORM)
    replace_activations(network.features, nn.ReLU6)
    for module in network.features.modules():
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            module.__class__ = _SameConv2d
    return Backbone(features=network.features, width=1280)


def _resnet(name: str, **kwargs: Any) -> Backbone:
    network = getattr(models, name)(weights=None, **kwargs)
    layers = [layer for part, layer in network.named_children() if part not in {"avgpool", "fc"}]
    return Backbone(features=nn.Sequential(*layers), width=network.fc.in_features)


def _resnet50_v1() -> Backbone:
    """ResNet-50 as first published (He et al. 2015): a stage's stride in its first 1x1 convolution; Keras' epsilon."""
    backbone = _resnet("resnet50", norm_layer=_TENSORFLOW_NORM)
    for module in backbone.features.modules():
        if isinstance(module, models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return backbone


def _resnet50_448() -> Backbone:
    """ResNet-50 with a second max pooling behind the first: at 448 px it costs what ResNet-50 does at 224 px."""
    backbone = _resnet("resnet50")
    layers = list(backbone.features.children())
    layers[3] = nn.Sequential(layers[3], nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
    return Backbone(features=nn.Sequential(*layers), width=backbone.width)


def _densenet(name: str) -> Backbone:
    network = getattr(models, name)(weights=None)
    network.features.add_module("relu5", nn.ReLU())  # the library applies it outside of its backbone
    return Backbone(features=network.features, width=network.classifier.in_features)


class _ConvBnRelu(nn.Module):
    """GoogLeNet's unit, with its activation as a module, so that it can be replaced."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x_BCHW)))  # type: ignore[no-any-return]


def _googlenet() -> Backbone:
    blocks = [_ConvBnRelu, partial(Inception, conv_block=_ConvBnRelu), InceptionAux]
    network = models.GoogLeNet(aux_logits=False, init_weights=True, blocks=blocks)
    layers = [(name, layer) for name, layer in network.named_children() if name not in {"avgpool", "dropout", "fc"}]
    features = nn.Sequential()
    for name, layer in layers:
        features.add_module(name, layer)
    return Backbone(features=features, width=network.fc.in_features)


def _vgg16() -> Backbone:
    # not models.vgg16: its classifier, which nobody wants here, is nine tenths of its weights
    features = vgg.make_layers(vgg.cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):  # as models.vgg16 starts them
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return Backbone(features=features, width=512)


class _TimmBackbone(nn.Sequential):
    """Stem, stages and last norm of a timm network, under timm's names."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        for name in ("stem", "stages", "norm"):
            self.add_module(name, getattr(network, name))


def _timm(name: str, **kwargs: Any) -> Backbone:
    import timm  # takes a second, and only these architectures need it

    network: Any = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    # CoAtNet has its last norm behind the pooling; pre-activation ResNet has it in front
    return Backbone(
        features=_TimmBackbone(network),
        width=network.num_features,
        pooled_norm=isinstance(network.norm, nn.Identity),
    )


def _coatnet(name: str, input_px: int) -> Backbone:
    return _timm(name, img_size=input_px)


_LITE_SCALES: Final = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Width and depth against EfficientNet-Lite0."""

_FREE: Final[dict[str, Callable[[], Backbone]]] = {
    "mobilenet_v2": _mobilenet_v2,
    **{f"efficientnet_b{i}": partial(_efficientnet, f"efficientnet_b{i}") for i in range(8)},
    **{f"efficientnet_lite{i}": partial(_efficientnet_lite, *scale) for i, scale in _LITE_SCALES.items()},
    **{f"resnet{n}": partial(_resnet, f"resnet{n}") for n in (18, 34, 50)},
    "resnet50_v1": _resnet50_v1,
    "resnet50_v2": partial(_timm, "resnetv2_50"),
    "resnet50_448": _resnet50_448,
    **{f"densenet{n}": partial(_densenet, f"densenet{n}") for n in (121, 161)},
    "googlenet": _googlenet,
    "vgg16": _vgg16,
}
_SIZED: Final[dict[str, Callable[[int], Backbone]]] = {
    f"coatnet_{i}": partial(_coatnet, f"coatnet_{i}_224") for i in range(5)
}
ARCHITECTURES: Final = tuple(sorted((*_FREE, *_SIZED)))
SIZED_ARCHITECTURES: Final = tuple(sorted(_SIZED))
"""Those that are built for one input size: NetworkSpec.input_px says which."""
