"""torchvision's own states load into our backbones and give what torchvision gives."""

import re

import pytest
import torch
from torch.nn import functional
from torchvision import models

from diagnosis_tool.cxr.network import build_network
from testing.bundles import network_spec
from training.start_weights.torchvision_names import backbone_state


@pytest.mark.parametrize("architecture", ["densenet121", "googlenet", "mobilenet_v2", "resnet18"])
def test_features_are_torchvisions(architecture: str) -> None:
    torch.manual_seed(0)
    more = {"init_weights": True} if architecture == "googlenet" else {}  # with its side exits, as published
    theirs = getattr(models, architecture)(weights=None, **more).eval()
    state = theirs.state_dict()
    if architecture == "densenet121":
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value for name, value in state.items()}
    ours = build_network(network_spec(architecture), 1).eval()
    ours.features.load_state_dict(backbone_state(architecture, state), strict=True)
    x = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    last = theirs.fc if hasattr(theirs, "fc") else theirs.classifier
    with torch.inference_mode():
        pooled = functional.adaptive_avg_pool2d(ours.features(x), 1).flatten(1)
        torch.testing.assert_close(last(pooled), theirs(x))


@pytest.mark.parametrize("architecture", ["densenet161", "efficientnet_b7", "resnet34", "resnet50", "vgg16"])
def test_names_and_shapes_fit(architecture: str) -> None:
    with torch.device("meta"):
        state = backbone_state(architecture, getattr(models, architecture)(weights=None).state_dict())
        ours = build_network(network_spec(architecture), 1).features.state_dict()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in ours.items()}
