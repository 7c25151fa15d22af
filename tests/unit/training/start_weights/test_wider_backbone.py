"""Larger EfficientNets that start with the answers of smaller networks."""

import pytest
import torch
from torch import nn

from diagnosis_tool.cxr.network import ChestNetwork, build_network
from testing.bundles import network_spec
from training.start_weights.efficientnet_lite import EXPECTED
from training.start_weights.first_layer import StateDict
from training.start_weights.wider_backbone import (
    as_efficientnet,
    batch_norm_epsilon,
    placed,
    wider_backbone,
    with_epsilon,
)


def network(architecture: str, seed: int = 0) -> ChestNetwork:
    """With ReLU6 throughout, and statistics of BatchNorm that are not those of a fresh one."""
    spec = network_spec(architecture, mean=EXPECTED.mean, std=EXPECTED.std, trunk_activation="relu6")
    torch.manual_seed(seed)
    built = build_network(spec, 1).eval()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.2, 0.6)
            module.weight.data.uniform_(0.6, 1.2)
            module.bias.data.normal_(std=0.1)
    return built


def member(small: ChestNetwork, large: ChestNetwork) -> StateDict:
    own, ours = batch_norm_epsilon(small.features), batch_norm_epsilon(large.features)
    return with_epsilon(small.features.state_dict(), own, ours)


def grey(size_px: int) -> torch.Tensor:
    return torch.randint(0, 256, (1, size_px, size_px), generator=torch.Generator().manual_seed(0))


def features(of: ChestNetwork) -> torch.Tensor:
    # a size of 32 m + 1, at which torchvision pads as TensorFlow does
    with torch.inference_mode():
        return of(grey(65))[1]


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "efficientnet_b2"])  # gates only; also wider and deeper
def test_a_grown_network_starts_as_the_smaller_one(architecture: str) -> None:
    small, larger = network("efficientnet_lite0"), network(architecture, seed=1)
    larger.features.load_state_dict(wider_backbone([member(small, larger)], larger.features))
    assert features(small).std() > 0.1
    torch.testing.assert_close(features(larger)[:, :1280], features(small), rtol=1e-3, atol=1e-3)


def test_two_networks_fit_side_by_side_into_efficientnet_b7() -> None:
    lite, mobilenet, larger = network("efficientnet_lite0"), network("mobilenet_v2", 1), network("efficientnet_b7", 2)
    members = [as_efficientnet(member(mobilenet, larger)), member(lite, larger)]
    larger.features.load_state_dict(wider_backbone(members, larger.features), strict=True)
    assert features(mobilenet).std() > 0.1
    both = torch.cat([features(mobilenet), features(lite)], dim=1)
    torch.testing.assert_close(features(larger), both, rtol=1e-3, atol=1e-3)


def test_new_weights_learn() -> None:
    small, larger = network("efficientnet_lite0"), network("efficientnet_b2", seed=1)
    larger.features.load_state_dict(wider_backbone([member(small, larger)], larger.features))
    nn.init.normal_(larger.head[-1].weight)
    for module in larger.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    larger(torch.cat([grey(65), grey(65).flip(1)]))[0].sum().backward()
    stage = larger.features[3]
    into_old_from_new = stage[1].block[0][0].weight.grad[: 6 * 40, 40:]
    new_gamma, gate = stage[2].block[3][1].weight.grad, stage[1].block[2].fc2.weight.grad
    assert all(grad.abs().max() > 0 for grad in (into_old_from_new, new_gamma, gate))


def test_what_does_not_fit_is_refused() -> None:
    wide = network("efficientnet_lite2").features.state_dict()
    with pytest.raises(ValueError, match=r"no place for 2\.2"):
        wider_backbone([wide], network("efficientnet_b0").features)
    with pytest.raises(ValueError, match="does not go into"):
        wider_backbone([wide], network("efficientnet_b1").features)
    lite = network("efficientnet_lite0").features.state_dict()
    with pytest.raises(ValueError, match="does not go into"):
        wider_backbone([lite, lite], network("efficientnet_b2").features)


def test_parts_lie_on_the_diagonal_and_hear_nobody_else() -> None:
    large = torch.full((4, 5, 3, 3), 7.0)
    filled = placed([torch.full((1, 2, 1, 1), 1.0), torch.full((2, 2, 3, 3), 2.0)], large, "w")
    assert filled[0, :2, 1, 1].tolist() == [1, 1]
    assert filled[0].sum() == 2
    assert filled[1:3, 2:4].unique().tolist() == [2]
    assert filled[1:3, :2].abs().sum() == filled[1:3, 4:].abs().sum() == 0
    assert (filled[3] == 7).all()
    assert (large == 7).all()


def test_another_epsilon_changes_no_answer() -> None:
    norm, other = nn.BatchNorm2d(4, eps=1e-5).eval(), nn.BatchNorm2d(4, eps=1e-3).eval()
    norm.running_var.copy_(torch.tensor([1e-6, 1e-3, 1.0, 30.0]))
    state = {f"n.{name}": value for name, value in norm.state_dict().items()}
    changed = with_epsilon(state, 1e-5, 1e-3)
    other.load_state_dict({name.removeprefix("n."): value for name, value in changed.items()})
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(other(x), norm(x))
