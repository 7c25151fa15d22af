"""Claim: heatmaps of all outputs cost a few percent of the forward pass that they explain."""

import numpy as np
import torch

from benchmarks.record import interleaved_medians, record
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.explanation import Explanation, ExplanationSpec
from diagnosis_tool.cxr.gradcam import explain
from diagnosis_tool.cxr.network import build_network
from tests.bundles import network_spec
from training.phantom import chest_phantom


def run() -> None:
    """EfficientNet-B7, 224 px, random weights: predict alone against predict with 15 heatmaps."""
    torch.manual_seed(0)
    network = build_network(network_spec("efficientnet_b7"), 15)
    engine = TorchEngine(network)
    x = chest_phantom(seed=0, height_px=224, width_px=224)[None]

    spec = ExplanationSpec(
        method=Explanation.GRADCAM,
        mean_maps=tuple(tuple((0.0,) * 7 for _ in range(7)) for _ in range(15)),
        opposite=0.5,
        smoothing_cells=1.0,
        box_threshold=0.5,
    )

    def with_heatmaps() -> object:
        _, features = engine.run(x)
        return explain(network.head, np.asarray(features[0]), 15, spec)

    seconds = interleaved_medians({"predict": lambda: engine.run(x), "with": with_heatmaps}, rounds=15)
    ratio = seconds["with"] / seconds["predict"]
    record("all_heatmaps_vs_predict", ratio, "x", "B7 224 px torch f32: forward + 15 Grad-CAM maps / forward alone")
