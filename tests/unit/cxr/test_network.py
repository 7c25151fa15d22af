"""Every architecture builds from its spec, gives logits and a 4-D feature map, and takes one channel or three."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from diagnosis_tool.cxr.activations import ACTIVATIONS
from diagnosis_tool.cxr.network import ARCHITECTURES, build_network, first_convolution
from diagnosis_tool.errors import BundleInvalid
from testing.bundles import network_spec

WIDTHS = {
    "coatnet_0": 768, "coatnet_1": 768, "coatnet_2": 1024, "coatnet_3": 1536, "coatnet_4": 1536,
    "densenet121": 1024, "densenet161": 2208,
    "efficientnet_b0": 1280, "efficientnet_b1": 1280, "efficientnet_b2": 1408, "efficientnet_b3": 1536,
    "efficientnet_b4": 1792, "efficientnet_b5": 2048, "efficientnet_b6": 2304, "efficientnet_b7": 2560,
    "efficientnet_lite0": 1280, "efficientnet_lite1": 1280, "efficientnet_lite2": 1280,
    "googlenet": 1024, "mobilenet_v2": 1280,
    "resnet18": 512, "resnet34": 512, "resnet50": 2048,
    "resnet50_448": 2048, "resnet50_v1": 2048, "resnet50_v2": 2048,
    "vgg16": 512,
}  # fmt: skip


def test_all_are_listed() -> None:
    assert set(WIDTHS) == set(ARCHITECTURES)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes(architecture: str, in_channels: int) -> None:
    size_px = 128
    with torch.device("meta"):  # shapes without the arithmetic: CoAtNet-4 has 273 million parameters
        network = build_network(network_spec(architecture, size_px=size_px, in_channels=in_channels), 15).eval()
        logits, features = network(torch.zeros((2, size_px, size_px), dtype=torch.uint8))
    side = size_px // (64 if architecture == "resnet50_448" else 32)
    assert logits.shape == (2, 15)
    assert features.shape == (2, WIDTHS[architecture], side, side)


@pytest.mark.parametrize(
    ("architecture", "million"),
    [("coatnet_0", 23.6), ("densenet161", 26.5), ("efficientnet_b7", 63.8), ("vgg16", 14.7)],
)
def test_published_size(architecture: str, million: float) -> None:
    with torch.device("meta"):
        features = build_network(network_spec(architecture), 1).features
    assert sum(p.numel() for p in features.parameters()) / 1e6 == pytest.approx(million, abs=0.05)


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "resnet18", "vgg16"])
def test_one_channel_answers_as_three_did(architecture: str) -> None:
    x = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    networks = []
    for in_channels in (1, 3):
        torch.manual_seed(0)
        networks.append(build_network(network_spec(architecture, in_channels=in_channels), 3).eval())
    grey, colour = networks
    assert first_convolution(grey.features)[1].weight.shape[1] == 1
    with torch.inference_mode():
        torch.testing.assert_close(grey(x)[0], colour(x)[0])


def test_normalises_by_the_spec() -> None:
    network = build_network(network_spec("resnet18", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0)), 1)
    x = network.normalise(torch.full((1, 1, 1), 51))
    torch.testing.assert_close(x.flatten(), torch.tensor([0.1, 0.0, -0.025]))


@pytest.mark.parametrize("architecture", ["coatnet_0", "densenet121", "efficientnet_b0", "googlenet", "resnet50_v2"])
def test_every_activation_of_the_backbone_is_replaced(architecture: str) -> None:
    with torch.device("meta"):
        network = build_network(network_spec(architecture, trunk_activation="elu"), 1)
        count = dict.fromkeys(("ELU", "ReLU", "SiLU", "GELU"), 0)
        for module in network.features.modules():
            if type(module).__name__ in count:
                count[type(module).__name__] += 1
        plain = build_network(network_spec(architecture), 1).features
    expected = sum(type(module).__name__ in count for module in plain.modules())
    assert count == {"ELU": expected, "ReLU": 0, "SiLU": 0, "GELU": 0}
    assert network.features.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_head_activation_is_used(name: str) -> None:
    network = build_network(network_spec("resnet18", head_hidden=(8, 4), head_activation=name), 2)
    kinds = [type(layer) for layer in network.head]
    assert kinds.count(type(ACTIVATIONS[name]())) == 2


def test_head_of_vgg16_has_the_librarys_order() -> None:
    changes: dict[str, Any] = {"head_grid": 7, "head_hidden": (4096, 4096), "head_dropout": 0.5}
    with torch.device("meta"):
        head = build_network(network_spec("vgg16", **changes), 1000).head
    names = [type(layer).__name__ for layer in head]
    assert names == ["AdaptiveAvgPool2d", "Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert sum(p.numel() for p in head.parameters()) == 123_642_856  # 138,357,544 less the convolutions


def test_batch_norm_in_the_head() -> None:
    head = build_network(network_spec("resnet18", head_hidden=(8,), head_batch_norm=True), 2).head
    names = [type(layer).__name__ for layer in head]
    assert names == ["AdaptiveAvgPool2d", "Flatten", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"architecture": "alexnet"}, "alexnet"),
    ({"in_channels": 2, "mean": (0.5,) * 2, "std": (0.2,) * 2}, "in_channels is 2"),
    ({"mean": (0.5,)}, "one value an input channel"),
    ({"std": (0.2, 0.0, 0.2)}, "std must be above 0"),
    ({"input_px": 64}, "takes any size"),
    ({"architecture": "coatnet_0"}, "multiple of 32"),
    ({"trunk_activation": "mish"}, "mish"),
    ({"head_hidden": (8,), "head_activation": "tanh"}, "tanh"),
    ({"head_hidden": (0,)}, "head_hidden"),
    ({"head_grid": 0}, "head_grid"),
    ({"head_dropout": 1.0}, "head_dropout"),
]


@pytest.mark.parametrize(("changes", "complaint"), WRONG)
def test_refuses(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BundleInvalid, match=complaint):
        build_network(replace(network_spec("resnet18"), **changes), 1)
