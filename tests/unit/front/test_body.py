"""Bodies on their way: small ones in memory, large ones on disk, none left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diagnosis_tool.front.body import DiskFull, Spool, TooLarge
from tests.full_disk import fill, small_disk
from tests.unit.front.running import run


async def pieces(*of: bytes) -> AsyncIterator[bytes]:
    for piece in of:
        yield piece


def received(folder: Path, *of: bytes, most_bytes: int = 10_000_000) -> bytes:
    async def receive() -> bytes:
        spool = Spool(folder)
        try:
            body = await spool.received(pieces(*of), most_bytes)
        finally:
            spool.close()
        if body.file is None:
            assert body.length == len(body.data)
            return body.data
        with body.file as file:
            file.seek(0)
            data = file.read()
        assert body.length == len(data)
        return data

    return run(receive())


def test_it_is_here_as_a_whole(tmp_path: Path) -> None:
    assert received(tmp_path) == b""
    assert received(tmp_path, b"ab", b"c") == b"abc"
    large = [bytes([k]) * 200_000 for k in range(7)]
    assert received(tmp_path, *large) == b"".join(large)
    assert not list(tmp_path.iterdir())


def test_what_is_too_much_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as error:
        received(tmp_path, *[bytes(300_000)] * 5, most_bytes=1_000_000)
    assert error.value.length == 1_200_000
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with pytest.raises(DiskFull):
            received(disk, bytes(300_000), bytes(300_000))
        assert received(disk, b"small") == b"small"
