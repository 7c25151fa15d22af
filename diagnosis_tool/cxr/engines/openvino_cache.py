"""Converted networks on disk: a folder each, whole or not there, rebuilt when it is damaged."""

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
MODEL_FILE: Final = "model.xml"
_HASHES_FILE: Final = "sha256.json"
_EXPORT: Final = "1"
"""To be raised when the conversion itself changes: an older release's files then no longer count."""

_KEPT: Final = 4
"""So many models stay, the last used; B7 has 256 MB."""


def cache_key(*parts: str) -> str:
    """A folder name that changes with each part: bundle, engine version, processor."""
    return hashlib.sha256(json.dumps([_EXPORT, *parts]).encode()).hexdigest()[:32]


def cached_model(folder: Path, key: str, write: Callable[[Path], None]) -> Path:
    """The .xml file of the model kept under this key; write(file) is called where it is missing or damaged.

    It is made under another name and then renamed: a process that is killed leaves nothing that counts, and several
    may do it at once. Of models that were not used for long, all but the last few go when a new one comes. Raises
    OSError when the folder cannot be written.
    """
    place = folder / key
    if _is_whole(place):
        with contextlib.suppress(OSError):  # a folder that cannot be written still serves
            place.touch()
        return place / MODEL_FILE
    if place.exists():
        _log.warning("%s is damaged or half-written: it is made again", place)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder))
    try:
        write(scratch / MODEL_FILE)
        hashes = {file.name: _sha256(file) for file in sorted(scratch.iterdir())}
        (scratch / _HASHES_FILE).write_text(json.dumps(hashes))
        if not _is_whole(place):  # else another process was faster, and may be reading it
            shutil.rmtree(place, ignore_errors=True)
            with contextlib.suppress(OSError):  # the same, between these two lines
                scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not _is_whole(place):
        raise OSError(f"{place} could not be written")
    _forget_unused(folder)
    return place / MODEL_FILE


def _forget_unused(folder: Path) -> None:
    """Another process that has one of them open goes on with it: it is loaded, or mapped."""
    places = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
    for place in sorted(places, key=lambda place: place.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(place, ignore_errors=True)


def _is_whole(place: Path) -> bool:
    try:
        hashes = json.loads((place / _HASHES_FILE).read_text())
        return MODEL_FILE in hashes and all(_sha256(place / name) == sha256 for name, sha256 in hashes.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
