"""The loss by which readers' boxes supervise where a network looks.

Source: after Li et al. 2018, 'Thoracic disease identification and localization with limited supervision'.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from diagnosis_tool.cxr.network import ChestNetwork
from training.errors import RecipeInvalid

_LEAST_CELLS: Final = 0.3  # a crop that shows less of the boxes than this counts for nothing
_LEAST_SHARE: Final = 1e-4  # keeps the logarithm finite


def last_layer(network: ChestNetwork) -> nn.Linear:
    """The layer whose weights make a map of each cell's say in an output.

    Raises RecipeInvalid for a head that is more than a mean over the cells and one dense layer.
    """
    layers = [layer for layer in network.head.children() if not isinstance(layer, nn.Dropout | nn.Flatten)]
    match layers:
        case [nn.AdaptiveAvgPool2d(output_size=1), nn.Linear() as last]:
            return last
    raise RecipeInvalid(
        "boxes supervise a network whose head is a mean over the map and one dense layer: head_grid = 1."
    )


def location_loss(
    features_BChw: torch.Tensor, last: nn.Linear, masks_BHW: torch.Tensor, columns: Sequence[int]
) -> torch.Tensor:
    """How far the maps of the outputs `columns` lie outside of the boxes: summed over the films with boxes, a scalar.

    masks_BHW: 0..255, in the film as it was augmented. The map's softmax over all cells is a guess of where the
    finding lies; a film's loss is minus the logarithm of the part that lies in the boxes, a mean over the outputs.
    """
    height, width = features_BChw.shape[2:]
    inside_BP = functional.adaptive_avg_pool2d(masks_BHW[:, None] / 255, (height, width)).flatten(1)
    shown = inside_BP.sum(1) > _LEAST_CELLS
    if not bool(shown.any()):
        return features_BChw.new_zeros(())
    maps_BKP = torch.einsum("kc,bchw->bkhw", last.weight[list(columns)], features_BChw[shown].float()).flatten(2)
    share_BK = (maps_BKP.softmax(2) * inside_BP[shown][:, None]).sum(2)
    return -share_BK.clamp(min=_LEAST_SHARE).log().mean(1).sum()
