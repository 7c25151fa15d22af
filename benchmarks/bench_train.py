"""Figures: images a second that the smaller networks of the recipes learn from, in both precisions."""

from benchmarks.steps import measure_networks

_NETWORKS = ("resnet18", "resnet34", "resnet50", "densenet121", "googlenet", "efficientnet_b0", "mobilenet_v2")


def run() -> None:
    """A few steps each, random weights."""
    measure_networks(_NETWORKS, batch=8, rounds=3)
