"""Paediatric pneumonia films in folders train|val|test / NORMAL|PNEUMONIA.

Source: Kermany et al. 2018, 'Identifying medical diagnoses and treatable diseases by image-based deep learning' (Cell).
"""

import re
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.assemble import assembled
from training.datasets.base import Dataset, Record, Split
from training.datasets.images import Filed, filed_images
from training.datasets.leakage import find_nih_lists

OUTPUTS: Final = (Output(name="Pneumonia", kind=OutputKind.FINDING),)
"""One output: pneumonia or not."""

_LABELS: Final = ("NORMAL", "PNEUMONIA")
# val has 16 published images, too few to choose or calibrate by: it joins train, validation is drawn by patient
_SPLITS: Final = {"train": Split.TRAIN_VAL, "val": Split.TRAIN_VAL, "test": Split.TEST}
_PNEUMONIA: Final = re.compile(r"(person\d+_(bacteria|virus))_\d+")
_NORMAL: Final = re.compile(r"((?:NORMAL2-)?IM-\d+)-\d+")


def read_kermany(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads the folders; val may be missing. references: not needed, no film is NIH's.

    Raises DatasetInvalid for a folder that is no label, a patient in two splits, and when there is no image.
    """
    filed = filed_images(folder, frozenset(_SPLITS), _LABELS)
    return assembled(
        name="kermany",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SIGMOID,
        records=[_record(folder, image) for image in filed],
        issues=(),
        nih=find_nih_lists(folder, references),
    )


def patient_of(stem: str) -> tuple[str, str]:
    """The patient's name and 'bacteria', 'virus' or '' from a file's stem.

    Bacterial and viral cases are numbered apart (image numbers rise with person numbers within each of the two, and
    person1_bacteria is not person1_virus), so the kind is part of the name. Normal films are grouped by the study
    number after IM. Any other name is a patient of its own.
    """
    pneumonia, normal = _PNEUMONIA.match(stem), _NORMAL.match(stem)
    if pneumonia:
        return f"kermany:{pneumonia[1]}", pneumonia[2]
    return f"kermany:{normal[1] if normal else stem}", ""


def _record(folder: Path, image: Filed) -> Record:
    patient, kind = patient_of(image.path.stem)
    return Record(
        image=image.path.relative_to(folder).as_posix(),
        path=image.path,
        patient=patient,
        labels=(int(image.label == "PNEUMONIA"),),
        split=_SPLITS[image.split or "train"],
        detail=kind,
    )
