"""VGG-16's convolutions as LPIPS for JAX carries them: a pickle of plain dicts and NumPy arrays."""

import io
import pickle  # only to be taken apart: see _PlainArrays
from typing import Any, Final

import numpy as np
import torch

from training.start_weights.first_layer import StateDict

# of VGG-16, by their place among convolutions, activations and poolings in torchvision's order
_PLACES: Final = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
# the array constructor, under the names that NumPy has had for it
_ARRAY: Final = np.ndarray(0).__reduce__()[0]
_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _PlainArrays(pickle.Unpickler):
    """Builds arrays of numbers and refuses everything else: a pickle could otherwise run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise ValueError(f"the file asks for {module}.{name}: it may hold arrays only")
        return _ALLOWED[module, name]


def vgg16_backbone(data: bytes) -> StateDict:
    """The state of vgg16's backbone; it expects torchvision's normalisation.

    data: the file's bytes. Raises ValueError when the file asks for anything but arrays, KeyError when one is missing.
    """
    parameters = _PlainArrays(io.BytesIO(data)).load()["VGG16_0"]
    state: StateDict = {}
    for number, place in enumerate(_PLACES):
        layer = parameters[f"Conv_{number}"]
        kernel_HWIO = torch.from_numpy(np.array(layer["kernel"], np.float32))
        state[f"{place}.weight"] = kernel_HWIO.permute(3, 2, 0, 1).contiguous()
        state[f"{place}.bias"] = torch.from_numpy(np.array(layer["bias"], np.float32))
    return state
