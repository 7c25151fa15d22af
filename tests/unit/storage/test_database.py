"""Paths as people have them, and folders that cannot be made."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from diagnosis_tool import cli, resources
from diagnosis_tool.errors import Busy, DatabaseInvalid, SettingsInvalid
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage import database
from diagnosis_tool.storage.database import open_database, read_transaction, write_transaction
from testing.serving import free_port
from testing.stores import DATABASE, open_store


@pytest.mark.parametrize("name", ["a?b=1", "a%20b", "a b#c"])
def test_signs_in_a_path_are_only_signs(tmp_path: Path, name: str) -> None:
    migrations = tmp_path / name / "migrations"
    shutil.copytree(resources.migrations_dir(), migrations)
    file = tmp_path / name / "db.sqlite"
    migrate_database(file, migrations)
    assert file.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match="cannot be made"):
        open_database(tmp_path / "file" / "data" / "db.sqlite")


def not_a_database(file: Path) -> None:
    file.write_bytes(b"no database at all" * 100)


def torn(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[100:8000] = bytes(7900)
    file.write_bytes(data)


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()


@pytest.mark.parametrize(
    ("damage", "words"), [(not_a_database, "damaged"), (torn, "damaged"), (newer, "newer release")]
)
def test_a_database_that_cannot_be_used_is_told_by_every_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    words: str,
) -> None:
    open_store(tmp_path)
    damage(tmp_path / DATABASE)
    before = (tmp_path / DATABASE).read_bytes()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", str(free_port()))
    for command in (["serve"], ["migrate"], ["check"], ["backup", str(tmp_path / "b")], ["export", "reviews", "-"]):
        assert cli.main(command) == 1
        assert words in capsys.readouterr().err
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_database_that_was_not_migrated_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / DATABASE).close()
    context = open_store(tmp_path)
    with pytest.raises(DatabaseInvalid, match=r"has schema none.*Run `diagnosis-tool migrate`"):
        context.inventory.require_newest(resources.migrations_dir())


def test_who_waits_too_long_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_PRAGMAS", (*database._PRAGMAS, "busy_timeout=50"))
    open_store(tmp_path)
    first, second = (open_database(tmp_path / DATABASE) for _ in range(2))
    with (
        write_transaction(first),
        pytest.raises(Busy, match="Nothing was stored; try again"),
        write_transaction(second),
    ):
        pass
    with write_transaction(first), read_transaction(second):  # a reader never waits
        pass
