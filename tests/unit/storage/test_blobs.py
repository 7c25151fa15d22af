import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from diagnosis_tool.errors import NotFound, StorageFull
from diagnosis_tool.storage.blobs import BlobStore


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_is_named_by_its_content(blobs: BlobStore, tmp_path: Path) -> None:
    pending = blobs.pending()
    pending.write(b"one")
    pending.write(b"two")
    (sha256,) = blobs.commit(pending)
    assert sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert blobs.read(sha256) == b"onetwo"
    assert pending.size_bytes == 6
    assert [path.name for path in files(tmp_path)] == [sha256]


def test_the_same_content_is_stored_once(blobs: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        pending = blobs.pending()
        pending.write(b"same")
        blobs.commit(pending)
    assert len(files(tmp_path)) == 1


def test_closing_without_commit_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    with blobs.pending() as pending:
        pending.write(b"half")
    pending.close()
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_only_hashes_are_looked_up(blobs: BlobStore, name: str) -> None:
    with pytest.raises(NotFound, match="not the name"):
        blobs.read(name)


def test_missing_blob(blobs: BlobStore) -> None:
    with pytest.raises(NotFound, match="no longer stored"):
        blobs.read("a" * 64)


def test_full_disk_is_said_in_words(blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = blobs.pending()
    pending.write(b"x")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="disk is full"):
        blobs.commit(pending)
    pending.close()
    assert files(tmp_path) == []


def test_sweep_removes_only_what_is_old(blobs: BlobStore) -> None:
    old, new = blobs.pending(), blobs.pending()
    yesterday = time.time() - 90_000
    os.utime(old.path, (yesterday, yesterday))
    assert blobs.sweep() == 1
    assert new.path.exists()
    assert not old.path.exists()
    for pending in (old, new):
        pending.close()


def test_files_of_one_upload_are_committed_together(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    pending = [blobs.pending() for _ in range(3)]
    for blob, data in zip(pending, (b"one", b"two", b"one"), strict=True):
        blob.write(data)
    hashes = blobs.commit(*pending)
    assert [blobs.read(sha256) for sha256 in hashes] == [b"one", b"two", b"one"]
    assert list((tmp_path / "incoming").iterdir()) == []
