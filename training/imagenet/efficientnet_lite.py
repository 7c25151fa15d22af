"""EfficientNet-Lite's published states as our trunks, and as the start of the larger EfficientNet-B networks."""

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import nn
from torchvision.ops import SqueezeExcitation

from diagnosis_tool.cxr.trunks import build_trunk
from training.imagenet.first_layer import Normalisation, State

EXPECTED: Final = Normalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""(pixel - 127) / 128"""
EPSILON: Final = 1e-3
"""Of every BatchNorm in EfficientNet-Lite."""
OPEN_GATE: Final = 4.0
"""Bias of a new squeeze-excitation's last layer: its gates start at sigmoid(4) = 0.982."""


def lite_trunk(architecture: str, state: Mapping[str, torch.Tensor]) -> State:
    """The state of an efficientnet_lite trunk from the published one; the classifier is left out.

    Raises KeyError when a tensor is missing, ValueError when blocks are left over: then it is another network's.
    """
    with torch.device("meta"):
        features = build_trunk(architecture, 0).features
    pairs = {"0.0": "_conv_stem", "0.1": "_bn0", "8.0": "_conv_head", "8.1": "_bn1"}
    blocks = [
        f"{stage}.{i}.block"
        for stage in range(1, 8)
        for i in range(len(list(features.get_submodule(str(stage)).children())))
    ]
    for number, block in enumerate(blocks):
        layers = [name for name, _ in features.get_submodule(block).named_children()]
        expand, depthwise, project = (layers[0] if len(layers) == 4 else None), layers[-3], layers[-1]
        if expand is not None:
            pairs |= {
                f"{block}.{expand}.0": f"_blocks.{number}._expand_conv",
                f"{block}.{expand}.1": f"_blocks.{number}._bn0",
            }
        pairs |= {
            f"{block}.{depthwise}.0": f"_blocks.{number}._depthwise_conv",
            f"{block}.{depthwise}.1": f"_blocks.{number}._bn1",
        }
        pairs |= {
            f"{block}.{project}.0": f"_blocks.{number}._project_conv",
            f"{block}.{project}.1": f"_blocks.{number}._bn2",
        }
    if any(name.startswith(f"_blocks.{len(blocks)}.") for name in state):
        raise ValueError(f"the state has more blocks than {architecture}")
    return {
        f"{ours}.{part}": state[f"{pairs[ours]}.{part}"]
        for ours, _, part in (name.rpartition(".") for name in features.state_dict())
    }


def widened_trunk(lite: State, fresh: nn.Module) -> State:
    """A state of an EfficientNet-B trunk that computes what EfficientNet-Lite does, and has room to learn more.

    lite: as lite_trunk gives it. fresh: the larger trunk with random weights; it is not changed. Lite's weights go to
    the leading channels; new channels do not reach them (zero weights); new blocks change nothing (last BatchNorm's
    gamma is 0); squeeze-excitation's gates stand open, and the projection behind makes up for their 0.982. With ReLU6
    in place of SiLU (training.blend) the leading channels then equal Lite's, but for the padding: torchvision pads both
    sides of a strided convolution, TensorFlow right and below. Raises ValueError when Lite is the larger one.
    Source: after Chen et al. 2016, 'Net2Net'.
    """
    state = {name: value.clone() for name, value in fresh.state_dict().items()}
    for name, value in lite.items():
        if name not in state:
            raise ValueError(f"there is no place for {name}: the source is the deeper network")
        state[name] = leading(value, state[name], name)
    for name, module in fresh.named_modules():
        if isinstance(module, nn.BatchNorm2d) and f"{name}.running_var" in lite:
            width = len(lite[f"{name}.running_var"])
            state[f"{name}.running_var"][:width] += EPSILON - module.eps
        elif isinstance(module, SqueezeExcitation):
            _open_gate(state, name, widths=lite)
        elif name.endswith(".block") and not any(key.startswith(f"{name}.") for key in lite):
            last = len(list(module.children())) - 1
            state[f"{name}.{last}.1.weight"].zero_()
    return state


def leading(small: torch.Tensor, large: torch.Tensor, name: str) -> torch.Tensor:
    """`large` with `small` in its leading places, and zeros where the leading rows go on.

    Raises ValueError, with the name, when `small` is the larger one.
    """
    if small.dim() != large.dim() or any(s > b for s, b in zip(small.shape, large.shape, strict=True)):
        raise ValueError(f"{name}: {tuple(small.shape)} does not go into {tuple(large.shape)}")
    if small.dim() == 0:
        return large
    large = large.clone()
    large[: len(small)] = 0
    large[tuple(slice(side) for side in small.shape)] = small
    return large


def _open_gate(state: State, gate: str, widths: State) -> None:
    state[f"{gate}.fc2.weight"].zero_()
    state[f"{gate}.fc2.bias"].fill_(OPEN_GATE)
    block, _, position = gate.rpartition(".")
    project = f"{block}.{int(position) + 1}.0.weight"
    if project in widths:
        state[project][: len(widths[project])] *= 1 + math.exp(-OPEN_GATE)
