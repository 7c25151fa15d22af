"""Claims: from upload to stored answers at 70% of the engine's own rate; the first within 1 s; at most 900 MB."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.record import record
from benchmarks.served import READY_S, answered, b7_bundle, chosen_engine, distinct_films, resident_mb, wait_until_done
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.settings import Settings
from diagnosis_tool.worker import memory
from diagnosis_tool.worker.wiring import load, warm
from testing.serving import Server, serve

_IMAGES: Final = 200
_FIRST: Final = 12
_ENGINE_ROUNDS, _ENGINE_IMAGES = 2, 25
_POLL_S: Final = 0.2
"""So much later than it is, at most, the end is seen."""
_LOOK_S: Final = 0.01


def run() -> None:
    """EfficientNet-B7, 224 px, random weights. Server and worker run as `diagnosis-tool serve` starts them."""
    memory.keep_flat()  # as in the worker
    films, what = distinct_films(_IMAGES + 2 * _FIRST)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle = b7_bundle(folder / "b7")
        settings = chosen_engine() | {"DATA_DIR": str(folder / "data"), "BUNDLE": str(bundle)}
        classifier = load(Settings.from_env({**os.environ, **settings}))
        warm(classifier)
        with serve(folder / "data", bundle, settings, ready_s=READY_S) as server:
            first_s = [_first_result_s(server, films[start : start + _FIRST]) for start in (0, _FIRST)]
            before_mb = resident_mb(server)
            engine_s = _engine_s(classifier)
            upload_s, whole_s = _end_to_end_s(server, films[2 * _FIRST :])
            engine_s += _engine_s(classifier)
            after_mb = resident_mb(server)
        passes = sum(answered(server.log))
        assert passes == len(films), f"{passes} forward passes for {len(films)} images"
    each_s, identity = statistics.median(engine_s), classifier.identity
    how = f"B7 224 px {identity.engine} {identity.precision}, {len(os.sched_getaffinity(0))} cores"
    rates = f"{_IMAGES / whole_s:.1f} / {1 / each_s:.1f} images/s, of it {upload_s:.1f} s upload in one form"
    record("end_to_end_vs_engine", _IMAGES * each_s / whole_s, "x", f"{what}, {how}: {rates}")
    record("first_result_s", max(first_s), "s", f"after the upload of {_FIRST} films ended, idle machine; {how}")
    record("worker_rss_mb", after_mb, "MB", f"after {len(films)} images; {how}")
    record("worker_rss_growth_mb", after_mb - before_mb, "MB", f"over the last {_IMAGES} images; {how}")


def _engine_s(classifier: BundleClassifier) -> list[float]:
    side = classifier.bundle.metadata.preprocess.size_px
    x_1HW = np.random.default_rng(0).integers(0, 256, (1, side, side), dtype=np.uint8)
    seconds = []
    for _ in range(_ENGINE_ROUNDS):
        start = time.perf_counter()
        for _ in range(_ENGINE_IMAGES):
            classifier.engine.run(x_1HW)
        seconds.append((time.perf_counter() - start) / _ENGINE_IMAGES)
    return seconds


def _first_result_s(server: Server, films: list[tuple[str, bytes]]) -> float:
    uid = server.upload(films, show=False)
    start = time.perf_counter()
    wait_until_done(server, uid, at_least=1, every_s=_LOOK_S)
    seconds = time.perf_counter() - start
    wait_until_done(server, uid, at_least=len(films), every_s=_POLL_S)
    return seconds


def _end_to_end_s(server: Server, films: list[tuple[str, bytes]]) -> tuple[float, float]:
    """(seconds until the upload was answered, seconds until all is stored)."""
    start = time.perf_counter()
    uid = server.upload(films, show=False)
    upload_s = time.perf_counter() - start
    wait_until_done(server, uid, at_least=len(films), every_s=_POLL_S)
    return upload_s, time.perf_counter() - start
