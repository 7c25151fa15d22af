"""Figure: as bench_engines, eight images of 600 px. `make bench-long`."""

from benchmarks.bench_engines import versus_eager

LONG = True


def run() -> None:
    """Eager torch takes a true batch, OpenVINO one image after another."""
    versus_eager(600, 8, rounds=3)
