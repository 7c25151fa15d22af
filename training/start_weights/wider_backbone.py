"""A larger EfficientNet that starts with the answers of smaller networks: of one, or of several side by side.

EfficientNet-B7 is twice as wide as EfficientNet-Lite0 and MobileNetV2, and deeper in every stage: both fit into it next
to each other, and it then gives the mean of their answers before it has learned anything itself.
Source: after Chen et al. 2016, 'Net2Net'.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import nn
from torchvision.ops import SqueezeExcitation

from training.start_weights.first_layer import StateDict

OPEN_GATE: Final = 4.0
"""Bias of a new squeeze-excitation's last layer: its gates start at sigmoid(4) = 0.982."""
_MOBILENET_STAGES: Final = (1, 2, 3, 4, 3, 3, 1)
"""Blocks of MobileNetV2's seven stages (Sandler et al. 2018, table 2); strides and expansions are EfficientNet's."""
_MOBILENET_LAYER: Final = re.compile(r"conv\.(\d)(?:\.(\d))?\.(.+)")


def wider_backbone(members: Sequence[StateDict], fresh: nn.Module) -> StateDict:
    """A state of an EfficientNet-B backbone that computes what the members do, and has room to learn more.

    members: backbone states with EfficientNet's names (efficientnet_lite's own, or `as_efficientnet`) and the epsilon
    of fresh's BatchNorms (`with_epsilon`). fresh: the larger backbone with random weights; it is not changed. The
    members' channels come first, one member's behind the other's, and hear neither each other nor the new ones (zero
    weights); blocks that a member lacks change nothing for it (the last BatchNorm's gamma and bias are 0); smaller
    kernels stand in the middle of larger ones; squeeze-excitation's gates stand open, and the projection behind makes
    up for their 0.982. With the members' activation the leading channels of the feature map are then the members'.
    Raises ValueError when they do not fit.
    """
    whole = fresh.state_dict()
    for name in {name: None for member in members for name in member}:
        if name not in whole:
            raise ValueError(f"there is no place for {name}: the source is the deeper network")
    deep = [_deepened(member, fresh) for member in members]
    state = {
        name: placed([member[name] for member in deep], value, name) if name in deep[0] else value.clone()
        for name, value in whole.items()
    }
    for block, layers in _blocks(fresh):
        last = f"{block}.{len(layers) - 1}"
        if not any(_has(member, block) for member in members):
            _silence(state, last, len(state[f"{last}.1.weight"]))
        for gate in (f"{block}.{i}" for i, layer in enumerate(layers) if isinstance(layer, SqueezeExcitation)):
            state[f"{gate}.fc2.weight"].zero_()
            state[f"{gate}.fc2.bias"].fill_(OPEN_GATE)
            state[f"{last}.0.weight"] *= 1 + math.exp(-OPEN_GATE)
    return state


def placed(parts: Sequence[torch.Tensor], large: torch.Tensor, name: str) -> torch.Tensor:
    """`large` with the parts along its diagonal, and zeros where their rows go on.

    An axis that is as long in a part as in `large` is shared: image channels, the one input of a depthwise kernel.
    Raises ValueError, with the name, when they do not go in.
    """
    if large.dim() == 0:
        return large
    large = large.clone()
    rows = [0]
    columns = [0]
    for part in parts:
        rows.append(rows[-1] + len(part))
        columns.append(columns[-1] + (part.shape[1] if part.dim() > 1 and part.shape[1] != large.shape[1] else 0))
        fits = part.dim() == large.dim() and all(s <= b for s, b in zip(part.shape, large.shape, strict=True))
        if not fits or rows[-1] > len(large) or (large.dim() > 1 and columns[-1] > large.shape[1]):
            raise ValueError(f"{name}: {tuple(part.shape)} does not go into {tuple(large.shape)}")
    large[: rows[-1]] = 0
    for part, row, column in zip(parts, rows, columns, strict=False):
        kernel = [(b - s) // 2 for s, b in zip(part.shape[2:], large.shape[2:], strict=True)]
        at = (row, column, *kernel)
        large[tuple(slice(start, start + side) for start, side in zip(at, part.shape, strict=False))] = part
    return large


def with_epsilon(backbone: StateDict, own: float, ours: float) -> StateDict:
    """The same backbone for BatchNorms that add `ours` to the variance where they added `own`: their gammas make up."""
    state = dict(backbone)
    for name, variance in backbone.items():
        if name.endswith(".running_var"):
            gamma = name.replace("running_var", "weight")
            state[gamma] = backbone[gamma] * ((variance + ours) / (variance + own)).sqrt()
    return state


def batch_norm_epsilon(backbone: nn.Module) -> float:
    """What the backbone's BatchNorms add to the variance: the same in all of them."""
    return next(module.eps for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))


def as_efficientnet(mobilenet: Mapping[str, torch.Tensor]) -> StateDict:
    """MobileNetV2's backbone under EfficientNet's names. Raises KeyError for a layer that MobileNetV2 does not have."""
    places = ["0", *(f"{stage}.{i}.block" for stage, n in enumerate(_MOBILENET_STAGES, 1) for i in range(n)), "8"]
    state: StateDict = {}
    for name, value in mobilenet.items():
        number, _, rest = name.partition(".")
        inner = _MOBILENET_LAYER.fullmatch(rest)
        if inner is None:  # stem and head: a convolution and its BatchNorm
            state[f"{places[int(number)]}.{rest}"] = value
            continue
        layer, part, what = int(inner[1]), inner[2], inner[3]
        depthwise = 0 if number == "1" else 1  # the first block has no expansion
        if layer > depthwise:  # the projection, whose BatchNorm counts on its own; squeeze-excitation stands before it
            layer, part = depthwise + 2, str(layer - depthwise - 1)
        state[f"{places[int(number)]}.{layer}.{part}.{what}"] = value
    return state


def _deepened(member: StateDict, fresh: nn.Module) -> StateDict:
    """The member with a block that changes nothing wherever `fresh` has more blocks than it."""
    state, whole = dict(member), fresh.state_dict()
    for block, layers in _blocks(fresh):
        if _has(member, block):
            continue
        project = f"{block}.{len(layers) - 1}"
        wide, inner = whole[f"{project}.0.weight"].shape[:2]
        width = len(member[re.sub(r"\.\d+\.block", ".0.block", project) + ".1.weight"])
        sizes = {wide: width, inner: width * inner // wide}
        gates = tuple(f"{block}.{i}." for i, layer in enumerate(layers) if isinstance(layer, SqueezeExcitation))
        for name, value in whole.items():
            if name.startswith(f"{block}.") and not name.startswith(gates):
                state[name] = value[tuple(slice(sizes.get(side, side)) for side in value.shape[:2])]
        _silence(state, project, width)
    return state


def _silence(state: StateDict, project: str, width: int) -> None:
    """A projection whose block adds nothing, until its BatchNorm's gamma and bias have learned."""
    state[f"{project}.1.weight"], state[f"{project}.1.bias"] = torch.zeros(width), torch.zeros(width)


def _has(member: StateDict, block: str) -> bool:
    return any(name.startswith(f"{block}.") for name in member)


def _blocks(backbone: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    """Name and layers of every inverted bottleneck."""
    return ((name, list(module.children())) for name, module in backbone.named_modules() if name.endswith(".block"))
