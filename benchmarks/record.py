"""Measuring side by side, and writing down what came of it."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

FILE = Path("build") / "bench.jsonl"


def record(name: str, value: float, unit: str, how: str) -> None:
    """Prints one figure and appends it to build/bench.jsonl. how: what was measured against what, and on what."""
    line = {"name": name, "value": round(value, 4), "unit": unit, "how": how}
    print(f"{name}: {value:.3g} {unit}  ({how})", flush=True)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def not_measured(name: str, why: str) -> None:
    """Prints that a benchmark gave no figure; nothing is appended."""
    print(f"{name}: not measured: {why}", flush=True)


def interleaved_medians(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each task, run in turns, so that whatever slows the machine slows all of them."""
    for task in tasks.values():
        task()  # warm
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
