"""The migrations give the schema that the code expects, also to a database that has been used."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from diagnosis_tool import resources
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage import tables
from diagnosis_tool.storage.session import open_database, reading


def test_migrated_schema_equals_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite"
    migrate_database(file, resources.migrations_dir())
    with open_database(file).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_migrating_twice_keeps_the_data(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite"
    for _ in range(2):
        migrate_database(file, resources.migrations_dir())
    with reading(open_database(file)) as connection:
        assert connection.execute(select(tables.users.c.name)).scalars().all() == ["local reader"]


def test_sqlite_is_durable_and_concurrent(tmp_path: Path) -> None:
    with reading(open_database(tmp_path / "db.sqlite")) as connection:
        pragmas = {p: connection.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
