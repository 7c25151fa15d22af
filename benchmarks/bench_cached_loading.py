"""Claim: training from the cache of uint8 pixels loads at least 20 times the images of decoding files each epoch."""

from dataclasses import replace
from itertools import cycle, islice

from benchmarks import steps
from benchmarks.films import films_of_1024_px
from benchmarks.record import interleaved_medians, record
from diagnosis_tool.cxr.preprocess import preprocess
from training.datasets.base import read_radiograph

_DECODED, _LOADED, _BATCH = 4, 128, 32  # short tasks in many turns: a busy machine hits both alike


def run() -> None:
    """Cache at 256 px, flip and rotation to 224 px, against decoding and preprocess() alone.

    Nothing runs in parallel but the gathering of the next batch.
    """
    spec = replace(steps.recipe().preprocess, size_px=steps.recipe().data.cache_size_px)
    with films_of_1024_px(spec) as films:
        turns = cycle(films.records)

        def decode() -> None:
            for item in islice(turns, _DECODED):
                preprocess(read_radiograph(item.path), spec)

        tasks = {"decode": decode, "cached": lambda: steps.load(films.cached, _LOADED, _BATCH)}
        seconds = interleaved_medians(tasks, rounds=16)
    cached, decoded = _LOADED / seconds["cached"], _DECODED / seconds["decode"]
    how = f"images/s of the 256-px cache with flip and rotation / decoding {films.what} of 1024 px without"
    record("cached_loading_vs_decoding", cached / decoded, "x", how)
    record("cached_loading", cached, "images/s", "256-px cache, flip and rotation to 224 px")
