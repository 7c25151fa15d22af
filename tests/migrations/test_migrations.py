"""The migrations give the schema that the code expects, also to a database that has been used."""

from datetime import UTC, datetime
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from diagnosis_tool import resources
from diagnosis_tool.domain.jobs import Priority
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage import tables
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.migrate import migrate
from diagnosis_tool.storage.session import open_database, reading
from diagnosis_tool.storage.studies import NewInstance, StudyStore


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


def test_a_queue_of_the_first_release_is_kept_in_order(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "db.sqlite")
    migrate(engine, resources.migrations_dir(), "0001")
    studies = StudyStore(engine)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    new = [NewInstance(uid=f"i{k}", file_name="a.png", sha256=str(k) * 64, size_bytes=1) for k in range(3)]
    studies.add(uid="s", created_at=now, user_id=1, instances=new)
    migrate(engine, resources.migrations_dir())
    jobs = JobStore(engine, lambda: now)
    jobs.hurry("i2", Priority.LOOKED_AT)
    assert [job.instance_uid for job in jobs.claim("w", 5)] == ["i2", "i0", "i1"]


def test_sqlite_is_durable_and_concurrent(tmp_path: Path) -> None:
    with reading(open_database(tmp_path / "db.sqlite")) as connection:
        pragmas = {p: connection.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
