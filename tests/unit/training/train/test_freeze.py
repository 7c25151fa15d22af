"""Frozen parts do not learn, do not drift, and every architecture's stages are its whole backbone; stochastic depth."""

import pytest
import torch
from torchvision.ops import StochasticDepth

from diagnosis_tool.cxr.backbones import build_backbone
from diagnosis_tool.cxr.network import ARCHITECTURES, ChestNetwork, build_network
from testing.bundles import network_spec
from training.errors import RecipeInvalid
from training.train.freeze import first_stages, freeze, frozen_stages_at, scale_stochastic_depth, stages, train_mode


def network(architecture: str = "mobilenet_v2") -> ChestNetwork:
    return build_network(network_spec(architecture), 3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_stages_are_the_backbone(architecture: str) -> None:
    with torch.device("meta"):
        built = network(architecture)
    for count in range(len(stages(architecture)) + 1):
        freeze(built, first_stages(architecture, count))
    assert not any(p.requires_grad for p in built.features.parameters())
    names = first_stages(architecture, len(stages(architecture)))
    assert len(set(names)) == len(names)
    owners = [
        [n for n in names if p == n or p.startswith(f"{n}.")] for p, _ in built.features.named_parameters("features")
    ]
    assert all(len(found) == 1 for found in owners)


def test_stages_follow_the_resolution() -> None:
    built = network("googlenet").eval()
    x, sides = torch.zeros((1, 3, 64, 64)), []
    for stage in stages("googlenet"):
        for name in stage.modules:
            x = built.get_submodule(name)(x)
        sides.append(x.shape[-1])
    assert sides == [16, 8, 4, 2, 2]


def test_only_what_is_not_named_learns() -> None:
    built = network()
    learning = freeze(built, ["features.0", "features.18.1", "head.3.bias"])
    still = {name for name, p in built.named_parameters() if not p.requires_grad}
    parts = ("0.0.weight", "0.1.weight", "0.1.bias", "18.1.weight", "18.1.bias")
    assert still == {"head.3.bias", *(f"features.{part}" for part in parts)}
    assert learning == sum(p.numel() for p in built.parameters()) - sum(
        dict(built.named_parameters())[name].numel() for name in still
    )
    assert freeze(built, []) == sum(p.numel() for p in built.parameters())


def test_one_step_changes_nothing_that_is_frozen() -> None:
    torch.manual_seed(0)
    built = network()
    freeze(built, first_stages("mobilenet_v2", 4))
    before = {name: value.clone() for name, value in built.state_dict().items()}
    optimizer = torch.optim.AdamW(built.parameters(), lr=0.1, weight_decay=0.1)
    train_mode(built)
    built(torch.randint(0, 256, (2, 64, 64)))[0].sum().backward()
    optimizer.step()
    changed = {name for name, value in built.state_dict().items() if not torch.equal(value, before[name])}
    frozen = first_stages("mobilenet_v2", 4)
    assert not any(name.startswith(f"{stage}.") for name in changed for stage in frozen)
    assert any(name.endswith("running_mean") for name in changed)
    assert "head.3.weight" in changed


def test_head_alone_learns() -> None:
    built = network("vgg16")
    freeze(built, ("features",))
    train_mode(built)
    assert not built.features.training
    assert built.head.training
    assert {name for name, p in built.named_parameters() if p.requires_grad} == {"head.3.weight", "head.3.bias"}


def test_schedule() -> None:
    schedule = [(0, 9), (2, 5), (4, 0)]
    assert [frozen_stages_at(epoch, schedule) for epoch in range(6)] == [9, 9, 5, 5, 0, 0]
    assert frozen_stages_at(0, [(1, 3)]) == 0


def test_refuses_what_is_not_there() -> None:
    with pytest.raises(RecipeInvalid, match=r"features\.99"):
        freeze(network(), ["features.99"])
    with pytest.raises(RecipeInvalid, match="5 stages"):
        first_stages("resnet18", 6)
    with pytest.raises(RecipeInvalid, match="resnet999"):
        stages("resnet999")


def test_the_architectures_own_stochastic_depth_is_scaled() -> None:
    backbone = build_backbone("efficientnet_b0", 0).features
    blocks = [module for module in backbone.modules() if isinstance(module, StochasticDepth)]
    own = [block.p for block in blocks]
    assert max(own) > 0.1
    scale_stochastic_depth(backbone, 0.5)
    assert [block.p for block in blocks] == [p / 2 for p in own]
    scale_stochastic_depth(backbone, 0.0)
    assert {block.p for block in blocks} == {0.0}
