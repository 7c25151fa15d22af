"""Makes small bundles with random weights, as release would, for tests."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from diagnosis_tool.cxr.backbones import SIZED_ARCHITECTURES
from diagnosis_tool.cxr.bundle import CONVERTER, BundleMetadata
from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING
from diagnosis_tool.cxr.network import build_network
from diagnosis_tool.cxr.network_spec import NetworkSpec
from training.phantom import chest_phantom


def network_spec(architecture: str, *, size_px: int = 64, in_channels: int = 3, **changes: Any) -> NetworkSpec:
    """A spec of this architecture with a pooled linear head, but for `changes`."""
    spec = NetworkSpec(
        architecture=architecture,
        in_channels=in_channels,
        input_px=size_px if architecture in SIZED_ARCHITECTURES else 0,
        mean=(0.5,) * in_channels,
        std=(0.25,) * in_channels,
        trunk_activation="own",
        head_grid=1,
        head_hidden=(),
        head_activation="relu",
        head_batch_norm=False,
        head_dropout=0.2,
    )
    return replace(spec, **changes)


def write_bundle(
    folder: Path,
    *,
    architecture: str = "mobilenet_v2",
    size_px: int = 64,
    outputs: tuple[str, ...] = NIH_OUTPUTS,
    activation: str = "sigmoid",
    seed: int = 0,
    settled: bool = False,
    **changes: Any,
) -> Path:
    """A valid bundle of this architecture with random weights; the folder is returned. changes: of the network's spec.

    settled: BatchNorm has seen phantoms, else deep networks' feature maps vanish and logits are the last bias.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = network_spec(architecture, size_px=size_px, **changes)
    torch.manual_seed(seed)
    network = build_network(spec, len(outputs)).eval()
    if settled:
        phantoms = [chest_phantom(seed=seed + k, height_px=size_px, width_px=size_px) for k in range(4)]
        settle_statistics(network, torch.from_numpy(np.stack(phantoms)))
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    network.load_state_dict({k: v.float() for k, v in state.items()})
    phantom = chest_phantom(seed=seed, height_px=size_px, width_px=size_px)
    Image.fromarray(phantom).save(folder / "golden-1.png")
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.array(phantom))[None])[0][0].tolist()
    data = metadata(outputs, activation, CONVERTER.unstructure(spec), size_px)
    data["weights"] = [{"file": "weights.safetensors", "sha256": _sha256(folder / "weights.safetensors")}]
    golden = {"file": "golden-1.png", "sha256": _sha256(folder / "golden-1.png"), "logits": logits}
    data["golden"] = {"tolerance": 0.01, "inputs": [golden]}
    (folder / "bundle.json").write_text(json.dumps(data))
    CONVERTER.structure(data, BundleMetadata)
    return folder


def settle_statistics(network: torch.nn.Module, x_BHW: torch.Tensor) -> None:
    """Fresh weights give feature maps of 1e-11: let BatchNorm see images. Leaves the network in eval mode."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.momentum = None
    with torch.no_grad():
        network.train()(x_BHW)
    network.eval()


def metadata(outputs: tuple[str, ...], activation: str, network: dict[str, Any], size_px: int) -> dict[str, Any]:
    """bundle.json as plain values, without weights and golden inputs."""
    interval = {"value": 0.7, "low": 0.6, "high": 0.8}
    return {
        "schema_version": 2,
        "name": f"{network['architecture']}-test",
        "version": "0.1",
        "git_commit": "0" * 40,
        "outputs": [{"name": n, "kind": "absence" if n in {NO_FINDING, "normal"} else "finding"} for n in outputs],
        "activation": activation,
        "network": network,
        "preprocess": {
            "size_px": size_px,
            "geometry": "stretch",
            "interpolation": "bilinear",
            "window_low_percentile": 0.5,
            "window_high_percentile": 99.5,
        },
        "calibration": {
            "method": "none",
            "slope": [1.0] * len(outputs),
            "intercept": [0.0] * len(outputs),
            "fitted_on": "nothing: random weights",
        },
        "explanation": {
            "method": "gradcam",
            "mean_maps": [],
            "opposite": 0.0,
            "smoothing_cells": 0.0,
            "box_threshold": 0.5,
        },
        "operating_points": [
            {
                "output": name,
                "criterion": "youden",
                "threshold": 0.5,
                "sensitivity": interval,
                "specificity": interval,
                "source": "nothing: random weights",
            }
            for name in outputs
        ],
        "allowed_views": ["PA", "AP"],
        "training": {
            "dataset": "none",
            "recipe": "none",
            "start_weights": "random",
            **dict.fromkeys(("seed", "epochs"), 0),
            **{f"{side}_{what}": 0 for side in ("train", "validation") for what in ("images", "patients")},
            **{f"{side}_split_sha256": "0" * 64 for side in ("train", "validation", "test")},
            "limits": ["Random weights: every number is meaningless."],
        },
        "evaluations": [],
        "admitted": [],
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
