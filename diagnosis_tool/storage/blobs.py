"""Uploaded files, named by their sha256. No name from outside ever becomes a path."""

import errno
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

from diagnosis_tool.domain.language import marked
from diagnosis_tool.errors import Conflict, NotFound, StorageFull

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_STALE_S: Final = 24 * 3600
_FULL: Final = marked(
    "The server's disk is full. Nothing was stored; ask the administrator for room, then send it again."
)


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
        into it. Raises StorageFull when the disk has no room.
        """
        folders = {self._root}
        for blob in blobs:
            blob.sync()
            target = self._path(blob.sha256)
            with _room():
                target.parent.mkdir(exist_ok=True)
                os.replace(blob.path, target)
            folders.add(target.parent)
        with _room():
            for folder in folders:
                _sync_folder(folder)
        for blob in blobs:
            blob.close()
        return tuple(blob.sha256 for blob in blobs)

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises NotFound when there is no such blob."""
        with self.open(sha256) as file:
            return file.read()

    def open(self, sha256: str) -> BinaryIO:
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

    def sweep(self) -> int:
        """Removes what broken uploads left behind over a day ago; returns how many files."""
        removed = 0
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # another process just finished with it
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()
                    removed += 1
        return removed

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise NotFound("That is not the name of a stored file.")
        return self._root / sha256[:2] / sha256


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(_FULL) from error
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
