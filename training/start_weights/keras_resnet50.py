"""ResNet-50 as Keras publishes it (version 1, ImageNet), stored for TensorFlow.js, as the backbone of resnet50_v1.

Channels come in the order blue, green, red with only their means taken off; convolutions have biases, which go into
the BatchNorm behind them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.start_weights.first_layer import Normalisation, StateDict

EXPECTED: Final = Normalisation(
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255, 1 / 255, 1 / 255)
)  # the means of ImageNet's training set in grey levels, as Caffe took them off
_PARTS: Final = {
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
    "1": ("downsample.0", "downsample.1"),
}
_BLOCK: Final = re.compile(r"res(\d)([a-z])_branch(\w+)")

Arrays = dict[str, NDArray[np.float32]]


def read_tfjs(model: bytes, shards: Mapping[str, bytes]) -> Arrays:
    """The arrays of a TensorFlow.js layers model by name, for example 'conv1/kernel'.

    model: model.json. shards: the files that it names. Raises KeyError for a missing shard, ValueError when the
    shards hold more or less than model.json says, or anything but float32.
    """
    arrays: Arrays = {}
    for group in json.loads(model)["weightsManifest"]:
        data = b"".join(shards[path] for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            array, offset = _array(entry, data, offset)
            arrays[entry["name"]] = array
        if offset != len(data):
            raise ValueError(f"the shards hold {len(data)} bytes, model.json describes {offset}")
    return arrays


def _array(entry: dict[str, Any], data: bytes, offset: int) -> tuple[NDArray[np.float32], int]:
    if entry["dtype"] != "float32" or "quantization" in entry:
        raise ValueError(f"{entry['name']} is not plain float32")
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if offset + 4 * count > len(data):
        raise ValueError(f"the shards end before {entry['name']}")
    array = np.frombuffer(data, "<f4", count, offset).reshape(entry["shape"])
    return array, offset + 4 * count


def resnet50_v1_backbone(arrays: Arrays) -> StateDict:
    """The state of resnet50_v1's backbone, three channels in the order red, green, blue, normalised as in EXPECTED.

    arrays: as read_tfjs gives them; the classifier is left out. Raises KeyError when one is missing.
    """
    state: StateDict = {}
    for layer in sorted({name.split("/")[0] for name in arrays}):
        if layer == "conv1":
            _convolution_and_norm(state, arrays, layer, "bn_conv1", "0", "1")
            state["0.weight"] = state["0.weight"].flip(1).contiguous()  # blue, green, red -> red, green, blue
        elif found := _BLOCK.fullmatch(layer):
            stage, letter, branch = found.groups()
            # stage 2 is the backbone's fifth module, behind convolution, norm, activation and pooling
            block = f"{int(stage) + 2}.{ord(letter) - ord('a')}"
            convolution, norm = _PARTS[branch]
            _convolution_and_norm(
                state, arrays, layer, layer.replace("res", "bn"), f"{block}.{convolution}", f"{block}.{norm}"
            )
    return state


def _convolution_and_norm(
    state: StateDict, arrays: Arrays, layer: str, bn_layer: str, convolution: str, norm: str
) -> None:
    kernel_HWIO = torch.from_numpy(arrays[f"{layer}/kernel"].copy())
    state[f"{convolution}.weight"] = kernel_HWIO.permute(3, 2, 0, 1).contiguous()
    names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for ours, theirs in names.items():
        state[f"{norm}.{ours}"] = torch.from_numpy(arrays[f"{bn_layer}/{theirs}"].copy())
    state[f"{norm}.running_mean"] -= torch.from_numpy(arrays[f"{layer}/bias"].copy())
    state[f"{norm}.num_batches_tracked"] = torch.tensor(0)
