"""Adapters: each reads one data set in its published layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from training.datasets.base import Dataset
from training.datasets.nih import read_nih
from training.errors import DatasetInvalid

READERS: Final[dict[str, Callable[[Path], Dataset]]] = {"nih": read_nih}
"""By the name that recipes and commands use."""


def read_dataset(name: str, folder: Path) -> Dataset:
    """Reads the data set `name` in `folder`. Raises DatasetInvalid, saying what is wrong and where."""
    if name not in READERS:
        raise DatasetInvalid(f"Unknown data set {name!r}; known: {', '.join(sorted(READERS))}.")
    if not folder.is_dir():
        raise DatasetInvalid(f"{folder} is no folder: say where the {name} data lies with --data.")
    return READERS[name](folder)
