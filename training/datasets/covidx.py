"""COVID-19, pneumonia and normal films in COVIDx lists: train.txt and test.txt, images in train/ and test/.

Source: Wang, Lin and Wong 2020, COVID-Net (Scientific Reports). A list line is `patientid filename class source`; the
oldest lists have no source.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets import tables
from training.datasets.assemble import assembled
from training.datasets.base import Dataset, Issue, IssueKind, Record, Split, held_out
from training.datasets.images import files_by_name, found
from training.datasets.leakage import find_nih_lists, nih_patient_of_film
from training.errors import DatasetInvalid

CLASSES: Final = ("normal", "pneumonia", "COVID-19")
"""In the order of the published lists' own classes 0, 1, 2."""

OUTPUTS: Final = tuple(
    Output(name=name, kind=OutputKind.ABSENCE if name == "normal" else OutputKind.FINDING) for name in CLASSES
)
"""Exclusive: the activation is softmax."""

_SPLITS: Final = {"train": Split.TRAIN_VAL, "test": Split.TEST}
_TIME_OR_VIEW: Final = re.compile(r"-(day-?\d+|\d+-(days|hours)|admission|PA|AP|left|right)$")
_PANEL: Final = re.compile(r"(?<=[\d_-])[a-z]\d?$")  # fig4a, fig4b: two films of one figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    patient_id: str
    filename: str
    label: str
    source: str


def read_covidx(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads train.txt, test.txt (either may be missing, not both) and the images that they name.

    Images of NIH are of NIH's patient. The public COVID collection has the file's name for a patient: films that tell
    by their names that they belong together (day 5 and day 10; panels a and b) count as one patient. The published
    lists share a few patients: their films in train.txt are kept from training, and listed, one by one.
    references: folders where NIH's test_list.txt is looked for.
    Raises DatasetInvalid for a line that cannot be read, an unknown class, or a file on both lists.
    """
    records, issues = [], []
    list_of: dict[str, str] = {}
    for side, split in _SPLITS.items():
        lines = tuple(_parsed(folder / f"{side}.txt", text) for text in tables.names(folder / f"{side}.txt"))
        files = files_by_name((folder / side, folder))
        for line in lines:
            if list_of.setdefault(line.filename, side) != side:
                raise DatasetInvalid(
                    f"{folder}: {line.filename} stands in train.txt and in test.txt. Correct the lists."
                )
            path = found(files, line.filename)
            if path is None:
                detail = f"named in {side}.txt, not in {folder / side}"
                issues.append(Issue(kind=IssueKind.MISSING_FILE, image=line.filename, detail=detail))
            else:
                records.append(_record(line, path, split))
    if not list_of:
        raise DatasetInvalid(f"{folder} has neither train.txt nor test.txt, or both are empty.")
    tested = {record.patient for record in records if record.split is Split.TEST}
    kept, kept_apart = held_out(records, tested, "also has a film in test.txt")
    return assembled(
        name="covidx",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SOFTMAX,
        records=kept,
        issues=[*issues, *kept_apart],
        nih=find_nih_lists(folder, references),
    )


def case_of(patient_id: str) -> str:
    """What names of one patient's films have in common: without day, view and panel letter."""
    case, before = patient_id, ""
    while case != before:
        before, case = case, _PANEL.sub("", _TIME_OR_VIEW.sub("", case)).rstrip("-_")
    return case or patient_id


def _parsed(path: Path, text: str) -> _Line:
    words = text.split()
    if len(words) >= 4 and words[-2] in CLASSES:  # file names may hold spaces
        return _Line(patient_id=words[0], filename=" ".join(words[1:-2]), label=words[-2], source=words[-1])
    if len(words) >= 3 and words[-1] in CLASSES:
        return _Line(patient_id=words[0], filename=" ".join(words[1:-1]), label=words[-1], source="")
    raise DatasetInvalid(
        f"{path}: {text!r} is not 'patientid filename class source' with a class of {', '.join(CLASSES)}."
    )


def _record(line: _Line, path: Path, split: Split) -> Record:
    # only a name that is the file's own tells more than the published patient
    case = case_of(line.patient_id) if line.patient_id == Path(line.filename).stem else line.patient_id
    return Record(
        image=line.filename,
        path=path,
        patient=nih_patient_of_film(line.filename) or f"{line.source or 'covidx'}:{case}",
        labels=tuple(int(name == line.label) for name in CLASSES),
        split=split,
        detail=f"{line.label} of {line.source}" if line.source else "",
    )
