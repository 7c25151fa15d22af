"""Films for the claims on loading: real ones of 1024 px where shared/ lies beside the checkout, else phantoms."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from diagnosis_tool.cxr.preprocess import PreprocessSpec
from training.datasets.base import Record, Split
from training.phantom import chest_phantom, save_phantom
from training.prepare.cache import cached_pixels
from training.prepare.data import Samples

_REAL: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-1024"
_COUNT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """The same films as files and in a cache. what: what they are, for the record."""

    records: tuple[Record, ...]
    cached: Samples
    what: str


@contextmanager
def films_of_1024_px(cached: PreprocessSpec) -> Iterator[Films]:
    """Sixteen PNG files of 1024 x 1024 px, and their cache at the spec's size. Both go when the block ends."""
    with tempfile.TemporaryDirectory() as scratch:
        real = sorted(_REAL.glob("*.png"))[:_COUNT]
        files = real or [
            save_phantom(Path(scratch) / f"{seed}.png", chest_phantom(seed, height_px=1024, width_px=1024))
            for seed in range(_COUNT)
        ]
        records = tuple(
            Record(image=file.name, path=file, patient=file.name, labels=(0,) * 15, split=Split.TRAIN_VAL)
            for file in files
        )
        cache = cached_pixels(records, cached, Path(scratch) / "cache")
        samples = Samples(
            pixels_NHW=cache.pixels_NHW,
            rows_n=cache.rows_of(record.image for record in records),
            labels_nK=np.zeros((len(records), 15), np.float32),
            records=records,
        )
        yield Films(records=records, cached=samples, what="NIH's PNG" if real else "PNG phantoms")
