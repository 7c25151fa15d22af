"""No other account of the machine reads the data folder."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagnosis_tool.cli import main
from diagnosis_tool.storage.private import keep_private


@pytest.fixture(autouse=True)
def as_open_as_usual() -> Iterator[None]:
    """What an account usually starts with, and has again afterwards."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_commands_make_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("DATA_DIR", str(data))
    assert main(["migrate"]) == 0
    assert mode(data) == 0o700
    assert mode(data / "diagnosis_tool.sqlite") == 0o600
    for target in (tmp_path / "b.tar", tmp_path / "b"):
        assert main(["backup", str(target)]) == 0
        assert mode(target) & 0o077 == 0
    assert main(["export", "reviews", str(tmp_path / "r.csv")]) == 0
    assert mode(tmp_path / "r.csv") == 0o600
    assert os.umask(0o022) == 0o022  # the process that called it keeps its own


def test_a_folder_of_before_is_closed_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = [tmp_path, tmp_path / "blobs", tmp_path / "blobs" / "ab", tmp_path / "engines"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    for name in ("diagnosis_tool.sqlite", "diagnosis_tool.sqlite-wal"):
        (tmp_path / name).touch(0o644)
    with caplog.at_level(logging.INFO):
        assert keep_private(tmp_path) == 6
    assert {mode(folder) for folder in folders} == {0o700}
    assert mode(tmp_path / "diagnosis_tool.sqlite-wal") == 0o600
    assert "6 files and folders were closed" in caplog.text
    assert "umask 077" in caplog.text
    assert keep_private(tmp_path) == 0
    assert os.umask(0o022) == 0o077


def test_what_all_accounts_share_stays_open_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o1777)
    assert keep_private(tmp_path) == 0
    assert mode(tmp_path) == 0o1777
    assert "a folder of its own" in caplog.text


def test_what_is_another_accounts_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_ours(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    tmp_path.chmod(0o775)
    monkeypatch.setattr(Path, "chmod", not_ours)
    assert keep_private(tmp_path) == 0
    assert "could not be closed: Operation not permitted" in caplog.text
