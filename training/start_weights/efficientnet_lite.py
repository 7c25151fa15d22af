"""EfficientNet-Lite's published states as our backbones; wider_backbone makes EfficientNet-B networks of them."""

from collections.abc import Mapping
from typing import Final

import torch

from diagnosis_tool.cxr.backbones import build_backbone
from training.start_weights.first_layer import Normalisation, StateDict

EXPECTED: Final = Normalisation(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""(pixel - 127) / 128"""
EPSILON: Final = 1e-3
"""Of every BatchNorm in EfficientNet-Lite."""


def lite_backbone(architecture: str, state: Mapping[str, torch.Tensor]) -> StateDict:
    """The state of an efficientnet_lite backbone from the published one; the classifier is left out.

    Raises KeyError when a tensor is missing, ValueError when blocks are left over: then it is another network's.
    """
    with torch.device("meta"):
        features = build_backbone(architecture, 0).features
    pairs = {"0.0": "_conv_stem", "0.1": "_bn0", "8.0": "_conv_head", "8.1": "_bn1"}
    blocks = [
        f"{stage}.{i}.block"
        for stage in range(1, 8)
        for i in range(len(list(features.get_submodule(str(stage)).children())))
    ]
    for number, block in enumerate(blocks):
        layers = [name for name, _ in features.get_submodule(block).named_children()]
        expand, depthwise, project = (layers[0] if len(layers) == 4 else None), layers[-3], layers[-1]
        if expand is not None:
            pairs |= {
                f"{block}.{expand}.0": f"_blocks.{number}._expand_conv",
                f"{block}.{expand}.1": f"_blocks.{number}._bn0",
            }
        pairs |= {
            f"{block}.{depthwise}.0": f"_blocks.{number}._depthwise_conv",
            f"{block}.{depthwise}.1": f"_blocks.{number}._bn1",
        }
        pairs |= {
            f"{block}.{project}.0": f"_blocks.{number}._project_conv",
            f"{block}.{project}.1": f"_blocks.{number}._bn2",
        }
    if any(name.startswith(f"_blocks.{len(blocks)}.") for name in state):
        raise ValueError(f"the state has more blocks than {architecture}")
    return {
        f"{ours}.{part}": state[f"{pairs[ours]}.{part}"]
        for ours, _, part in (name.rpartition(".") for name in features.state_dict())
    }
