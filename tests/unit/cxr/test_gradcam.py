"""Heatmaps over the cached feature map equal plain pytorch-grad-cam over the whole network."""

from typing import Any

import numpy as np
import pytest
import torch

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before pytorch_grad_cam

# isort: split
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from diagnosis_tool.cxr.gradcam import explain, raw_maps
from diagnosis_tool.cxr.network import ARCHITECTURES, build_network
from testing.bundles import network_spec, settle_statistics

SIZE_PX = 96
OUTPUTS = 3


class LogitsOnly(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x[:, 0])[0]


def without_gradients_below(features: torch.nn.Module) -> None:
    """Grad-CAM needs none of them, and they are most of the time that the plain one takes."""
    features.requires_grad_(False)
    features.register_forward_hook(lambda _module, _inputs, output: output.requires_grad_())


VGG_HEAD = {"head_grid": 7, "head_hidden": (32, 32), "head_dropout": 0.5}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("mobilenet_v2", {}),
    ("efficientnet_b0", {"head_hidden": (16,)}),
    ("efficientnet_b0", {"trunk_activation": "relu"}),
    ("efficientnet_lite0", {"in_channels": 1}),
    ("resnet18", {"head_hidden": (16, 8), "head_activation": "gelu"}),
    ("resnet50_v1", {}),
    ("resnet50_v2", {"head_hidden": (16,), "head_batch_norm": True}),
    ("resnet50_448", {"in_channels": 1}),
    ("densenet121", {}),
    ("googlenet", {}),
    ("vgg16", {}),
    ("vgg16", VGG_HEAD),
    ("coatnet_0", {}),
    ("coatnet_0", {"head_hidden": (16,), "in_channels": 1}),
]
DEEPER = sorted(set(ARCHITECTURES) - {architecture for architecture, _ in CASES})
"""The same blocks, more of them; EfficientNet-B7 is asked for by name and always tried."""
CASES += [("efficientnet_b7", {})]
MORE = [pytest.param(name, {}, marks=pytest.mark.long) for name in DEEPER if name != "efficientnet_b7"]


@pytest.mark.parametrize(("architecture", "changes"), [*CASES, *MORE])
def test_equals_plain_gradcam(architecture: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x = torch.randint(0, 256, (2, SIZE_PX, SIZE_PX), dtype=torch.uint8)
    network = build_network(network_spec(architecture, size_px=SIZE_PX, **changes), OUTPUTS)
    settle_statistics(network, x)
    with torch.inference_mode():
        features = network(x[:1])[1].numpy()[0]
    ours_khw = np.maximum(raw_maps(network.head, features, OUTPUTS), 0)
    shown = explain(network.head, features, OUTPUTS)
    assert ours_khw.any()
    without_gradients_below(network.features)
    with GradCAM(LogitsOnly(network), [network.features]) as plain:
        for ours_hw, heatmap, k in zip(ours_khw, shown, range(OUTPUTS), strict=True):
            theirs_HW = plain(x[:1, None].float(), [ClassifierOutputTarget(k)])[0]
            # the library resizes to the input and normalises before and after: take our small map the same way
            ours_HW = scale_cam_image(scale_cam_image(ours_hw[None], (SIZE_PX, SIZE_PX)))[0]
            assert np.abs(ours_HW - theirs_HW).max() < 1e-3
            quantised_hw = heatmap.values / 255 * heatmap.scale
            assert np.abs(quantised_hw - ours_hw).max() <= heatmap.scale / 255


def test_no_positive_evidence_is_an_empty_map() -> None:
    head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(2, 1))
    with torch.no_grad():
        head[2].weight.fill_(-1.0)
    (heatmap,) = explain(head.eval(), np.ones((2, 3, 3), np.float32), 1)
    assert heatmap.scale == 0
    assert heatmap.values.max() == 0


def test_maps_are_the_librarys_where_the_head_is_not_linear() -> None:
    torch.manual_seed(3)
    head = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(3),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 8),
        torch.nn.ReLU(),
        torch.nn.Linear(8, 2),
    ).eval()
    features = np.random.default_rng(3).random((4, 6, 6), dtype=np.float32)
    ours_khw = np.maximum(raw_maps(head, features, 2), 0)
    tapped = torch.nn.Sequential(torch.nn.Identity(), head)
    with GradCAM(tapped, [tapped[0]]) as library:
        x = torch.from_numpy(features)[None].requires_grad_()
        theirs = np.stack([library(x, [ClassifierOutputTarget(k)])[0] for k in range(2)])
    # the library normalises before and after the resize
    np.testing.assert_allclose(scale_cam_image(scale_cam_image(ours_khw)), theirs, atol=1e-3)
