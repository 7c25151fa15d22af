"""NIH ChestX-ray14 in its published layout.

Source: Wang et al. 2017, ChestX-ray8 (CVPR), and the data set's later release with 14 findings and official lists.
"""

import csv
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind
from diagnosis_tool.cxr.types import ViewPosition
from training.datasets import tables
from training.datasets.base import Box, Dataset, Issue, IssueKind, Record, Split, refuse_shared_patients
from training.errors import DatasetInvalid

OUTPUTS: Final = tuple(
    Output(name=name, kind=OutputKind.ABSENCE if name == NO_FINDING else OutputKind.FINDING) for name in NIH_OUTPUTS
)
"""14 findings and No Finding, in the order of every NIH model's logits."""

_SUFFIXES: Final = {".png", ".jpg", ".jpeg"}
_BOX_SIDE_PX: Final = 1024.0  # boxes were drawn on the published 1024 x 1024 files, whatever the files' size is now
_BOX_NAMES: Final = {"Infiltrate": "Infiltration"}  # the box list has its own word for it
_INDEX: Final = "Data_Entry_2017.csv"


def read_nih(folder: Path) -> Dataset:
    """Reads images_*/images/ or images/, Data_Entry_2017.csv, the two lists, and BBox_List_2017.csv where it is.

    Images are matched by stem, .png or .jpg. Raises DatasetInvalid when the index is missing or lacks a column, a
    label is not NIH's, no image is there at all, or a patient stands on both lists.
    """
    files = _files(folder)
    train_val, test = (frozenset(_stems(folder / name)) for name in ("train_val_list.txt", "test_list.txt"))
    if not train_val and not test:
        raise DatasetInvalid(f"{folder} has neither train_val_list.txt nor test_list.txt, or both are empty.")
    records, issues, known = _records(folder, files, train_val, test)
    if not records:
        raise DatasetInvalid(f"{folder} holds no image that {_INDEX} names: look into images/ and the file names.")
    refuse_shared_patients({s: tuple(r for r in records if r.split is s) for s in (Split.TRAIN_VAL, Split.TEST)})
    strangers = sorted((train_val | test) - known)
    issues += [Issue(kind=IssueKind.NOT_IN_INDEX, image=s, detail=f"not in {_INDEX}") for s in strangers]
    return Dataset(
        name="nih",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SIGMOID,
        records=tuple(sorted(records, key=lambda record: record.image)),
        boxes=_boxes(folder / "BBox_List_2017.csv"),
        issues=tuple(issues),
    )


def _files(folder: Path) -> dict[str, Path]:
    folders = [f for f in (folder / "images", *sorted(folder.glob("images_*/images"))) if f.is_dir()]
    if not folders:
        raise DatasetInvalid(f"{folder} has neither images/ nor images_*/images/. Is this ChestX-ray14's layout?")
    return {path.stem: path for f in folders for path in sorted(f.iterdir()) if path.suffix.lower() in _SUFFIXES}


def _stems(path: Path) -> tuple[str, ...]:
    return tuple(Path(name).stem for name in tables.names(path))


def _records(
    folder: Path, files: dict[str, Path], train_val: frozenset[str], test: frozenset[str]
) -> tuple[list[Record], list[Issue], set[str]]:
    records, issues, known, unknown_labels = [], [], set(), []
    for row in tables.rows(folder / _INDEX, ("Image Index", "Finding Labels", "Patient ID")):
        image = row["Image Index"]
        stem = Path(image).stem
        if stem in known:
            raise DatasetInvalid(f"{folder / _INDEX} names {image} twice.")
        known.add(stem)
        labels = set(row["Finding Labels"].split("|"))
        unknown_labels += [f"{label!r} of {image}" for label in sorted(labels - set(NIH_OUTPUTS))]
        split = _split(stem, train_val, test)
        if stem not in files:
            issues.append(Issue(kind=IssueKind.MISSING_FILE, image=image, detail=f"no file of this stem in {folder}"))
        else:
            records.append(_record(row, files[stem], labels, split))
            if split is Split.UNLISTED:
                issues.append(Issue(kind=IssueKind.UNLISTED, image=image, detail="neither train_val nor test"))
    if unknown_labels:
        raise DatasetInvalid(
            f"{folder / _INDEX} has {len(unknown_labels)} labels outside the vocabulary: "
            f"{', '.join(unknown_labels[:10])}. Known: {', '.join(NIH_OUTPUTS)}."
        )
    return records, issues, known


def _split(stem: str, train_val: frozenset[str], test: frozenset[str]) -> Split:
    if stem in train_val and stem in test:
        raise DatasetInvalid(f"{stem} stands in train_val_list.txt and in test_list.txt.")
    return Split.TRAIN_VAL if stem in train_val else Split.TEST if stem in test else Split.UNLISTED


def _record(row: dict[str, str], path: Path, labels: set[str], split: Split) -> Record:
    view, follow_up = row.get("View Position") or "", row.get("Follow-up #") or ""
    return Record(
        image=row["Image Index"],
        path=path,
        patient=row["Patient ID"].strip().lstrip("0") or "0",  # '17' and '00017' are one person
        labels=tuple(int(name in labels) for name in NIH_OUTPUTS),
        split=split,
        view_position=ViewPosition(view) if view in {"PA", "AP"} else ViewPosition.UNKNOWN,
        sex=(row.get("Patient Gender") or "").strip(),
        age_years=tables.age_years(row.get("Patient Age")),
        follow_up=int(follow_up) if follow_up.isdecimal() else None,
    )


def _boxes(path: Path) -> tuple[Box, ...]:
    if not path.is_file():
        return ()
    boxes = []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream)
        next(reader, None)  # the header's commas stand inside its brackets: read by position
        for row in reader:
            try:
                left, top, width, height = (float(value) / _BOX_SIDE_PX for value in row[2:6])
            except ValueError as error:
                raise DatasetInvalid(f"{path}, line {reader.line_num}: not a box x,y,w,h.") from error
            finding = _BOX_NAMES.get(row[1], row[1])
            boxes.append(Box(image=row[0], finding=finding, left=left, top=top, width=width, height=height))
    return tuple(boxes)
