"""Backing up a store that goes on serving, and making one from a backup."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnosis_tool.errors import BackupInvalid, DatabaseInvalid, NotFound, StorageFull
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.archive import (
    DATABASE,
    KEYS,
    BackupReader,
    BackupWriter,
    Manifest,
    blob_entry,
    extract,
    open_backup,
)
from diagnosis_tool.storage.inventory import NamedContent
from diagnosis_tool.storage.snapshot import Copy, opened, snapshot

_STAGING: Final = "restoring"
_MAY_STAND: Final = frozenset({"lost+found", "engines"})
"""In a folder that counts as empty: a file system's own, and converted networks."""
_PARTS: Final = ("blobs", *KEYS, DATABASE)
"""In the order in which they come to their places: without a database there is nothing to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What was backed up. damaged: files whose bytes are not those of their name; they are in it as they are."""

    manifest: Manifest
    damaged: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """True when nothing was missing or damaged in the store itself."""
        return not (self.manifest.missing or self.damaged)


def write_backup(context: Context, *, data_dir: Path, database_file: Path, migrations: Path, target: Path) -> Backup:
    """Writes the database as it is now, the files that it names, and the key, to the new folder or .tar `target`.

    Others go on reading and writing meanwhile. Files are durable before their rows, so the copy names none that is not
    there; what is deleted while the files are being copied is left out.

    Raises BackupInvalid when the target exists or cannot be written, StorageFull, DatabaseInvalid.
    """
    with BackupWriter(target) as writer:
        file = writer.folder / "copy.sqlite"
        created_at = context.now()
        snapshot(database_file, file)
        with opened(file) as copy:
            missing, damaged = _add_blobs(context, writer, copy.inventory.named())
            missing = _follow_deletions(context, copy, missing)
            named, studies = copy.inventory.named(), len(copy.inventory.study_uids())
            schema = copy.inventory.schema(migrations)
        _add_file(writer, DATABASE, file)
        file.unlink()
        for key in KEYS:
            if (data_dir / key).is_file():  # an installation with SECRET_KEY has no key of its own
                _add_file(writer, key, data_dir / key)
        manifest = writer.finish(
            created_at=created_at.isoformat(timespec="seconds"),
            schema=schema,
            studies=studies,
            images=sum(len(content.images) for content in named),
            missing=missing,
        )
    return Backup(manifest=manifest, damaged=damaged)


def _add_blobs(
    context: Context, writer: BackupWriter, named: Iterable[NamedContent]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    missing, damaged = [], []
    for content in named:
        try:
            file = context.blobs.open(content.sha256)
        except NotFound:
            missing.append(content.sha256)
            continue
        with file:
            entry = writer.add(blob_entry(content.sha256), file, os.fstat(file.fileno()).st_size)
        if entry.sha256 != content.sha256:
            damaged.append(content.sha256)
    return tuple(missing), tuple(damaged)


def _add_file(writer: BackupWriter, name: str, path: Path) -> None:
    with path.open("rb") as file:
        writer.add(name, file, path.stat().st_size)


def _follow_deletions(context: Context, copy: Copy, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Deletes from the copy the studies that were deleted meanwhile; returns which files are missing all the same."""
    if not missing:
        return ()
    alive = context.inventory.study_uids()
    named = {content.sha256: content for content in copy.inventory.named()}
    gone = {uid for sha256 in missing for uid, _ in named[sha256].images} - alive
    copy.delete_studies(sorted(gone))
    still = {content.sha256 for content in copy.inventory.named()}
    return tuple(sha256 for sha256 in missing if sha256 in still)


def restore(*, backup: Path, data_dir: Path, migrations: Path) -> Manifest:
    """Makes the empty folder data_dir hold what the backup holds, all of it compared with its manifest before.

    Until the last step there is no database in data_dir, so nothing can serve half of it; a restoring that was cut off
    is begun anew. Sessions and one-time links end, API tokens stay.

    Raises BackupInvalid when the backup is damaged, incomplete or of a newer release, or when data_dir is not empty;
    StorageFull.
    """
    reader = open_backup(backup)
    try:
        staging = data_dir / _STAGING
        if staging.is_dir() and not (data_dir / DATABASE).exists():
            _clear(data_dir)
        _require_empty(data_dir)
        _require_room(data_dir, reader.manifest.size_bytes)
        try:
            _stage(reader, staging, migrations)
            _move(staging, data_dir)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        reader.close()
    return reader.manifest


def _clear(data_dir: Path) -> None:
    """Removes what a restoring that was cut off left: its staging folder goes last."""
    for key in KEYS:
        (data_dir / key).unlink(missing_ok=True)
    for folder in ("blobs", _STAGING):
        shutil.rmtree(data_dir / folder, ignore_errors=True)


def _require_empty(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in data_dir.iterdir() if path.name not in _MAY_STAND)
    except OSError as error:
        raise BackupInvalid("%(folder)s cannot be used: %(why)s.", folder=data_dir, why=error.strerror) from error
    if names:
        raise BackupInvalid(
            "%(folder)s is not empty: it holds %(names)s. A backup is restored into an empty folder only; name another "
            "one with DATA_DIR, or move away what is there.",
            folder=data_dir,
            names=", ".join(names[:3]) + (" and more" if len(names) > 3 else ""),
        )


def _require_room(data_dir: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < size_bytes:
        raise StorageFull(
            "The backup needs %(needs)s MB, %(folder)s has room for %(free)s MB. Nothing was restored.",
            needs=size_bytes // 1_000_000 + 1,
            folder=data_dir,
            free=free // 1_000_000,
        )


def _stage(reader: BackupReader, staging: Path, migrations: Path) -> None:
    entries = {entry.name: entry for entry in reader.manifest.entries}
    extract(reader, entries[DATABASE], staging / DATABASE)
    try:
        with opened(staging / DATABASE) as copy:
            copy.inventory.schema(migrations)
            copy.end_sessions_and_links()  # who signed out or used a link since would find them alive again
            named = {blob_entry(content.sha256): content.sha256 for content in copy.inventory.named()}
    except DatabaseInvalid as error:
        raise BackupInvalid("The backup cannot be restored. %(why)s", why=error) from error
    lacking = [name for name, sha256 in named.items() if name not in entries and sha256 not in reader.manifest.missing]
    if lacking:
        raise BackupInvalid(
            "The backup lacks %(n)s files that its studies name. Nothing was restored; use another backup.",
            n=len(lacking),
        )
    # what belongs to studies that were deleted while it was made stays out
    for name in (*KEYS, *named):
        if name in entries:
            extract(reader, entries[name], staging / name)


def _move(staging: Path, data_dir: Path) -> None:
    (staging / "blobs").mkdir(exist_ok=True)
    for name in _PARTS:
        os.sync()  # all before it is durable first
        if (staging / name).exists():
            os.rename(staging / name, data_dir / name)
    os.sync()
