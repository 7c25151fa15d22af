"""Runs a network: arrays in, logits and the last feature map out, in one pass."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from diagnosis_tool.cxr.network import ChestNetwork


class Engine(Protocol):
    """What the classifier needs of an engine."""

    @property
    def name(self) -> str:
        """For the prediction's row, for example 'torch'."""
        ...

    @property
    def precision(self) -> str:
        """For the prediction's row, for example 'f32'."""
        ...

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Preprocessed radiographs (B, H, W) -> logits (B, K) and feature map (B, C, h, w)."""
        ...


class TorchEngine:
    """Reference engine: torch on the CPU, float32. The same bytes give the same logits on the same machine."""

    name = "torch"
    precision = "f32"

    def __init__(self, network: ChestNetwork) -> None:
        self._network = network.eval().requires_grad_(False)

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Preprocessed radiographs (B, H, W) uint8 -> logits (B, K) and feature map (B, C, h, w), float32."""
        with torch.inference_mode():
            # one at a time: a batch of another size may round differently, and on the CPU it is no faster
            pairs = [self._network(torch.from_numpy(np.array(x_HW))[None]) for x_HW in x_BHW]
        logits, features = zip(*pairs, strict=True)
        return torch.cat(logits).numpy(), torch.cat(features).numpy()
