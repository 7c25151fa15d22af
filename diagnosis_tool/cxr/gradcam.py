"""Grad-CAM over the cached feature map: all outputs for a few percent of a forward pass.

Source: Selvaraju et al. 2017, 'Grad-CAM'. pytorch-grad-cam runs on the head alone, whose input is the feature map that
the forward pass returned, so no trunk is run again. Not thread-safe: hooks are stateful.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before pytorch_grad_cam, which imports torchvision

# isort: split
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from diagnosis_tool.cxr.types import Heatmap


class _HeadOverFeatures(nn.Module):
    """The head with a named place to hook: its own input."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.tap = nn.Identity()
        self.head = head

    def forward(self, features_BChw: torch.Tensor) -> torch.Tensor:
        return self.head(self.tap(features_BChw))  # type: ignore[no-any-return]


class _UnscaledGradCAM(GradCAM):  # type: ignore[misc]  # the library is untyped
    """Stops before the library's two min-max normalisations, which would lose the scale and move the map."""

    def compute_cam_per_layer(
        self, input_tensor: torch.Tensor, targets: list[nn.Module], eigen_smooth: bool
    ) -> list[NDArray[np.float32]]:
        activations = self.activations_and_grads.activations[0].numpy()
        gradients = self.activations_and_grads.gradients[0].numpy()
        cam = self.get_cam_image(input_tensor, self.target_layers[0], targets, activations, gradients, eigen_smooth)
        return [np.maximum(cam, 0)[:, None]]

    def aggregate_multi_layers(self, cam_per_target_layer: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return cam_per_target_layer[0][:, 0]


def gradcam(head: nn.Module, features_Chw: NDArray[np.float32], outputs: int) -> tuple[Heatmap, ...]:
    """Heatmaps of all outputs of one image, in the order of the logits. The arguments are those of gradcam_maps."""
    return tuple(_quantise(map_hw) for map_hw in gradcam_maps(head, features_Chw, outputs))


def gradcam_maps(head: nn.Module, features_Chw: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
    """Evidence for each output, (outputs, h, w), not below 0, in units of the logit.

    head: (B, C, h, w) -> (B, outputs) logits, in eval mode. The target is the logit:
        a saturated sigmoid has no gradient.
    features_Chw: the feature map that the forward pass returned.
    """
    model = _HeadOverFeatures(head)
    features = torch.from_numpy(features_Chw).expand(outputs, -1, -1, -1).contiguous().requires_grad_()
    cam = _UnscaledGradCAM(model, [model.tap])
    try:
        maps_Khw: NDArray[np.float32] = cam(features, [ClassifierOutputTarget(k) for k in range(outputs)])
    finally:
        cam.activations_and_grads.release()
    return maps_Khw


def _quantise(map_hw: NDArray[np.float32]) -> Heatmap:
    scale = float(map_hw.max())
    if scale <= 0:
        return Heatmap(values=np.zeros(map_hw.shape, np.uint8), scale=0.0)
    return Heatmap(values=np.rint(map_hw * (255 / scale)).astype(np.uint8), scale=scale)
