"""What every data set becomes: records with labels, a published split, and a list of what is wrong with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.types import Radiograph, ViewPosition
from diagnosis_tool.dicom.decode import decode_radiograph
from training.errors import DatasetInvalid


class Split(StrEnum):
    """The split that the data set was published with."""

    TRAIN_VAL = "train_val"
    VALIDATION = "validation"
    """Published as validation; where there is none, validation is drawn from train_val."""
    TEST = "test"
    UNLISTED = "unlisted"
    HELD_OUT = "held_out"
    """Published as training, but kept from it: the patient stands in a test split, here or in NIH's list."""


class IssueKind(StrEnum):
    """What `prepare` lists."""

    MISSING_FILE = "missing file"
    UNREADABLE = "unreadable image"
    DUPLICATE = "duplicate by content"
    UNLISTED = "in no split list"
    NOT_IN_INDEX = "listed, but not in the index"
    CONTRADICTION = "labels contradict each other"
    HELD_OUT = "kept from training"
    NO_PATIENT = "patient not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One thing that is wrong with one image. twin: of a duplicate, the first image with the same pixels."""

    kind: IssueKind
    image: str
    detail: str
    twin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One labelled image. labels: 0 or 1 for each of the data set's outputs, in their order.

    image: the data set's own name of it. patient: the group that must never be divided between splits, namespaced
    ('nih:123', 'kermany:person1_virus'), so that one person has one name in all data sets. detail: the data set's finer
    class, '' where there is none.
    age_years: None where the data set does not say; sex: 'M', 'F' or '' likewise.
    """

    image: str
    path: Path
    patient: str
    labels: tuple[int, ...]
    split: Split
    view_position: ViewPosition = ViewPosition.UNKNOWN
    sex: str = ""
    age_years: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedBox:
    """A rectangle that a reader drew around a finding. left, top, width, height are parts of the image sides, 0..1."""

    image: str
    finding: str
    left: float
    top: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether the point (parts of the sides, from the upper left) lies in the box."""
        return self.left <= x <= self.left + self.width and self.top <= y <= self.top + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set that was read in its published layout. Records are sorted by image name.

    nih_test_patients: who may never train (training.datasets.leakage); None when NIH's test list was not to be found.
    """

    name: str
    folder: Path
    outputs: tuple[Output, ...]
    activation: Activation
    records: tuple[Record, ...]
    boxes: tuple[AnnotatedBox, ...]
    issues: tuple[Issue, ...]
    nih_test_patients: frozenset[str] | None

    def of(self, split: Split) -> tuple[Record, ...]:
        """The records of one published split."""
        return tuple(record for record in self.records if record.split is split)


def held_out(
    records: Sequence[Record], patients: Collection[str], why: str
) -> tuple[tuple[Record, ...], tuple[Issue, ...]]:
    """The records with those of these patients kept from training and validation, and an issue for each."""
    out = [r for r in records if r.split in (Split.TRAIN_VAL, Split.VALIDATION) and r.patient in patients]
    images = {record.image for record in out}
    issues = (Issue(kind=IssueKind.HELD_OUT, image=r.image, detail=f"{r.patient} {why}") for r in out)
    return tuple(replace(r, split=Split.HELD_OUT) if r.image in images else r for r in records), tuple(issues)


def labels_NK(records: tuple[Record, ...]) -> NDArray[np.uint8]:
    """(N, K) labels of the records, 0 or 1."""
    return np.array([record.labels for record in records], dtype=np.uint8).reshape(len(records), -1)


def read_radiograph(path: Path) -> Radiograph:
    """Decodes one image of a data set exactly as serving decodes an upload.

    Raises UnreadableInput or UnsupportedImage.
    """
    return decode_radiograph(path.read_bytes())


def refuse_shared_patients(groups: dict[str, tuple[Record, ...]]) -> None:
    """Raises DatasetInvalid when a patient stands in more than one of the named groups of records."""
    seen: dict[str, str] = {}
    shared: dict[str, str] = {}
    for name, records in groups.items():
        for patient in {record.patient for record in records}:
            if seen.setdefault(patient, name) != name:
                shared[patient] = f"{seen[patient]} and {name}"
    if shared:
        some = ", ".join(f"{patient} in {where}" for patient, where in sorted(shared.items())[:5])
        raise DatasetInvalid(
            f"{len(shared)} patients stand in two splits ({some}): figures would be inflated. Correct the lists."
        )
