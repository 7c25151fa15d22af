"""Loading weights: nothing is drawn first, whatever lies in memory."""

import torch
from torch import nn

from diagnosis_tool.cxr.weights import NoRandomStart


def test_what_draws_until_all_is_within_bounds_comes_to_an_end() -> None:
    """GoogLeNet's start: memory that holds larger values must not keep it drawing for ever."""
    weights = torch.full((4, 4), 5.0)
    with NoRandomStart():
        nn.init.trunc_normal_(weights, mean=0.0, std=0.01, a=-2, b=2)
    assert weights.abs().max() <= 2


def test_nothing_is_drawn() -> None:
    state = torch.random.get_rng_state()
    with NoRandomStart():
        nn.Conv2d(3, 4, 3)
        nn.init.kaiming_normal_(torch.empty(4, 4))
    assert torch.equal(state, torch.random.get_rng_state())
