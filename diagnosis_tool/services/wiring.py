"""Makes the Context of a real process: SQLite, blobs on disk, the machine's clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from diagnosis_tool.cxr.types import Decoder, Radiograph
from diagnosis_tool.domain.access import Projects
from diagnosis_tool.services.bundles import BundleCatalogue
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.audit import AuditLog
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.credentials import CredentialStore
from diagnosis_tool.storage.database import open_database
from diagnosis_tool.storage.identities import IdentityStore
from diagnosis_tool.storage.inventory import Inventory
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.metrics import MetricStore
from diagnosis_tool.storage.migrate import migrate
from diagnosis_tool.storage.predictions import PredictionStore
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.second_factors import SecondFactorStore
from diagnosis_tool.storage.secret import audit_key as stored_audit_key
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.users import UserStore
from diagnosis_tool.storage.worklist_pages import WorklistStore

AUDIT_HEAD: Final = "audit_head"
"""The file in the data folder that keeps the audit log's head."""


class _NoDecoder:
    def decode(self, data: bytes, became_slow: Callable[[], None] = lambda: None) -> Radiograph:
        raise RuntimeError("this process was not wired to decode files")

    def break_off(self) -> None:
        pass


def make_context(
    *,
    data_dir: Path,
    database_file: Path,
    projects: Projects,
    bundles: BundleCatalogue | None = None,
    audit_key: str = "",
    quota_bytes: int | None = None,
    decoder: Decoder | None = None,
) -> Context:
    """Stores on a database that has been migrated.

    projects: whose studies there are. bundles: those that pages tell about. audit_key: chains the audit log; empty for
    the one kept in data_dir. quota_bytes: how much each user may keep; None for no limit. decoder: what makes films of
    files; None for commands that open none.
    """
    engine = open_database(database_file)

    def now() -> datetime:
        return datetime.now(UTC)

    key = (audit_key or stored_audit_key(data_dir)).encode()
    audit = AuditLog(engine, now, key=key, head_file=data_dir / AUDIT_HEAD)
    jobs = JobStore(engine, now, audit)
    blobs = BlobStore(data_dir / "blobs")
    return Context(
        projects=projects,
        studies=StudyStore(engine, blobs),
        jobs=jobs,
        predictions=PredictionStore(engine, now, jobs),
        reviews=ReviewStore(engine, now),
        users=UserStore(engine, now),
        credentials=CredentialStore(engine, now),
        second_factors=SecondFactorStore(engine, now),
        identities=IdentityStore(engine, now),
        worklist=WorklistStore(engine),
        blobs=blobs,
        inventory=Inventory(engine),
        audit=audit,
        metrics=MetricStore(engine, now),
        decoder=decoder or _NoDecoder(),
        now=now,
        new_uid=lambda: uuid4().hex,
        bundles=bundles or BundleCatalogue(),
        quota_bytes=quota_bytes,
    )


def migrate_database(database_file: Path, migrations_dir: Path) -> None:
    """Creates the database or brings it to the newest schema."""
    engine = open_database(database_file)
    try:
        migrate(engine, migrations_dir)
    finally:
        engine.dispose()
