"""EfficientNet-Lite's published layout, filled with random numbers: converted, and computed independently."""

import math

import pytest
import torch
from torch.nn import functional

from diagnosis_tool.cxr.network import ChestNetwork, build_network
from testing.bundles import network_spec
from training.start_weights.efficientnet_lite import EXPECTED, lite_backbone

Published = dict[str, torch.Tensor]

# of Lite0: expansion, kernel, stride, channels in and out
BLOCKS = [
    (1, 3, 1, 32, 16),
    (6, 3, 2, 16, 24), (6, 3, 1, 24, 24),
    (6, 5, 2, 24, 40), (6, 5, 1, 40, 40),
    (6, 3, 2, 40, 80), (6, 3, 1, 80, 80), (6, 3, 1, 80, 80),
    (6, 5, 1, 80, 112), (6, 5, 1, 112, 112), (6, 5, 1, 112, 112),
    (6, 5, 2, 112, 192), (6, 5, 1, 192, 192), (6, 5, 1, 192, 192), (6, 5, 1, 192, 192),
    (6, 3, 1, 192, 320),
]  # fmt: skip


@pytest.fixture(scope="module")
def published() -> Published:
    state: Published = {}
    generator = torch.Generator().manual_seed(0)

    def add(conv: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        weight = torch.randn((outputs, inputs, kernel, kernel), generator=generator)
        state[f"{conv}.weight"] = weight * (2 / (inputs * kernel**2)) ** 0.5
        for part in ("weight", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(outputs, generator=generator) + 0.5
        for part in ("bias", "running_mean"):
            state[f"{norm}.{part}"] = torch.randn(outputs, generator=generator) * 0.1
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("_conv_stem", "_bn0", 32, 3, 3)
    for i, (expansion, kernel, _, inputs, outputs) in enumerate(BLOCKS):
        inner = inputs * expansion
        if expansion > 1:
            add(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", inner, inputs, 1)
        add(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", inner, 1, kernel)
        add(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", outputs, inner, 1)
    add("_conv_head", "_bn1", 1280, 320, 1)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state


def reference(state: Published, x: torch.Tensor) -> torch.Tensor:
    """The network layer by layer, with TensorFlow's padding. x: (B, 3, H, W), normalised."""

    def apply(x: torch.Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        kernel = state[f"{conv}.weight"]
        total = [max((math.ceil(n / stride) - 1) * stride + kernel.shape[-1] - n, 0) for n in x.shape[:1:-1]]
        x = functional.pad(x, [side for t in total for side in (t // 2, t - t // 2)])
        x = functional.conv2d(x, kernel, stride=stride, groups=groups)
        statistics = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *statistics, eps=1e-3)

    x = functional.relu6(apply(x, "_conv_stem", "_bn0", stride=2))
    for i, (expansion, _, stride, inputs, outputs) in enumerate(BLOCKS):
        block, y = f"_blocks.{i}.", x
        if expansion > 1:
            y = functional.relu6(apply(y, f"{block}_expand_conv", f"{block}_bn0"))
        y = functional.relu6(apply(y, f"{block}_depthwise_conv", f"{block}_bn1", stride, groups=y.shape[1]))
        y = apply(y, f"{block}_project_conv", f"{block}_bn2")
        x = x + y if stride == 1 and inputs == outputs else y
    return functional.relu6(apply(x, "_conv_head", "_bn1"))


def network(architecture: str) -> ChestNetwork:
    torch.manual_seed(0)
    return build_network(network_spec(architecture, mean=EXPECTED.mean, std=EXPECTED.std), 1).eval()


def grey(height_px: int, width_px: int) -> torch.Tensor:
    return torch.randint(0, 256, (1, height_px, width_px), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size_px", [(64, 96), (65, 67)])
def test_computes_what_was_published(published: Published, size_px: tuple[int, int]) -> None:
    ours = network("efficientnet_lite0")
    ours.features.load_state_dict(lite_backbone("efficientnet_lite0", published), strict=True)
    x = grey(*size_px)
    with torch.inference_mode():
        theirs = reference(published, ((x - 127) / 128)[:, None].expand(-1, 3, -1, -1))
        torch.testing.assert_close(ours(x)[1], theirs, rtol=1e-3, atol=1e-3)
    assert theirs.std() > 0.1


def test_refuses_another_network(published: Published) -> None:
    with pytest.raises(KeyError, match="_blocks"):
        lite_backbone("efficientnet_lite1", published)
    with pytest.raises(ValueError, match="more blocks"):
        lite_backbone("efficientnet_lite0", published | {"_blocks.16._bn2.weight": torch.ones(1)})
