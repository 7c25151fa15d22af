"""Reads CSV files of data sets, with errors that name file, column and line."""

import csv
from collections.abc import Iterator
from pathlib import Path

from diagnosis_tool.cxr.types import ViewPosition
from training.errors import DatasetInvalid


def rows(path: Path, required: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header. Raises DatasetInvalid when it is missing or lacks a required column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            absent = [name for name in required if name not in (reader.fieldnames or ())]
            if absent:
                raise DatasetInvalid(f"{path} has no column {', '.join(map(repr, absent))}. Is it the published file?")
            for line in reader:
                if any(line[name] is None for name in required):
                    raise DatasetInvalid(f"{path}, line {reader.line_num}: too few columns.")
                yield line
    except OSError as error:
        raise DatasetInvalid(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DatasetInvalid(f"{path} is not text in UTF-8: {error.reason}.") from error
    except csv.Error as error:
        raise DatasetInvalid(f"{path} is not a CSV file: {error}.") from error


def names(path: Path) -> tuple[str, ...]:
    """The non-empty lines of a list file; none when the file is not there."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"{path} cannot be read: {error}.") from error


def columns(path: Path) -> tuple[str, ...]:
    """The column names of a CSV file. Raises DatasetInvalid when it cannot be read or has none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path} cannot be read: {error}.") from error
    if not header:
        raise DatasetInvalid(f"{path} is empty: a header line with column names is needed.")
    return tuple(header)


def view_position(text: str | None) -> ViewPosition:
    """PA and AP as they are; anything else is UNKNOWN."""
    view = (text or "").strip().upper()
    return ViewPosition(view) if view in {"PA", "AP"} else ViewPosition.UNKNOWN


def sex(text: str | None) -> str:
    """'M' or 'F', '' for anything else."""
    letter = (text or "").strip().upper()[:1]
    return letter if letter in {"M", "F"} else ""
