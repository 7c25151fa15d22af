"""ImageNet weights that a library publishes and that no package of the registries carries: from a local file, in the
library's own names, fitted to the network's own normalisation and number of channels.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from diagnosis_tool.cxr.network import ChestNetwork
from training.config import StartConfig
from training.errors import StartWeightsMissing
from training.imagenet.first_layer import SYMMETRIC, Normalisation, State, fit_first_layer
from training.imagenet.torchvision_names import expected, trunk_state


@dataclass(frozen=True, slots=True, kw_only=True)
class _Library:
    """names: what the library calls each of our architectures. command: writes FILE where there is a network."""

    names: dict[str, str]
    command: str
    trunk: Callable[[str, State], State]
    expected: Callable[[str], Normalisation]


_EFFICIENTNETS: Final = tuple(f"efficientnet_b{n}" for n in range(8))
_AS_IN_TORCHVISION: Final = (
    "mobilenet_v2", *_EFFICIENTNETS, "resnet18", "resnet34", "resnet50", "densenet121", "densenet161", "googlenet",
    "vgg16",
)  # fmt: skip


def _timm_trunk(_: str, state: State) -> State:
    return {name: value for name, value in state.items() if name.partition(".")[0] in {"stem", "stages", "norm"}}


LIBRARIES: Final[dict[str, _Library]] = {
    "torchvision": _Library(
        names={name: name for name in _AS_IN_TORCHVISION} | {"resnet50_448": "resnet50"},
        command="import torch, torchvision; torch.save(torchvision.models.{name}(weights='IMAGENET1K_V1')"
        ".state_dict(), '{file}')",
        trunk=trunk_state,
        expected=expected,
    ),
    "timm": _Library(
        names={"resnet50_v2": "resnetv2_50"},
        command="import torch, timm; torch.save(timm.create_model('{name}', pretrained=True).state_dict(), '{file}')",
        trunk=_timm_trunk,
        expected=lambda _: SYMMETRIC,
    ),
}
"""By the name that recipes use in start.weights."""


def load_local_weights(network: ChestNetwork, architecture: str, config: StartConfig) -> str:
    """Puts a library's published weights into the trunk; returns where they come from, in words for the card.

    Raises StartWeightsMissing, saying how to get them, when the file is not there or is of another network.
    """
    library = LIBRARIES[config.weights]
    if architecture not in library.names:
        raise StartWeightsMissing(
            f"{config.weights} publishes no weights of {architecture}; it has {', '.join(sorted(library.names))}."
        )
    name, file = library.names[architecture], Path(config.file)
    if not config.file or not file.is_file():
        command = library.command.format(name=name, file=file.name if config.file else f"{name}.pth")
        raise StartWeightsMissing(
            f"The recipe starts from {config.weights}'s ImageNet weights of {name}, and start.file "
            f"({config.file or 'empty'}) is not there. No package of the registries carries them: on a machine with a "
            f'network, run python -c "{command}", and name the file that it writes with --set start.file=... ; a '
            "random start must be asked for: --set start.weights=random"
        )
    if architecture == "resnet50_v2" and not bool((network.mean == 0.5).all()):
        # its first convolution meets no BatchNorm that could take up the difference of the means
        raise StartWeightsMissing(f"{config.weights}'s {name} expects network.mean = 0.5 in each channel: write that.")
    try:
        trunk = library.trunk(architecture, _read(file))
        network.features.load_state_dict(fit_first_layer(network, trunk, library.expected(architecture)), strict=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, KeyError, EOFError) as error:
        raise StartWeightsMissing(f"{file} does not hold the weights of {architecture}: {error}") from error
    return f"{config.weights}'s {name} trained on ImageNet, from a local file"


def _read(file: Path) -> State:
    if file.suffix == ".safetensors":
        return load_file(file)
    # weights_only: tensors and plain containers, nothing that runs
    loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    return dict(loaded)
