"""Figures: as bench_train, of the large networks. `make bench-long`."""

from benchmarks.steps import measure_networks

LONG = True
_NETWORKS = ("densenet161", "vgg16", "coatnet_0", "efficientnet_b7")


def run() -> None:
    """A few steps each, random weights."""
    measure_networks(_NETWORKS, batch=4, rounds=3)
