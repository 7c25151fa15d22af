"""Any data set of one's own: a CSV file that names images and labels, or folders named by label. docs/datasets.md."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cattrs.errors import ClassValidationError
from cattrs.v import transform_error

from diagnosis_tool.cxr.age import age_years
from diagnosis_tool.cxr.bundle import CONVERTER, Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets import tables
from training.datasets.assemble import assembled
from training.datasets.base import Dataset, Issue, IssueKind, Record, Split
from training.datasets.images import filed_images
from training.datasets.leakage import find_nih_lists, nih_patient, nih_patient_of_film
from training.errors import DatasetInvalid

_CSV: Final = "labels.csv"
_LAYOUT: Final = "dataset.toml"
_SPLITS: Final = {
    "train": Split.TRAIN_VAL,
    "train_val": Split.TRAIN_VAL,
    "val": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
}
_ABOUT: Final = ("view", "sex", "age")  # columns that are no labels, used where they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The optional dataset.toml. image, patient, split: the CSV's column names.

    labels: the vocabulary in order (CSV: the label columns; folders: their names); empty for all that are there.
    absence: the label that says that there is no finding. exclusive: exactly one label an image, softmax (CSV only;
    folders always are).
    """

    image: str = "image"
    patient: str = "patient"
    split: str = "split"
    labels: tuple[str, ...] = ()
    absence: str = ""
    exclusive: bool = False


def read_own(folder: Path, references: tuple[Path, ...] = ()) -> Dataset:
    """Reads `folder`/labels.csv, or `folder` itself when it is a CSV file; without one, [split/]label/ folders.

    A film that is named as NIH names its films is of NIH's patient, so that the test list holds for it too.
    references: folders where NIH's test_list.txt is looked for.
    Raises DatasetInvalid, naming file and line, for a missing column, a cell that is not 0 or 1, a split that is none,
    a folder or dataset.toml key outside the vocabulary, a patient in two splits.
    """
    table = folder if folder.is_file() else folder / _CSV
    home = table.parent
    layout = _layout(home / _LAYOUT)
    issues: list[Issue] = []
    if table.is_file():
        labels, records = _from_table(table, layout, issues)
        exclusive = layout.exclusive
    else:
        labels, records = _from_folders(home, layout)
        exclusive = True
        issues.append(_each_its_own("folders do not say which images are of one patient"))
    if layout.absence and layout.absence not in labels:
        raise DatasetInvalid(f"{home / _LAYOUT}: absence {layout.absence!r} is none of {', '.join(labels)}.")
    return assembled(
        name="own",
        folder=home,
        outputs=tuple(
            Output(name=name, kind=OutputKind.ABSENCE if name == layout.absence else OutputKind.FINDING)
            for name in labels
        ),
        activation=Activation.SOFTMAX if exclusive else Activation.SIGMOID,
        records=records,
        issues=issues,
        nih=find_nih_lists(home, references),
    )


def _layout(path: Path) -> Layout:
    if not path.is_file():
        return Layout()
    try:
        return CONVERTER.structure(tomllib.loads(path.read_text(encoding="utf-8")), Layout)
    except ClassValidationError as error:
        raise DatasetInvalid(f"{path}: {'; '.join(transform_error(error, path='dataset'))}.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetInvalid(f"{path} is not TOML: {error}.") from error


def _from_table(table: Path, layout: Layout, issues: list[Issue]) -> tuple[tuple[str, ...], list[Record]]:
    present = tables.columns(table)
    reserved = {layout.image, layout.patient, layout.split, *_ABOUT}
    labels = layout.labels or tuple(name for name in present if name not in reserved)
    if not labels:
        raise DatasetInvalid(f"{table} has no label column: one for each label, with 0 or 1 in it, is needed.")
    if layout.patient not in present:
        issues.append(_each_its_own(f"{table.name} has no column {layout.patient!r}"))
    records = []
    for number, row in enumerate(tables.rows(table, (layout.image, *labels)), start=2):
        where = f"{table}, line {number}"
        path = table.parent / row[layout.image]
        record = Record(
            image=row[layout.image],
            path=path,
            patient=_patient(row.get(layout.patient), row[layout.image], where),
            labels=_labels(row, labels, layout, where),
            split=_split(row.get(layout.split), where),
            view_position=tables.view_position(row.get("view")),
            sex=tables.sex(row.get("sex")),
            age_years=age_years(row.get("age")),
        )
        if path.is_file():
            records.append(record)
        else:
            issues.append(Issue(kind=IssueKind.MISSING_FILE, image=record.image, detail=f"no such file ({where})"))
    return labels, records


def _labels(row: dict[str, str], names: tuple[str, ...], layout: Layout, where: str) -> tuple[int, ...]:
    cells = [row[name].strip() for name in names]
    wrong = [f"{name} {cell!r}" for name, cell in zip(names, cells, strict=True) if cell not in {"0", "1"}]
    if wrong:
        raise DatasetInvalid(f"{where}: {', '.join(wrong)}: labels are 0 or 1; leave out what was not decided.")
    labels = tuple(int(cell) for cell in cells)
    if layout.exclusive and sum(labels) != 1:
        raise DatasetInvalid(f"{where}: {sum(labels)} of {', '.join(names)} are 1; exclusive labels need exactly one.")
    return labels


def _split(cell: str | None, where: str) -> Split:
    if cell is None:
        return Split.TRAIN_VAL
    if cell.strip() not in _SPLITS:
        raise DatasetInvalid(f"{where}: split {cell!r} is none of {', '.join(_SPLITS)}.")
    return _SPLITS[cell.strip()]


def _patient(cell: str | None, image: str, where: str) -> str:
    film = nih_patient_of_film(image)
    if film:
        return film
    if cell is None:
        return f"own:{image}"
    if not cell.strip():
        raise DatasetInvalid(f"{where}: the patient is empty. Name one, or leave the column out.")
    space, colon, number = cell.strip().partition(":")
    return nih_patient(number) if (space, colon) == ("nih", ":") else f"own:{cell.strip()}"


def _from_folders(home: Path, layout: Layout) -> tuple[tuple[str, ...], list[Record]]:
    filed = filed_images(home, frozenset(_SPLITS), layout.labels)
    labels = layout.labels or tuple(sorted({image.label for image in filed}))
    records = []
    for item in filed:
        image = item.path.relative_to(home).as_posix()
        records.append(
            Record(
                image=image,
                path=item.path,
                patient=_patient(None, image, ""),
                labels=tuple(int(name == item.label) for name in labels),
                split=_SPLITS[item.split or "train"],
            )
        )
    return labels, records


def _each_its_own(why: str) -> Issue:
    detail = f"{why}: each image counts as a patient of its own; figures are too good where one person has several"
    return Issue(kind=IssueKind.NO_PATIENT, image="(all)", detail=detail)
