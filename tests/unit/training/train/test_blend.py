"""The blend begins as ReLU6, ends as SiLU, and is linear between."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.train.blend import BlendedActivation, blend_ratio, finish_blend, set_blend, start_blend


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_is_the_weighted_sum(ratio: float) -> None:
    x = torch.linspace(-8, 8, 33)
    expected = (1 - ratio) * functional.relu6(x) + ratio * functional.silu(x)
    torch.testing.assert_close(BlendedActivation(ratio)(x), expected)


def test_ratio_rises_over_the_first_half() -> None:
    assert [blend_ratio(step, 8) for step in range(8)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert blend_ratio(0, 1, part=0.0) == 0
    assert blend_ratio(1, 1, part=0.0) == 1


def test_cannot_be_finished_early() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.SiLU())
    assert start_blend(network) == 1
    set_blend(network, 0.75)
    with pytest.raises(ValueError, match="25% ReLU6"):
        finish_blend(network)
    assert isinstance(network[1], BlendedActivation)
