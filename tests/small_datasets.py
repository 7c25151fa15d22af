"""Each data set that a recipe names, in its published layout, of so few phantoms that a run takes seconds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.dataset_phantoms import write_covidx, write_films, write_kermany, write_rsna, write_sample
from tests.nih_phantoms import write_nih

_COVIDX_KINDS: Final = {"normal": 0, "pneumonia": 1, "COVID-19": 2}


def write_small_covidx(folder: Path) -> Path:
    """Eight films a class to train, two to test; the classes look different."""
    sides = {side: [(label, n) for n in range(count) for label in _COVIDX_KINDS] for side, count in _COVIDX_COUNTS}
    lines = {
        side: [f"{side}{n}{label} {side}-{label}-{n}.png {label} made" for label, n in films]
        for side, films in sides.items()
    }
    write_covidx(folder, lines["train"], lines["test"])
    for side, films in sides.items():
        for label, n in films:
            write_films(folder / side, [f"{side}-{label}-{n}.png"], _COVIDX_KINDS[label])
    return folder


_COVIDX_COUNTS: Final = (("train", 8), ("test", 2))


def write_small_kermany(folder: Path) -> Path:
    """Eight films a label to train, three to test, each of a patient of its own."""
    counts = {"train": range(1, 9), "test": range(11, 14)}
    normal = {f"{side}/NORMAL": [f"IM-{n:04}-0001.jpeg" for n in people] for side, people in counts.items()}
    ill = {f"{side}/PNEUMONIA": [f"person{n}_virus_{n}.jpeg" for n in people] for side, people in counts.items()}
    return write_kermany(folder, {**normal, **ill})


WRITERS: Final[Mapping[str, Callable[[Path], Path]]] = {
    "nih": lambda folder: write_nih(folder, patients=14, films_each=2, test_patients=4),
    "nih_sample": lambda folder: write_sample(folder, patients=24, test_patients=(20, 21, 22, 23, 24)),
    "covidx": write_small_covidx,
    "kermany": write_small_kermany,
    "rsna": lambda folder: write_rsna(folder, count=20, test_patients=(17, 18, 19, 20)),
}
"""By the name that a recipe's data.dataset has."""
