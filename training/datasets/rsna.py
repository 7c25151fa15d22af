"""RSNA Pneumonia Detection Challenge: DICOM files named by patientId, boxes drawn by radiologists on NIH films.

Source: Shih et al. 2019, 'Augmenting the NIH chest radiograph dataset with expert annotations of possible pneumonia'
(Radiology: Artificial Intelligence).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.age import age_years
from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.dicom.reader import DicomHeader, read_dicom_header
from diagnosis_tool.errors import UnreadableInput
from training.datasets import tables
from training.datasets.assemble import assembled
from training.datasets.base import AnnotatedBox, Dataset, Issue, IssueKind, Record
from training.datasets.images import files_by_name, found
from training.datasets.leakage import NIH_UNKNOWN, NihLists, find_nih_lists, nih_patient_of_film
from training.errors import DatasetInvalid

OUTPUTS: Final = (Output(name="Pneumonia", kind=OutputKind.FINDING),)
"""One output: an opacity that a radiologist took for pneumonia, or none."""

_IMAGES: Final = "stage_2_train_images"
LABELS: Final = "stage_2_train_labels.csv"
_CLASSES: Final = "stage_2_detailed_class_info.csv"
_OPACITY: Final = "Lung Opacity"
_CLASS_NAMES: Final = (_OPACITY, "No Lung Opacity / Not Normal", "Normal")
_SIDES: Final = ("x", "y", "width", "height")


@dataclass(slots=True, kw_only=True)
class _Labelled:
    target: int
    boxes_px: list[tuple[float, float, float, float]] = field(default_factory=list)


def read_rsna(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads stage_2_train_images/<patientId>.dcm, stage_2_train_labels.csv, and the detailed classes where they are.

    Boxes are in pixels of the DICOM image. The challenge published labels for training alone: films of NIH's test
    patients are the test split, by nih_source.csv (patientId to NIH image) and NIH's test_list.txt, which are looked
    for in `folder` and in the reference folders. Without them the patients are unknown (training.datasets.leakage).
    Raises DatasetInvalid for a missing column, a label or class outside the vocabulary, a patientId with two labels.
    """
    if not (folder / _IMAGES).is_dir():
        raise DatasetInvalid(f"{folder} has no folder {_IMAGES}/ with the DICOM files. Is this RSNA's layout?")
    nih = find_nih_lists(folder, references)
    labelled, classes = _labelled(folder / LABELS), _classes(folder / _CLASSES)
    files = files_by_name([folder / _IMAGES])
    records, boxes, issues = [], [], []
    for image, label in labelled.items():
        path, detail = found(files, f"{image}.dcm"), classes.get(image, "")
        if path is None:
            issues.append(Issue(kind=IssueKind.MISSING_FILE, image=image, detail=f"no {image}.dcm in {_IMAGES}/"))
            continue
        if detail and (detail == _OPACITY) != bool(label.target):
            told = f"Target {label.target}, class {detail!r}"
            issues.append(Issue(kind=IssueKind.CONTRADICTION, image=image, detail=told))
        header = _header(path)
        records.append(_record(image, path, label.target, detail, header, nih))
        boxes += _boxes(image, label, header)
    unlabelled = sorted({path.stem for path in files.values()} - labelled.keys())
    issues += [Issue(kind=IssueKind.NOT_IN_INDEX, image=i, detail=f"not in {LABELS}") for i in unlabelled]
    issues += _without_source(records, nih)
    return assembled(
        name="rsna",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SIGMOID,
        records=records,
        boxes=boxes,
        issues=issues,
        nih=nih,
    )


def _labelled(path: Path) -> dict[str, _Labelled]:
    labelled: dict[str, _Labelled] = {}
    for number, row in enumerate(tables.rows(path, ("patientId", *_SIDES, "Target")), start=2):
        if row["Target"] not in {"0", "1"}:
            raise DatasetInvalid(f"{path}, line {number}: Target {row['Target']!r} is not 0 or 1.")
        label = labelled.setdefault(row["patientId"], _Labelled(target=int(row["Target"])))
        if label.target != int(row["Target"]):
            raise DatasetInvalid(f"{path}, line {number}: {row['patientId']} has Target 0 and Target 1.")
        if label.target:
            label.boxes_px.append(_sides(path, number, row))
    return labelled


def _sides(path: Path, number: int, row: dict[str, str]) -> tuple[float, float, float, float]:
    try:
        left, top, width, height = (float(row[side]) for side in _SIDES)
    except ValueError as error:
        raise DatasetInvalid(f"{path}, line {number}: Target 1 without a box x,y,width,height.") from error
    return left, top, width, height


def _classes(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    classes = {row["patientId"]: row["class"] for row in tables.rows(path, ("patientId", "class"))}
    strange = [f"{name!r} of {image}" for image, name in classes.items() if name not in _CLASS_NAMES]
    if strange:
        raise DatasetInvalid(
            f"{path} has {len(strange)} classes outside the vocabulary: {', '.join(strange[:5])}. "
            f"Known: {', '.join(_CLASS_NAMES)}."
        )
    return classes


def _header(path: Path) -> DicomHeader | None:
    try:
        return read_dicom_header(path)
    except UnreadableInput:
        return None  # the image cannot be decoded either: the cache lists it


def _record(image: str, path: Path, target: int, detail: str, header: DicomHeader | None, nih: NihLists) -> Record:
    film = nih.film_of.get(image)
    patient = (nih_patient_of_film(film) if film else None) or f"{NIH_UNKNOWN}{image}"
    record = Record(
        image=image, path=path, patient=patient, labels=(target,), split=nih.split_of(patient), detail=detail
    )
    if header is None:
        return record
    return replace(
        record,
        view_position=header.view_position,
        sex=tables.sex(header.sex),
        age_years=age_years(header.age),
    )


def _boxes(image: str, label: _Labelled, header: DicomHeader | None) -> list[AnnotatedBox]:
    if header is None or not header.rows or not header.columns:
        return []
    return [_box(image, header, box_px) for box_px in label.boxes_px]


def _box(image: str, header: DicomHeader, box_px: tuple[float, float, float, float]) -> AnnotatedBox:
    left, top, width, height = box_px
    sides = left / header.columns, top / header.rows, width / header.columns, height / header.rows
    left, top, width, height = header.turn.box(*sides)  # boxes are drawn on the stored pixels
    return AnnotatedBox(image=image, finding=OUTPUTS[0].name, left=left, top=top, width=width, height=height)


def _without_source(records: list[Record], nih: NihLists) -> list[Issue]:
    detail = "not in nih_source.csv: it cannot be told whether the patient is on NIH's test list"
    unknown = [record.image for record in records if nih_patient_of_film(nih.film_of.get(record.image, "")) is None]
    return [Issue(kind=IssueKind.NO_PATIENT, image=image, detail=detail) for image in unknown]
