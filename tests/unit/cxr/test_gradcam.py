"""Heatmaps over the cached feature map equal plain pytorch-grad-cam over the whole network."""

import numpy as np
import pytest
import torch

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before pytorch_grad_cam

# isort: split
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from diagnosis_tool.cxr.gradcam import gradcam
from diagnosis_tool.cxr.network import build_network
from diagnosis_tool.cxr.network_spec import NetworkSpec


class LogitsOnly(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x[:, 0])[0]


def with_settled_statistics(network: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """Fresh weights give feature maps of 1e-11, where the library's own epsilon rules: let BatchNorm see an image."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(x.expand(4, -1, -1))
    return network.eval()


@pytest.mark.parametrize("head_hidden", [0, 16])
@pytest.mark.parametrize("architecture", ["mobilenet_v2", "efficientnet_b0", "resnet18"])
def test_equals_plain_gradcam(architecture: str, head_hidden: int) -> None:
    torch.manual_seed(0)
    spec = NetworkSpec(
        architecture=architecture,
        in_channels=3,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        head_dropout=0.2,
        head_hidden=head_hidden,
    )
    x = torch.randint(0, 256, (1, 96, 96), dtype=torch.uint8)
    network = with_settled_statistics(build_network(spec, 5), x)
    with torch.inference_mode():
        features = network(x)[1].numpy()[0]
    ours = gradcam(network.head, features, 5)
    with GradCAM(LogitsOnly(network), [network.features]) as plain:
        for k, heatmap in enumerate(ours):
            # the library resizes to the input and normalises again: compare at the feature map's own size
            raw = plain(x[:, None].float(), [ClassifierOutputTarget(k)])[0]
            small = torch.nn.functional.interpolate(
                torch.from_numpy(heatmap.values / 255.0)[None, None], raw.shape, mode="bilinear"
            )[0, 0].numpy()
            if small.max() > 0:
                lifted = small - small.min()
                assert np.abs(lifted / lifted.max() - raw).max() < 0.01  # 1/255 of it is our quantisation


def test_no_positive_evidence_is_an_empty_map() -> None:
    head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(2, 1))
    with torch.no_grad():
        head[2].weight.fill_(-1.0)
    (heatmap,) = gradcam(head.eval(), np.ones((2, 3, 3), np.float32), 1)
    assert heatmap.scale == 0
    assert heatmap.values.max() == 0
