"""Paths as people have them, and folders that cannot be made."""

import shutil
from pathlib import Path

import pytest

from diagnosis_tool import resources
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage.session import open_database


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
