"""Receiving a body, all of it, before anybody else has to wait for it."""

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final, TypeVar

from diagnosis_tool.front.backend import Body

_IN_MEMORY_BYTES: Final = 1 << 18
_SPARED_BYTES: Final = 1 << 30
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
T = TypeVar("T")


class DiskFull(Exception):
    """The body does not fit."""


class TooLarge(Exception):
    """The body has more bytes than may be there. length: of what came so far."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


class Spool:
    """Keeps bodies: small ones in memory, others in files without a name, which are gone with this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers = ThreadPoolExecutor(2, thread_name_prefix="spool")  # a disk may be slow; the loop must not be

    async def received(self, pieces: AsyncIterator[bytes], most_bytes: int) -> Body:
        """The whole body; close() it. Raises TooLarge, DiskFull, and what the pieces raise."""
        held: list[bytes] = []
        held_bytes = length = 0
        file: IO[bytes] | None = None
        try:
            async for piece in pieces:
                length += len(piece)
                if length > most_bytes:
                    raise TooLarge(length)
                held.append(piece)
                held_bytes += len(piece)
                if held_bytes >= _IN_MEMORY_BYTES:
                    file = file or await self._call(self._open)
                    await self._call(_write, file, held)
                    held, held_bytes = [], 0
            if file is None:
                return Body(b"".join(held))
            await self._call(_write, file, held)
        except OSError as error:
            if file is not None:
                file.close()
            if error.errno in _FULL:
                raise DiskFull from error
            raise
        except BaseException:
            if file is not None:
                file.close()
            raise
        return Body(file=file, length=length)

    async def pieces(self, body: Body) -> AsyncIterator[bytes]:
        """A body that was received, from its beginning."""
        if body.file is None:
            yield body.data
            return
        at = 0
        while piece := await self._call(os.pread, body.file.fileno(), _IN_MEMORY_BYTES, at):
            at += len(piece)
            yield piece

    async def has_room(self, length: int) -> bool:
        """Whether the disk takes so many bytes and has as many left, and some more for what is not to be lost."""
        usage = await self._call(shutil.disk_usage, self._folder)
        return bool(usage.free > 2 * length + _SPARED_BYTES)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, function, *arguments)

    def _open(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder, prefix=".upload-", buffering=0)

    def close(self) -> None:
        """No more bodies."""
        self._writers.shutdown(wait=False, cancel_futures=True)


def _write(file: IO[bytes], pieces: list[bytes]) -> None:
    for piece in pieces:
        left = memoryview(piece)
        while left:
            left = left[os.write(file.fileno(), left) :]
