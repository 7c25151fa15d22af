"""Keeps the patients of NIH's test list out of everything that trains, validates, selects or calibrates.

NIH's films travel under other names: RSNA drew boxes on them, COVIDx took its normals and pneumonias from them. A
record therefore names its patient in a namespace: 'nih:123' is one person in whatever data set, 'nih?:<id>' is an NIH
film whose patient nobody told us.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from training.datasets import tables
from training.datasets.base import Dataset, Record, Split
from training.errors import DatasetInvalid

_NIH: Final = "nih:"
NIH_UNKNOWN: Final = "nih?:"
"""Before another data set's id of an NIH film's patient, where nothing more is known of whose it is."""
_FILM: Final = re.compile(r"(\d{8})_\d{3}")
"""How ChestX-ray14 names its files: patient, follow-up."""

_TEST_LIST: Final = "test_list.txt"
_TRAIN_VAL_LIST: Final = "train_val_list.txt"
RSNA_SOURCE: Final = "nih_source.csv"
_RSNA_SOURCE_COLUMNS: Final = ("patientId", "nih_image_index")


@dataclass(frozen=True, slots=True, kw_only=True)
class NihLists:
    """What is known of NIH's films. test_patients: 'nih:…' of the test list, None when no list was found.

    film_of: RSNA patientId to NIH image name.
    """

    test_patients: frozenset[str] | None = None
    film_of: Mapping[str, str] = field(default_factory=dict)

    def split_of(self, patient: str) -> Split:
        """For NIH films in a data set without a split of its own: NIH's test patients test, the others train."""
        return Split.TEST if patient in (self.test_patients or ()) else Split.TRAIN_VAL


def nih_patient(number: str) -> str:
    """The namespaced patient of NIH's number: '17' and '00017' are one person."""
    return _NIH + (number.strip().lstrip("0") or "0")


def nih_patient_of_film(name: str) -> str | None:
    """The patient of a file named as ChestX-ray14 names its films; None for any other name."""
    match = _FILM.fullmatch(Path(name).stem)
    return nih_patient(match[1]) if match else None


def find_nih_lists(folder: Path, references: tuple[Path, ...] = ()) -> NihLists:
    """test_list.txt and nih_source.csv in `folder`, else in the first of the reference folders that has them.

    A folder with either of NIH's two lists is taken at its word: without a test list there, nobody is on it.
    Raises DatasetInvalid for a file that cannot be read.
    """
    places = (folder, *references)
    lists = next((p for p in places if _has(p, _TEST_LIST) or _has(p, _TRAIN_VAL_LIST)), None)
    source = next((p / RSNA_SOURCE for p in places if _has(p, RSNA_SOURCE)), None)
    test_patients = None
    if lists is not None:
        films = (nih_patient_of_film(name) for name in tables.names(lists / _TEST_LIST))
        test_patients = frozenset(patient for patient in films if patient)
    film_of = {}
    if source is not None:
        film_of = {row["patientId"]: row["nih_image_index"] for row in tables.rows(source, _RSNA_SOURCE_COLUMNS)}
    return NihLists(test_patients=test_patients, film_of=film_of)


def _has(folder: Path, name: str) -> bool:
    return os.path.isfile(folder / name)  # False, not an error, for a folder that may not be entered


def trainable(dataset: Dataset, *, without_nih_lists: bool = False) -> tuple[Record, ...]:
    """The only way to records that may train, validate, select or calibrate: train_val and published validation.

    without_nih_lists: go on where it cannot be known whether an NIH film's patient is on the test list. A patient who
    is known to be on it never passes.
    Raises DatasetInvalid when one is on it, or when that cannot be known.
    """
    records = tuple(r for r in dataset.records if r.split in (Split.TRAIN_VAL, Split.VALIDATION))
    listed = [record for record in records if record.patient in (dataset.nih_test_patients or ())]
    if listed:
        raise DatasetInvalid(
            f"{dataset.folder}: {len(listed)} images to train or validate are of patients on NIH's test list "
            f"({', '.join(record.image for record in listed[:5])}). They may never train."
        )
    unknown = [record for record in records if _undecided(record, dataset)]
    if unknown and not without_nih_lists:
        lacking = _TEST_LIST if dataset.nih_test_patients is None else RSNA_SOURCE
        raise DatasetInvalid(
            f"{dataset.folder}: {len(unknown)} of {len(records)} images to train are NIH films, and without {lacking} "
            "nobody can tell which of their patients are on NIH's test list, who may never train. Put the file into "
            "that folder or name a folder that has it in data.nih_references; or say data.without_nih_lists = true, "
            "and never compare the result on NIH's test list."
        )
    return records


def _undecided(record: Record, dataset: Dataset) -> bool:
    known = record.patient.startswith(_NIH)
    return record.patient.startswith(NIH_UNKNOWN) or (known and dataset.nih_test_patients is None)
