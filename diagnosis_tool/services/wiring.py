"""Makes the Context of a real process: SQLite, blobs on disk, the machine's clock."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from diagnosis_tool.services.bundles import BundleCatalogue
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.migrate import migrate
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.session import open_database
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.users import UserStore
from diagnosis_tool.storage.worklist_pages import WorklistStore


def make_context(*, data_dir: Path, database_file: Path, bundles: BundleCatalogue | None = None) -> Context:
    """Stores on a database that has been migrated. bundles: those that pages tell about."""
    engine = open_database(database_file)

    def now() -> datetime:
        return datetime.now(UTC)

    return Context(
        studies=StudyStore(engine),
        jobs=JobStore(engine, now),
        reviews=ReviewStore(engine, now),
        users=UserStore(engine, now),
        worklist=WorklistStore(engine),
        blobs=BlobStore(data_dir / "blobs"),
        now=now,
        new_uid=lambda: uuid4().hex,
        bundles=bundles or BundleCatalogue(),
    )


def migrate_database(database_file: Path, migrations_dir: Path) -> None:
    """Creates the database or brings it to the newest schema."""
    engine = open_database(database_file)
    try:
        migrate(engine, migrations_dir)
    finally:
        engine.dispose()
