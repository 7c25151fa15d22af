"""Which films the average map is taken over."""

from pathlib import Path

from training.datasets import read_dataset
from training.release.explain import evenly


def test_evenly_takes_from_the_whole_range(nih_folder: Path) -> None:
    records = read_dataset("nih", nih_folder).records
    assert evenly(records, len(records) + 1) == list(records)
    few = evenly(records, 2)
    assert few == [records[0], records[len(records) // 2]]
