"""Claim: a worker's memory grows by less than 20 MB over 10,000 images. `make bench-long`."""

import os
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.record import record
from benchmarks.served import (
    READY_S,
    answered,
    b7_bundle,
    chosen_engine,
    distinct_films,
    forget_files,
    resident_mb,
    wait_until_done,
)
from testing.serving import serve

LONG = True
_IMAGES: Final = int(os.environ.get("BENCH_MEMORY_IMAGES", "10000"))
_AT_ONCE: Final = 200
_POLL_S: Final = 0.5


def run() -> None:
    """EfficientNet-B7, 224 px; the same 200 films again and again, each time other files: all are decoded and read."""
    films, what = distinct_films(_AT_ONCE)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with serve(folder / "data", b7_bundle(folder / "b7"), chosen_engine(), ready_s=READY_S) as server:
            resident = []
            for turn in range(1 + _IMAGES // _AT_ONCE):
                # what follows a PNG's end is no part of its picture, but of the file's sha256
                uid = server.upload([(name, data + f"{turn}".encode()) for name, data in films], show=False)
                wait_until_done(server, uid, at_least=_AT_ONCE, every_s=_POLL_S)
                resident.append(resident_mb(server))
                forget_files(server)
        passes = sum(answered(server.log))
        assert passes == len(resident) * _AT_ONCE, f"{passes} forward passes"
    steps = " ".join(f"{value:.0f}" for value in resident[:: max(1, len(resident) // 10)])
    how = f"B7 224 px, {what}, over {_IMAGES} images after the first {_AT_ONCE}; on the way: {steps}"
    record("worker_rss_growth_long_mb", resident[-1] - resident[0], "MB", how)
