"""How often residual blocks are left out while a network learns."""

import pytest
from torchvision.ops import StochasticDepth

from diagnosis_tool.cxr.backbones import build_backbone
from tests.recipes import tiny_recipe
from training.errors import RecipeInvalid
from training.train.stochastic_depth import scale_stochastic_depth


def _probabilities(backbone):
    return [module.p for module in backbone.modules() if isinstance(module, StochasticDepth)]


def test_the_architectures_own_probability_is_scaled():
    backbone = build_backbone("efficientnet_b0", 0).features
    own = _probabilities(backbone)
    assert max(own) > 0.1
    scale_stochastic_depth(backbone, 0.5)
    assert _probabilities(backbone) == [p / 2 for p in own]
    scale_stochastic_depth(backbone, 0.0)
    assert set(_probabilities(backbone)) == {0.0}


@pytest.mark.parametrize("share", [-0.1, 6.0])
def test_a_share_that_is_no_share_is_refused(share):
    with pytest.raises(RecipeInvalid, match="stochastic_depth"):
        tiny_recipe(loop__stochastic_depth=share)
