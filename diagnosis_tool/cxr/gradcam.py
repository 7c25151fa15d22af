"""Explanations over the cached feature map: all outputs for a few percent of a forward pass.

pytorch-grad-cam runs on the head alone, whose input is the feature map that the forward pass returned, so no backbone
is run again. Not thread-safe: hooks are stateful.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before pytorch_grad_cam, which imports torchvision

# isort: split
from diagnosis_tool.cxr.lazy_import import lazy_import
from diagnosis_tool.cxr.types import Heatmap

# The library draws and factorises with these; nothing of that is used here. They would cost each worker 1.2 s and
# 126 MB, and an installation 380 MB (docs/results/image.md).
with lazy_import("cv2", "matplotlib", "scipy", "sklearn"):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget


class _HeadOverFeatures(nn.Module):
    """The head with a named place to hook: its own input."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.tap = nn.Identity()
        self.head = head

    def forward(self, features_BChw: torch.Tensor) -> torch.Tensor:
        return self.head(self.tap(features_BChw))  # type: ignore[no-any-return]


class _SignedGradCAM(GradCAM):  # type: ignore[misc]  # the library is untyped
    """Stops before the library clips and min-max normalises, which would lose sign and scale and move the map."""

    def compute_cam_per_layer(
        self, input_tensor: torch.Tensor, targets: list[nn.Module], eigen_smooth: bool
    ) -> list[NDArray[np.float32]]:
        held = self.activations_and_grads
        activations, gradients = held.activations[0].numpy(), held.gradients[0].numpy()
        return [self.get_cam_image(input_tensor, self.target_layers[0], targets, activations, gradients, eigen_smooth)]

    def aggregate_multi_layers(self, cam_per_target_layer: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return cam_per_target_layer[0]

    def get_cam_image(
        self,
        input_tensor: torch.Tensor,
        target_layer: nn.Module,
        targets: list[nn.Module],
        activations: NDArray[np.float32],
        grads: NDArray[np.float32],
        eigen_smooth: bool = False,
    ) -> NDArray[np.float32]:
        """A matrix product: the library's own sum writes all weighted channels down first."""
        weights_KC = self.get_cam_weights(input_tensor, target_layer, targets, activations, grads)
        count, channels, height, width = activations.shape
        maps_K1p = weights_KC[:, None] @ activations.reshape(count, channels, height * width)
        return np.asarray(maps_K1p, dtype=np.float32).reshape(count, height, width)


def explain(head: nn.Module, features_Chw: NDArray[np.float32], outputs: int) -> tuple[Heatmap, ...]:
    """Heatmaps of all outputs of one image, in the order of the logits: the evidence for each. As raw_maps has them."""
    return tuple(as_heatmap(map_hw) for map_hw in np.maximum(raw_maps(head, features_Chw, outputs), 0))


def raw_maps(head: nn.Module, features_Chw: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
    """Evidence for and (below 0) against each output, (outputs, h, w), in units of the logit.

    head: (B, C, h, w) -> (B, outputs) logits, in eval mode. The target is the logit:
        a saturated sigmoid has no gradient.
    features_Chw: the feature map that the forward pass returned.
    """
    model = _HeadOverFeatures(head)
    features = torch.from_numpy(features_Chw).expand(outputs, -1, -1, -1).requires_grad_()
    cam = _SignedGradCAM(model, [model.tap])
    try:
        maps_Khw: NDArray[np.float32] = cam(features, [ClassifierOutputTarget(k) for k in range(outputs)])
    finally:
        cam.activations_and_grads.release()
    return maps_Khw


def as_heatmap(map_hw: NDArray[np.float32]) -> Heatmap:
    """A map that is nowhere below 0 in 256 steps of its maximum."""
    scale = float(map_hw.max())
    if scale <= 0:
        return Heatmap(values=np.zeros(map_hw.shape, np.uint8), scale=0.0)
    return Heatmap(values=np.rint(map_hw * (255 / scale)).astype(np.uint8), scale=scale)
