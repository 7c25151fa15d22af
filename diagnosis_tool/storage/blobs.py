"""Uploaded files, named by their sha256. No name from outside ever becomes a path."""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final, Self

from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import Conflict, NotFound, StorageFull
from diagnosis_tool.storage.disk import is_full, sync

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_STALE_S: Final = 24 * 3600
FULL: Final = gettext_noop(
    "The server's disk is full. Nothing was stored; ask the administrator for room, then send it again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A file of the store as the folder shows it. age_s: since it got its name, or was changed by whatever means."""

    sha256: str
    size_bytes: int
    age_s: float


class PendingBlob:
    """A file that is being received: file-like, hashed as it is written front to back. Not visible until committed."""

    def __init__(self, folder: Path) -> None:
        with _room():
            descriptor, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self._file = os.fdopen(descriptor, "w+b")
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Appends. Raises StorageFull when the disk has no room."""
        with _room():
            written = self._file.write(data)
        self._hash.update(data)
        self.size_bytes += written
        return written

    def read(self, size: int = -1) -> bytes:
        """Reads from the current position, as files do."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the reading position; writing only ever appends."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The current position."""
        return self._file.tell()

    def readable(self) -> bool:
        """True, as for files."""
        return True

    def seekable(self) -> bool:
        """True, as for files."""
        return True

    def writable(self) -> bool:
        """True, as for files."""
        return True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Makes the bytes durable. Raises StorageFull when the disk has no room."""
        with _room():
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file and, unless it was committed, removes it. May be called twice."""
        with suppress(OSError):  # on a full disk what is still in memory cannot be written: it is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BlobStore:
    """A folder of immutable files, root/ab/abcdef…; the same content is stored once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def pending(self) -> PendingBlob:
        """A new file to receive bytes into. Raises StorageFull when the disk has no room."""
        return PendingBlob(self._incoming)

    def commit(self, *blobs: PendingBlob) -> tuple[str, ...]:
        """Makes the files durable under their sha256s, which are returned in the same order.

        A blob of the same content is replaced by its equal. Each folder is made durable once, however many files came
        into it. Raises StorageFull when the disk has no room; none of the files got its name then, unless folders
        cannot grow any more: whoever commits removes what no row came to name.
        """
        folders = {self._root}
        for blob in blobs:
            blob.sync()
        for blob in blobs:
            target = self._path(blob.sha256)
            with _room():
                target.parent.mkdir(exist_ok=True)
                os.replace(blob.path, target)
            folders.add(target.parent)
        with _room():
            for folder in folders:
                sync(folder)
        for blob in blobs:
            blob.close()
        return tuple(blob.sha256 for blob in blobs)

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises NotFound when there is no such blob."""
        with self.open(sha256) as file:
            return file.read()

    def open(self, sha256: str) -> BufferedReader:
        """The blob for reading piece by piece; the caller closes it. Raises NotFound when there is no such blob."""
        try:
            return self._path(sha256).open("rb")
        except FileNotFoundError as error:
            raise NotFound("The original file is no longer stored.") from error

    def require(self, sha256s: Iterable[str]) -> None:
        """Raises Conflict when one of these blobs is not there: its last study was deleted at this very moment."""
        if not all(self._path(sha256).is_file() for sha256 in sha256s):
            raise Conflict("One of these images was being deleted at this moment. Nothing was stored: send it again.")

    def remove(self, sha256: str) -> None:
        """Removes the blob. Only for what no row names, and under the write lock: see StudyStore.drop_content."""
        self._path(sha256).unlink(missing_ok=True)

    def sweep(self, older_than_s: float = _STALE_S) -> int:
        """Removes what broken uploads left behind over a day ago; returns how many files."""
        removed = 0
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # another process just finished with it
                if time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink()
                    removed += 1
        return removed

    def waiting(self) -> int:
        """How many files are being received, or were when a process was killed."""
        return len(list(self._incoming.iterdir()))

    def all(self) -> Iterator[StoredBlob]:
        """Every file under its sha256, in that order."""
        for path in self._files():
            if _SHA256.fullmatch(path.name) and path.parent.name == path.name[:2]:
                with suppress(FileNotFoundError):  # deleted at this moment
                    status = path.stat()
                    yield StoredBlob(sha256=path.name, size_bytes=status.st_size, age_s=time.time() - status.st_ctime)

    def strangers(self) -> Iterator[Path]:
        """Files that are none of this store's."""
        for path in self._files():
            if not (_SHA256.fullmatch(path.name) and path.parent.name == path.name[:2]):
                yield path

    def is_sound(self, sha256: str) -> bool:
        """True when the bytes are those that the name says. Raises NotFound when there is no such blob."""
        with self.open(sha256) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self._root.iterdir()):
            if folder == self._incoming:
                continue
            if folder.is_dir():
                yield from (path for path in sorted(folder.iterdir()))
            else:
                yield folder

    def free_bytes(self) -> int:
        """Room on the disk for more."""
        return shutil.disk_usage(self._root).free

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise NotFound("That is not the name of a stored file.")
        return self._root / sha256[:2] / sha256


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFull(FULL) from error
        raise
