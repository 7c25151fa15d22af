"""What the classifier needs of an engine. Torch-free."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Runs one network: arrays in, logits and the last feature map out, in one pass.

    The same bytes give the same logits on the same machine, whatever else is run before, after or beside them.
    """

    @property
    def name(self) -> str:
        """For the prediction's row: 'torch', 'torch-cuda' or 'openvino'."""
        ...

    @property
    def precision(self) -> str:
        """For the prediction's row: what it really computes in, for example 'f32'."""
        ...

    @property
    def batch(self) -> int:
        """How many radiographs it takes at once; 1 where more would be no faster."""
        ...

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Preprocessed radiographs (B, H, W) -> logits (B, K) and feature map (B, C, h, w)."""
        ...
