"""Finds image files in the folders of a data set."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.errors import DatasetInvalid

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".dcm"})
"""What is taken for an image; whether it is one is known when it is decoded."""


def files_by_name(folders: Iterable[Path]) -> dict[str, Path]:
    """Image files by name, and by stem where the index says .png and the file is .jpg."""
    paths = [path for folder in folders for path in image_files(folder)]
    return {path.stem: path for path in paths} | {path.name: path for path in paths}


def found(files: dict[str, Path], name: str) -> Path | None:
    """The file of this name, else of this stem."""
    return files.get(name) or files.get(Path(name).stem)


def image_files(folder: Path) -> tuple[Path, ...]:
    """The image files that lie in `folder`, sorted; hidden ones (._copies of some systems) are not films."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An image that is labelled by the folder it lies in. split: the folder above, '' where labels come first."""

    path: Path
    split: str
    label: str


def filed_images(folder: Path, splits: frozenset[str], labels: tuple[str, ...] = ()) -> tuple[Filed, ...]:
    """Images in split/label/ folders, or in label/ folders where no folder is named as a split.

    labels: the vocabulary; empty for any folder name. Raises DatasetInvalid for a folder outside the vocabulary, and
    when no split or label folder is there.
    """
    heads = [child for child in _folders(folder) if child.name in splits]
    places = [(head.name, child) for head in heads for child in _folders(head)]
    places = places or [("", child) for child in _folders(folder)]
    strange = [str(child) for _, child in places if labels and child.name not in labels]
    if strange:
        raise DatasetInvalid(
            f"{', '.join(strange[:5])}: the folder's name is no label ({', '.join(labels)}). Rename or remove it."
        )
    if not places:
        raise DatasetInvalid(
            f"{folder} has no folders of images: expected {' | '.join(sorted(splits))}, and one for each label in them."
        )
    return tuple(Filed(path=p, split=split, label=child.name) for split, child in places for p in image_files(child))


def _folders(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith((".", "__MACOSX")))
