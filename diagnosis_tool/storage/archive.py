"""Backups as files: a folder, or one .tar of the same, with a manifest that says what is in it.

manifest.json   what follows, with sizes and sha256s; written last, so what has none is no backup
diagnosis_tool.sqlite
secret_key      where the installation keeps its own
blobs/ab/abcdef…
"""

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final, Protocol, Self

import cattrs
from cattrs.errors import BaseValidationError

from diagnosis_tool.errors import BackupInvalid, StorageFull
from diagnosis_tool.storage.disk import is_full, sync

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "diagnosis_tool.sqlite"
KEYS: Final = ("secret_key", "audit_key")
"""Files of keys, which an installation has where no setting brings them."""
_NAME: Final = re.compile(rf"{re.escape(DATABASE)}|{'|'.join(KEYS)}|blobs/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a backup: where it lies in it, its size and the sha256 of its bytes."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    schema: the database's. created_at: ISO 8601, UTC. missing: sha256s of files that rows name and that were missing
    from the store itself when it was backed up.
    """

    format: int
    created_at: str
    schema: str
    studies: int
    images: int
    missing: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size_bytes for entry in self.entries)


def blob_entry(sha256: str) -> str:
    """Where a blob lies in a backup."""
    return f"blobs/{sha256[:2]}/{sha256}"


class BackupWriter:
    """A backup that is being written, under a name of its own until `finish`; used with `with`.

    folder: what is written lies there; a name that ends in .tar becomes one file, any other a folder.
    Raises BackupInvalid when the target is there already, StorageFull when there is no room.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.folder = target.with_name(f"{target.name}.partial")
        self._entries: list[Entry] = []
        if os.path.lexists(target):
            raise BackupInvalid("%(target)s is there already. Choose another name.", target=target)
        with _in_words(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.folder.mkdir(mode=0o700)
            except FileExistsError as error:
                raise BackupInvalid(
                    "%(folder)s is of a backup that runs, or that was cut off: remove it if none runs.",
                    folder=self.folder,
                ) from error
        self._tar = tarfile.open(self.folder / "tar", "w") if target.suffix == ".tar" else None  # noqa: SIM115  __exit__
        if self._tar is not None:
            os.chmod(self.folder / "tar", 0o600)  # it leaves the folder, whose mode guards it until then

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            with suppress(OSError):  # a full disk: the file is removed with its folder
                self._tar.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str, file: IO[bytes], size_bytes: int) -> Entry:
        """Copies a file of this size into the backup, which says what it was given. Raises StorageFull."""
        source = _Hashing(file)
        with _in_words(self._target):
            if self._tar is not None:
                member = tarfile.TarInfo(name)
                member.size, member.mode = size_bytes, 0o600
                self._tar.addfile(member, source)
            else:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, source)
        entry = Entry(name=name, size_bytes=size_bytes, sha256=source.sha256)
        self._entries.append(entry)
        return entry

    def finish(self, *, created_at: str, schema: str, studies: int, images: int, missing: tuple[str, ...]) -> Manifest:
        """Writes the manifest, makes all durable and gives it its name. Raises StorageFull."""
        manifest = Manifest(
            format=FORMAT,
            created_at=created_at,
            schema=schema,
            studies=studies,
            images=images,
            missing=missing,
            entries=tuple(self._entries),
        )
        text = json.dumps(cattrs.unstructure(manifest), indent=1).encode()
        self.add(MANIFEST, BytesIO(text), len(text))
        with _in_words(self._target):
            if self._tar is not None:
                self._tar.close()
                sync(self.folder / "tar")
                os.rename(self.folder / "tar", self._target)
            else:
                for folder, _, _ in os.walk(self.folder):
                    sync(Path(folder))
                os.rename(self.folder, self._target)
            sync(self._target.parent)
        return manifest


class BackupReader(Protocol):
    """A backup that is there: its manifest and its files."""

    manifest: Manifest

    def open(self, entry: Entry) -> IO[bytes]:
        """The entry's bytes. Raises BackupInvalid when they are not there."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...


def open_backup(path: Path) -> BackupReader:
    """The backup at this path, a folder or a .tar. Raises BackupInvalid when it is none, or incomplete."""
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return _Tar(path)
    raise BackupInvalid("There is no backup at %(path)s.", path=path)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.manifest = _parsed(path, (path / MANIFEST).read_bytes())
        except FileNotFoundError as error:
            raise BackupInvalid(
                "%(path)s holds no %(name)s: it is no whole backup.", path=path, name=MANIFEST
            ) from error

    def open(self, entry: Entry) -> IO[bytes]:
        try:
            return (self._path / entry.name).open("rb")
        except OSError as error:
            raise _lacks(self._path, entry) from error

    def close(self) -> None:
        pass


class _Tar:
    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as stack:
            try:
                self._tar = stack.enter_context(tarfile.open(path, "r:"))
                file = self._tar.extractfile(MANIFEST)
                text = file.read() if file is not None else b""
            except (tarfile.TarError, KeyError, OSError) as error:
                raise BackupInvalid("%(path)s is no whole backup: %(why)s.", path=path, why=error) from error
            self.manifest = _parsed(path, text)
            stack.pop_all()

    def open(self, entry: Entry) -> IO[bytes]:
        try:
            file = self._tar.extractfile(entry.name)
        except (tarfile.TarError, KeyError, OSError) as error:
            raise _lacks(self._path, entry) from error
        if file is None:
            raise _lacks(self._path, entry)
        return file

    def close(self) -> None:
        self._tar.close()


def extract(reader: BackupReader, entry: Entry, target: Path) -> None:
    """Writes the entry's bytes to the new file `target`, durably. Raises BackupInvalid when they are not what the
    manifest says, StorageFull."""
    with reader.open(entry) as file, _in_words(target.parent):
        source = _Hashing(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            size = _write(target, source)
        except tarfile.TarError as error:
            raise BackupInvalid("The backup is cut off in %(name)s.", name=entry.name) from error
    if (size, source.sha256) != (entry.size_bytes, entry.sha256):
        raise BackupInvalid(
            "The backup is damaged: %(name)s is not what its manifest says. Nothing was restored; use another backup.",
            name=entry.name,
        )


class _Hashing:
    """Reads through, hashing what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _write(path: Path, source: _Hashing) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    size = 0
    with os.fdopen(descriptor, "wb") as file:
        while data := source.read(_CHUNK_BYTES):
            size += file.write(data)
        file.flush()
        os.fsync(descriptor)
    return size


def _parsed(path: Path, text: bytes) -> Manifest:
    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=False)
    try:
        manifest = converter.structure(json.loads(text), Manifest)
    except (ValueError, TypeError, KeyError, BaseValidationError) as error:
        raise BackupInvalid(
            "The manifest of %(path)s cannot be read: it is no backup of this tool.", path=path
        ) from error
    if manifest.format != FORMAT:
        raise BackupInvalid("%(path)s is a backup of another format. A newer release made it.", path=path)
    names = [entry.name for entry in manifest.entries]
    if DATABASE not in names or not all(_NAME.fullmatch(name) for name in names):
        raise BackupInvalid("The manifest of %(path)s names files that no backup of this tool has.", path=path)
    return manifest


def _lacks(path: Path, entry: Entry) -> BackupInvalid:
    return BackupInvalid(
        "The backup %(path)s lacks %(name)s. Nothing was restored; use another one.", path=path, name=entry.name
    )


@contextmanager
def _in_words(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFull("There is no room at %(target)s. Nothing was left there.", target=target) from error
        raise BackupInvalid("%(target)s cannot be written: %(why)s.", target=target, why=error) from error
