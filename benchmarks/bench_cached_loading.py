"""Claim: training from the cache of uint8 pixels loads at least 20 times the images of decoding files each epoch."""

from dataclasses import replace

from benchmarks import steps
from benchmarks.films import films_of_1024_px
from benchmarks.record import interleaved_medians, record
from diagnosis_tool.cxr.preprocess import preprocess
from training.datasets.base import read_radiograph

_IMAGES, _BATCH = 512, 32


def run() -> None:
    """Cache at 256 px, flip and rotation to 224 px, against decoding and preprocess() alone; one thread each."""
    spec = replace(steps.recipe().preprocess, size_px=steps.recipe().data.cache_size_px)
    with films_of_1024_px(spec) as films:

        def decode() -> None:
            for item in films.records:
                preprocess(read_radiograph(item.path), spec)

        tasks = {"decode": decode, "cached": lambda: steps.load(films.cached, _IMAGES, _BATCH)}
        seconds = interleaved_medians(tasks, rounds=5)
    ratio = (_IMAGES / seconds["cached"]) / (len(films.records) / seconds["decode"])
    how = f"images/s of the 256-px cache with flip and rotation / decoding {films.what} of 1024 px without; one thread"
    record("cached_loading_vs_decoding", ratio, "x", how)
    record("cached_loading", _IMAGES / seconds["cached"], "images/s", "256-px cache, flip and rotation to 224 px")
