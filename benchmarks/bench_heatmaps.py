"""Claim: heatmaps of the top four cost at most a tenth of the forward pass that they explain."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import b7
from benchmarks.record import interleaved_medians, record
from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before pytorch_grad_cam

# isort: split
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from diagnosis_tool.cxr.gradcam import explain

_SIDE, _TOP = 224, 4


class _Chosen(torch.nn.Module):
    """Some of a network's logits."""

    def __init__(self, head: torch.nn.Module, outputs: list[int]) -> None:
        super().__init__()
        self.head, self.outputs = head, outputs

    def forward(self, features_BChw: torch.Tensor) -> torch.Tensor:
        chosen: torch.Tensor = self.head(features_BChw)[:, self.outputs]
        return chosen


class _LogitsOnly(torch.nn.Module):
    """The whole network, as plain pytorch-grad-cam wants it."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_B1HW: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x_B1HW[:, 0])[0]
        return logits


def run() -> None:
    """EfficientNet-B7, 224 px, random weights; the engine that the user's machine would take in f32."""
    network, x_BHW = b7.network(), b7.films(_SIDE, 1)
    engine = b7.engines(_SIDE).openvino["f32"]

    def explained(outputs: int) -> object:
        logits_BK, features_BChw = engine.run(x_BHW)
        top: NDArray[np.int64] = np.argsort(-logits_BK[0])[:outputs]
        return explain(_Chosen(network.head, top.tolist()), features_BChw[0], outputs)

    tasks = {
        "predict": lambda: engine.run(x_BHW),
        "top4": lambda: explained(_TOP),
        "all": lambda: explained(b7.OUTPUTS),
    }
    seconds = interleaved_medians(tasks, rounds=31)
    how = f"forward + %d Grad-CAM maps over the cached feature map / forward alone, OpenVINO f32; {b7.conditions()}"
    record("top4_vs_predict", seconds["top4"] / seconds["predict"], "x", how % _TOP)
    record("all_heatmaps_vs_predict", seconds["all"] / seconds["predict"], "x", how % b7.OUTPUTS)
    against_naive(network, x_BHW, seconds["top4"])


def against_naive(network: torch.nn.Module, x_BHW: NDArray[np.uint8], ours_s: float) -> None:
    """Records top4_vs_naive: four calls of plain pytorch-grad-cam on the whole network, torch, for one image."""
    x_B1HW = torch.from_numpy(x_BHW)[:, None].float()
    network.requires_grad_(True)  # as anyone has it who loads a network and calls the library

    def naive() -> None:
        with GradCAM(_LogitsOnly(network), [network.features]) as plain:
            for k in range(_TOP):
                plain(x_B1HW, [ClassifierOutputTarget(k)])

    try:
        naive_s = interleaved_medians({"naive": naive}, rounds=3)["naive"]
    finally:
        network.requires_grad_(False)
    how = f"{naive_s * 1e3:.0f} ms for 4 calls on the whole network / {ours_s * 1e3:.0f} ms forward + 4 maps"
    record("top4_vs_naive", naive_s / ours_s, "x", f"{how}, OpenVINO f32; {b7.conditions()}")
