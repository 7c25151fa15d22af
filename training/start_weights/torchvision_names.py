"""torchvision's whole-network states as states of our backbones, which count their modules from the image."""

import re
from collections.abc import Mapping
from typing import Final

import torch

from training.start_weights.first_layer import IMAGENET, SYMMETRIC, Normalisation, StateDict

_RESNET: Final = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
# DenseNet's files are older than the rule that module names have no dots
_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")


def backbone_state(architecture: str, state: Mapping[str, torch.Tensor]) -> StateDict:
    """The backbone's part of a torchvision state under our names, without the classifier and GoogLeNet's side exits.

    Whether it fits is checked where it is loaded.
    """
    if architecture.startswith("resnet"):
        named = {name: name.partition(".") for name in state}
        return {f"{_RESNET[first]}.{rest}": state[name] for name, (first, _, rest) in named.items() if first in _RESNET}
    if architecture == "googlenet":
        return {name: value for name, value in state.items() if not name.startswith(("fc.", "aux1.", "aux2."))}
    backbone = {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    if architecture.startswith("densenet"):
        backbone = {_DENSENET.sub(r"\1\2", name): value for name, value in backbone.items()}
    return backbone


def expected(architecture: str) -> Normalisation:
    """What torchvision's published weights of this architecture expect: GoogLeNet's came from elsewhere."""
    return SYMMETRIC if architecture == "googlenet" else IMAGENET
