"""NIH ChestX-ray14 in its published layout.

Source: Wang et al. 2017, ChestX-ray8 (CVPR), and the data set's later release with 14 findings and official lists.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.age import age_years
from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind
from training.datasets import tables
from training.datasets.assemble import assembled
from training.datasets.base import AnnotatedBox, Dataset, Issue, IssueKind, Record, Split
from training.datasets.images import files_by_name, found
from training.datasets.leakage import find_nih_lists, nih_patient
from training.errors import DatasetInvalid

OUTPUTS: Final = tuple(
    Output(name=name, kind=OutputKind.ABSENCE if name == NO_FINDING else OutputKind.FINDING) for name in NIH_OUTPUTS
)
"""14 findings and No Finding, in the order of every NIH model's logits."""

TEST_IMAGES: Final = 25_596
"""On the published test list."""
SUBSET_NOTE: Final = (
    "The subset is class-selected; not comparable digit by digit with papers that use all 25,596 test images."
)

_BOX_SIDE_PX: Final = 1024.0  # boxes were drawn on the published 1024 x 1024 files, whatever the files' size is now
_BOX_NAMES: Final = {"Infiltrate": "Infiltration"}  # the box list has its own word for it
_INDEX: Final = "Data_Entry_2017.csv"


def subset_note(dataset: str, images: int | None) -> str | None:
    """What must stand beside figures on fewer images than NIH's whole test list has; None for all other figures."""
    return SUBSET_NOTE if dataset == "nih" and images is not None and images < TEST_IMAGES else None


def read_nih(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads images_*/images/ or images/, Data_Entry_2017.csv, the two lists, and BBox_List_2017.csv where it is.

    Images are matched by stem, .png or .jpg. references: not needed, the lists lie in the folder itself.
    Raises DatasetInvalid when the index is missing or lacks a column, a label is not NIH's, no image is there at all,
    or a patient stands on both lists.
    """
    index, files = folder / _INDEX, nih_files(folder)
    train_val, test = (
        frozenset(Path(image).stem for image in tables.names(folder / name))
        for name in ("train_val_list.txt", "test_list.txt")
    )
    if not train_val and not test:
        raise DatasetInvalid(f"{folder} has neither train_val_list.txt nor test_list.txt, or both are empty.")
    records, issues = nih_records(
        index, files, lambda stem, _: _split(stem, train_val, test), names="Image Index", labels="Finding Labels"
    )
    known = {Path(image).stem for image in (*(r.image for r in records), *(i.image for i in issues))}
    unlisted = [r.image for r in records if r.split is Split.UNLISTED]
    issues += [Issue(kind=IssueKind.UNLISTED, image=i, detail="neither train_val nor test") for i in unlisted]
    strangers = sorted((train_val | test) - known)
    issues += [Issue(kind=IssueKind.NOT_IN_INDEX, image=s, detail=f"not in {_INDEX}") for s in strangers]
    return assembled(
        name="nih",
        folder=folder,
        outputs=OUTPUTS,
        activation=Activation.SIGMOID,
        records=records,
        boxes=_boxes(folder / "BBox_List_2017.csv"),
        issues=issues,
        nih=find_nih_lists(folder, references),
    )


def nih_files(folder: Path) -> dict[str, Path]:
    """Images by name and stem, of images/, images_*/images/ and sample/images/. Raises DatasetInvalid without any."""
    named = (folder / "images", *sorted(folder.glob("images_*/images")), folder / "sample" / "images")
    folders = [f for f in named if f.is_dir()]
    if not folders:
        raise DatasetInvalid(f"{folder} has neither images/ nor images_*/images/. Is this ChestX-ray14's layout?")
    return files_by_name(folders)


def nih_records(
    index: Path, files: dict[str, Path], split_of: Callable[[str, str], Split], *, names: str, labels: str
) -> tuple[list[Record], list[Issue]]:
    """The rows of an index as records, and an issue for each row without a file. split_of: of stem and patient;
    names, labels: what the index calls its columns of images and of labels, which differs from the sample's.

    Raises DatasetInvalid for an image named twice, a missing column, and labels that are not NIH's.
    """
    records, issues, known, unknown_labels = [], [], set(), []
    for row in tables.rows(index, (names, labels, "Patient ID")):
        image = row[names]
        stem = Path(image).stem
        if stem in known:
            raise DatasetInvalid(f"{index} names {image} twice.")
        known.add(stem)
        found_labels = set(row[labels].split("|"))
        unknown_labels += [f"{label!r} of {image}" for label in sorted(found_labels - set(NIH_OUTPUTS))]
        path, patient = found(files, image), nih_patient(row["Patient ID"])
        split = split_of(stem, patient)
        if path is None:
            issues.append(Issue(kind=IssueKind.MISSING_FILE, image=image, detail="no file of this stem"))
        else:
            records.append(_record(row, image, path, patient, found_labels, split))
    if unknown_labels:
        raise DatasetInvalid(
            f"{index} has {len(unknown_labels)} labels outside the vocabulary: "
            f"{', '.join(unknown_labels[:10])}. Known: {', '.join(NIH_OUTPUTS)}."
        )
    return records, issues


def _split(stem: str, train_val: frozenset[str], test: frozenset[str]) -> Split:
    if stem in train_val and stem in test:
        raise DatasetInvalid(f"{stem} stands in train_val_list.txt and in test_list.txt.")
    return Split.TRAIN_VAL if stem in train_val else Split.TEST if stem in test else Split.UNLISTED


def _record(row: dict[str, str], image: str, path: Path, patient: str, labels: set[str], split: Split) -> Record:
    return Record(
        image=image,
        path=path,
        patient=patient,
        labels=tuple(int(name in labels) for name in NIH_OUTPUTS),
        split=split,
        view_position=tables.view_position(row.get("View Position")),
        sex=tables.sex(row.get("Patient Gender")),
        age_years=age_years(row.get("Patient Age")),
    )


def _boxes(path: Path) -> tuple[AnnotatedBox, ...]:
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
            boxes.append(AnnotatedBox(image=row[0], finding=finding, left=left, top=top, width=width, height=height))
    return tuple(boxes)
