"""Adapters: each reads one data set in its published layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from training.datasets.base import Dataset
from training.datasets.covidx import read_covidx
from training.datasets.kermany import read_kermany
from training.datasets.nih import read_nih
from training.datasets.nih_sample import read_nih_sample
from training.datasets.own import read_own
from training.datasets.rsna import read_rsna
from training.errors import DatasetInvalid

READERS: Final[dict[str, Callable[[Path, tuple[Path, ...]], Dataset]]] = {
    "covidx": read_covidx,
    "kermany": read_kermany,
    "nih": read_nih,
    "nih_sample": read_nih_sample,
    "own": read_own,
    "rsna": read_rsna,
}
"""By the name that recipes and commands use."""


def read_dataset(name: str, folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads the data set `name` in `folder`.

    references: folders where NIH's test_list.txt and RSNA's nih_source.csv are looked for when `folder` has none.
    Raises DatasetInvalid, saying what is wrong and where.
    """
    if name not in READERS:
        raise DatasetInvalid(f"Unknown data set {name!r}; known: {', '.join(sorted(READERS))}.")
    if not folder.is_dir() and not (name == "own" and folder.is_file()):
        raise DatasetInvalid(f"{folder} is no folder: say where the {name} data lies with --data.")
    return READERS[name](folder, references)
