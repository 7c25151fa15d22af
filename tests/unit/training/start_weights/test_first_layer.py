"""A first layer that was fitted to another mean, std or number of channels answers as the published one did."""

import pytest
import torch

from diagnosis_tool.cxr.network import ChestNetwork, build_network
from testing.bundles import network_spec
from training.start_weights.first_layer import IMAGENET, Normalisation, fit_first_layer

X = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def published(architecture: str, expected: Normalisation) -> ChestNetwork:
    torch.manual_seed(0)
    network = build_network(network_spec(architecture, mean=expected.mean, std=expected.std), 2).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
    return network


def fitted(source: ChestNetwork, architecture: str, expected: Normalisation, **spec: object) -> ChestNetwork:
    network = build_network(network_spec(architecture, **spec), 2).eval()
    network.features.load_state_dict(fit_first_layer(network, source.features.state_dict(), expected), strict=True)
    network.head.load_state_dict(source.head.state_dict())
    return network


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("architecture", ["resnet18", "vgg16"])  # BatchNorm, and a bias, behind the convolution
def test_equal_inside_of_the_image_for_means_by_channel(architecture: str, in_channels: int) -> None:
    source = published(architecture, IMAGENET)
    network = fitted(source, architecture, IMAGENET, in_channels=in_channels, std=(0.3, 0.2, 0.1)[:in_channels])
    depth, border = (2, 2) if architecture == "resnet18" else (1, 1)
    with torch.inference_mode():
        ours, theirs = (
            n.features[:depth](n.normalise(X))[..., border:-border, border:-border] for n in (network, source)
        )
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_equal_everywhere_for_the_same_mean(in_channels: int) -> None:
    expected = Normalisation(mean=(0.4, 0.4, 0.4), std=(0.1, 0.2, 0.3))
    source = published("resnet18", expected)
    network = fitted(source, "resnet18", expected, in_channels=in_channels, mean=(0.4,) * in_channels)
    with torch.inference_mode():
        torch.testing.assert_close(network(X)[0], source(X)[0], atol=1e-4, rtol=1e-4)


def test_the_published_state_is_left_alone() -> None:
    source = published("resnet18", IMAGENET)
    before = {name: value.clone() for name, value in source.features.state_dict().items()}
    fit_first_layer(build_network(network_spec("resnet18", in_channels=1), 2), source.features.state_dict(), IMAGENET)
    assert all(torch.equal(value, before[name]) for name, value in source.features.state_dict().items())
