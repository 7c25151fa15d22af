"""Which parts of a network learn: by name, by stage, or the head alone; with a schedule that thaws stages by epoch; and
how often residual blocks are left out meanwhile.

All functions work on a ChestNetwork in place and keep no state. Give the optimizer all parameters from the start:
it passes over those that have no gradient, and a stage that thaws later is then already in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import nn

from diagnosis_tool.cxr.network import ARCHITECTURES, ChestNetwork
from training.errors import RecipeInvalid

# isort: split
from torchvision.ops import StochasticDepth


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the backbone between two halvings of the resolution, or the stem. modules: names in ChestNetwork."""

    name: str
    modules: tuple[str, ...]


def _stages(**parts: str) -> tuple[Stage, ...]:
    """Stages from 'name=children of features'; a child is a name, or a range of indices such as 2-5."""
    return tuple(Stage(name=name, modules=_modules(text.split())) for name, text in parts.items())


def _modules(parts: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for part in parts:
        low, dash, high = part.partition("-")
        names += [str(i) for i in range(int(low), int(high) + 1)] if dash else [part]
    return tuple(f"features.{name}" for name in names)


_EFFICIENTNET: Final = _stages(
    stem="0", stage1="1", stage2="2", stage3="3", stage4="4", stage5="5", stage6="6", stage7="7", last="8"
)
_RESNET: Final = _stages(stem="0-3", stage1="4", stage2="5", stage3="6", stage4="7")
_TIMM: Final = _stages(stem="stem", stage1="stages.0", stage2="stages.1", stage3="stages.2", stage4="stages.3 norm")
_DENSENET: Final = _stages(
    stem="conv0 norm0 relu0 pool0",
    stage1="denseblock1 transition1",
    stage2="denseblock2 transition2",
    stage3="denseblock3 transition3",
    stage4="denseblock4 norm5 relu5",
)
_OTHERS: Final[dict[str, tuple[Stage, ...]]] = {
    "mobilenet_v2": _stages(
        stem="0", stage1="1", stage2="2-3", stage3="4-6", stage4="7-10", stage5="11-13", stage6="14-16", stage7="17",
        last="18",
    ),
    "googlenet": _stages(
        stem="conv1 maxpool1",
        stage1="conv2 conv3 maxpool2",
        stage2="inception3a inception3b maxpool3",
        stage3="inception4a inception4b inception4c inception4d inception4e maxpool4",
        stage4="inception5a inception5b",
    ),
    "vgg16": _stages(stage1="0-4", stage2="5-9", stage3="10-16", stage4="17-23", stage5="24-30"),
    "resnet50_v2": _TIMM,
}  # fmt: skip
_FAMILIES: Final = {"efficientnet_": _EFFICIENTNET, "resnet": _RESNET, "coatnet_": _TIMM, "densenet": _DENSENET}


def stages(architecture: str) -> tuple[Stage, ...]:
    """The architecture's stages from the image on; together they are the whole backbone.

    Raises RecipeInvalid for an unknown architecture.
    """
    if architecture in _OTHERS:
        return _OTHERS[architecture]
    for family, its_stages in _FAMILIES.items():
        if architecture in ARCHITECTURES and architecture.startswith(family):
            return its_stages
    raise RecipeInvalid(f"The stages of {architecture!r} are not known.")


def first_stages(architecture: str, count: int) -> tuple[str, ...]:
    """The names of the modules in the first `count` stages, for freeze(). Raises RecipeInvalid for too many."""
    known = stages(architecture)
    if not 0 <= count <= len(known):
        names = ", ".join(stage.name for stage in known)
        raise RecipeInvalid(f"{architecture} has {len(known)} stages ({names}), not {count}.")
    return tuple(module for stage in known[:count] for module in stage.modules)


def frozen_stages_at(epoch: int, schedule: Sequence[tuple[int, int]]) -> int:
    """How many of the first stages are frozen in this epoch.

    schedule: pairs (first epoch, stages frozen from then on); before the first pair none is frozen.
    """
    return next((count for first, count in sorted(schedule, reverse=True) if first <= epoch), 0)


def freeze(network: ChestNetwork, names: Sequence[str]) -> int:
    """Freezes exactly what is named, a module or a parameter each, and thaws everything else.

    Returns the number of parameters that learn. Raises RecipeInvalid when a name is none of the network's.
    """
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    unknown = [name for name in names if name not in modules and name not in parameters]
    if unknown:
        raise RecipeInvalid(f"The network has no {', '.join(unknown)} to freeze.")
    for name, parameter in parameters.items():
        parameter.requires_grad = not any(name == frozen or name.startswith(f"{frozen}.") for frozen in names)
    return sum(p.numel() for p in parameters.values() if p.requires_grad)


def train_mode(network: ChestNetwork) -> None:
    """network.train(), but what is frozen stays as it is when it reads: BatchNorm's statistics too, and no dropout."""
    network.train()
    _rest(network)


def _rest(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        return
    for child in module.children():
        _rest(child)


def scale_stochastic_depth(backbone: nn.Module, share: float) -> None:
    """Multiplies the probability that a residual block is left out of a training step (stochastic depth, Huang et al.
    2016), in place; 1 leaves the architecture's own, 0 drops none. Networks without it are not changed.
    """
    for module in backbone.modules():
        if isinstance(module, StochasticDepth):
            module.p *= share
