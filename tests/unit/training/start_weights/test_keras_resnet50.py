"""The published layout of Keras' ResNet-50, filled with random numbers: read, converted, and computed independently."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from diagnosis_tool.cxr.network import build_network
from testing.bundles import network_spec
from training.start_weights.keras_resnet50 import EXPECTED, Arrays, read_tfjs, resnet50_v1_backbone

BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}


def layers() -> Iterator[tuple[str, str, tuple[int, int, int, int]]]:
    """Convolution, its norm, and the kernel's shape (H, W, in, out)."""
    yield "conv1", "bn_conv1", (7, 7, 3, 64)
    width = 64
    for stage, letters in BLOCKS.items():
        inner = 64 * 2 ** (stage - 2)
        for letter in letters:
            shapes = {"2a": (1, 1, width, inner), "2b": (3, 3, inner, inner), "2c": (1, 1, inner, 4 * inner)}
            if letter == "a":
                shapes["1"] = (1, 1, width, 4 * inner)
            for branch, shape in shapes.items():
                yield f"res{stage}{letter}_branch{branch}", f"bn{stage}{letter}_branch{branch}", shape
            width = 4 * inner


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    made: Arrays = {"fc1000/kernel": np.zeros((2048, 1000), np.float32), "fc1000/bias": np.zeros(1000, np.float32)}
    for conv, norm, shape in layers():
        fan_in = shape[0] * shape[1] * shape[2]
        made[f"{conv}/kernel"] = rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        for name in (f"{conv}/bias", f"{norm}/beta", f"{norm}/moving_mean"):
            made[name] = rng.standard_normal(shape[3], np.float32) * np.float32(0.1)
        for name in (f"{norm}/gamma", f"{norm}/moving_variance"):
            made[name] = rng.uniform(0.5, 1, shape[3]).astype(np.float32)
        if conv == "conv1":  # it sees grey levels, not numbers around 1
            made["conv1/kernel"] /= 100
    return made


def reference(arrays: Arrays, x_BHWC: torch.Tensor) -> torch.Tensor:
    """The network as Keras describes it, layer by layer, with its biases. x_BHWC: red, green, blue, 0..255."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def apply(x: torch.Tensor, conv: str, norm: str, stride: int = 1, padding: int = 0) -> torch.Tensor:
        x = functional.conv2d(
            x, tensors[f"{conv}/kernel"].permute(3, 2, 0, 1), tensors[f"{conv}/bias"], stride, padding
        )
        statistics = (tensors[f"{norm}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta"))
        return functional.batch_norm(x, *statistics, eps=1e-3)

    blue_green_red = x_BHWC.flip(-1) - torch.tensor([103.939, 116.779, 123.68])
    x = apply(blue_green_red.permute(0, 3, 1, 2), "conv1", "bn_conv1", 2, 3).relu()
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, letters in BLOCKS.items():
        for letter in letters:
            stride = 2 if letter == "a" and stage > 2 else 1
            conv, norm = f"res{stage}{letter}_branch", f"bn{stage}{letter}_branch"
            y = apply(x, f"{conv}2a", f"{norm}2a", stride).relu()
            y = apply(y, f"{conv}2b", f"{norm}2b", 1, 1).relu()
            y = apply(y, f"{conv}2c", f"{norm}2c")
            x = (y + (apply(x, f"{conv}1", f"{norm}1", stride) if letter == "a" else x)).relu()
    return x


def test_computes_what_keras_describes(arrays: Arrays) -> None:
    network = build_network(network_spec("resnet50_v1", mean=EXPECTED.mean, std=EXPECTED.std), 1).eval()
    network.features.load_state_dict(resnet50_v1_backbone(arrays), strict=True)
    x_BHWC = torch.randint(0, 256, (1, 64, 96, 3), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        ours = network.features((x_BHWC.permute(0, 3, 1, 2) / 255 - network.mean) / network.std)
        theirs = reference(arrays, x_BHWC)
    assert theirs.shape == (1, 2048, 2, 3)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.max()))


def stored(arrays: Arrays, cut: int) -> tuple[bytes, dict[str, bytes]]:
    weights = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in arrays.items()]
    data = b"".join(array.tobytes() for array in arrays.values())
    shards = {"group1-shard1of2.bin": data[:cut], "group1-shard2of2.bin": data[cut:]}
    return json.dumps({"weightsManifest": [{"paths": list(shards), "weights": weights}]}).encode(), shards


SMALL: Arrays = {"a/kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3), "a/bias": np.ones(2, np.float32)}


def test_reads_shards_that_cut_through_an_array() -> None:
    found = read_tfjs(*stored(SMALL, cut=13))
    assert found.keys() == SMALL.keys()
    assert all((found[name] == SMALL[name]).all() for name in SMALL)


def test_refuses_what_does_not_add_up() -> None:
    model, shards = stored(SMALL, cut=13)
    with pytest.raises(KeyError, match="shard2"):
        read_tfjs(model, {"group1-shard1of2.bin": b""})
    with pytest.raises(ValueError, match="describes 32"):
        read_tfjs(model, shards | {"group1-shard2of2.bin": shards["group1-shard2of2.bin"] + b"1234"})
    with pytest.raises(ValueError, match="end before a/bias"):
        read_tfjs(model, shards | {"group1-shard2of2.bin": shards["group1-shard2of2.bin"][:-4]})
    with pytest.raises(ValueError, match="float32"):
        read_tfjs(model.replace(b"float32", b"float16"), shards)


def test_a_missing_array_is_named(arrays: Arrays) -> None:
    with pytest.raises(KeyError, match="bn3b_branch2c/beta"):
        resnet50_v1_backbone({name: array for name, array in arrays.items() if name != "bn3b_branch2c/beta"})
