"""Torch: the reference on the CPU, the fast engine on CUDA."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from diagnosis_tool.cxr.network import ChestNetwork

CPU_NAME: Final = "torch"
CUDA_NAME: Final = "torch-cuda"
CUDA_BATCH: Final = 8
DTYPES: Final = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
"""By the name of the precision."""


class TorchEngine:
    """Torch on the CPU in float32 is the reference that every other engine is held against.

    Images go through in groups of exactly `batch`, the last one filled up with black: a group of another size may be
    computed by another algorithm and round differently, and a prediction must not depend on an image's neighbours.
    On the CPU a group is one image: it is no slower there.
    precision: other than 'f32', the backbone's and head's products are rounded to it (autocast), sums stay wider.
    """

    def __init__(
        self,
        network: ChestNetwork,
        *,
        device: str = "cpu",
        precision: str = "f32",
        batch: int = 1,
    ) -> None:
        self.device = torch.device(device)
        self.name = CUDA_NAME if self.device.type == "cuda" else CPU_NAME
        self.precision = precision
        self.network = network.eval().requires_grad_(False).to(self.device)
        if self.device.type == "cuda":
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._dtype = DTYPES[precision]
        self.batch = batch

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Preprocessed radiographs (B, H, W) uint8 -> logits (B, K) and feature map (B, C, h, w), float32."""
        # TF32 would be a third precision under the name of f32; cuDNN's benchmark may choose another way every time
        exactly = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exactly:
            pairs = [self._group(x_BHW[start : start + self.batch]) for start in range(0, len(x_BHW), self.batch)]
        logits, features = zip(*pairs, strict=True)
        return torch.cat(logits).numpy(), torch.cat(features).numpy()

    def _group(self, x_BHW: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(x_BHW)
        group_BHW = torch.from_numpy(np.array(x_BHW)).to(self.device)
        group_BHW = functional.pad(group_BHW, (0, 0, 0, 0, 0, self.batch - count))
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32):
            logits_BK, features_BChw = self.network(group_BHW)
        return logits_BK[:count].float().cpu(), features_BChw[:count].float().cpu().contiguous()
