"""The tables, as the newest migration leaves them; tests/migrations compares the two."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    column,
    table,
    text,
)


class Utc(TypeDecorator[datetime]):
    """An aware datetime; SQLite knows no time zones, so it is stored as UTC without one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Any time zone to naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Naive UTC to aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


MAX_FOLDED: Final = 400
"""Letters of a folded name."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users: Final = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False),
    Column("role", String(20), nullable=False, server_default="radiologist"),
    Column("folded_name", String(MAX_FOLDED), nullable=False, unique=True, index=True, server_default=""),
    Column("password_hash", String(255)),
    Column("disabled_at", Utc),
)

projects: Final = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("folded_name", String(MAX_FOLDED), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False),
)

# position: the order in which a user's projects are shown.
memberships: Final = Table(
    "memberships",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("position", Integer, nullable=False),
)

# Of session ids, links and tokens only SHA-256 is kept: they are random and long, so nothing slower is needed.
# A session ends by being deleted, and so does a link that was used.
sessions: Final = Table(
    "sign_ins",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
)

links: Final = Table(
    "links",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
)

# sealed: what an authenticator app computes its codes from; a copy of the database alone does not tell it. It counts
# once confirmed_at is set. last_step: the newest code that was used, counted in 30 seconds since 1970.
second_factors: Final = Table(
    "second_factors",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("sealed", String(400), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("confirmed_at", Utc),
    Column("last_step", Integer, nullable=False),
)

# Each works once, and is deleted then.
recovery_codes: Final = Table(
    "recovery_codes",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
)

# Who signs in at a provider: `subject` is the provider's own name for them and never changes, other than what they are
# called. An account is bound to one of them at most.
identities: Final = Table(
    "identities",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, unique=True),
)

# scopes: names of permissions with blanks between them.
tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

# project_id has no index: SQLite would start with all of a project's studies where one patient's are asked for. It may
# be NULL only because SQLite adds no other column that points elsewhere: such a study is seen by nobody.
studies: Final = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False, index=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("patient", String(64), index=True),
    Column("project_id", ForeignKey("projects.id")),
)

# One row for each content, bundle, engine and precision; never updated. The same file uploaded again shares it.
predictions: Final = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_sha256", String(64), nullable=False),
    Column("bundle_name", String(100), nullable=False),
    Column("bundle_version", String(40), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("engine", String(40), nullable=False),
    Column("precision", String(10), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seconds", Float, nullable=False),
    UniqueConstraint("image_sha256", "bundle_sha256", "engine", "precision"),
)

# position: the place in the bundle's outputs. heatmap: height x width bytes, row by row; byte / 255 * scale is the map.
prediction_outputs: Final = Table(
    "prediction_outputs",
    metadata,
    Column("prediction_id", ForeignKey("predictions.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("logit", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("threshold", Float),
    Column("heatmap", LargeBinary, nullable=False),
    Column("heatmap_height", Integer, nullable=False),
    Column("heatmap_width", Integer, nullable=False),
    Column("heatmap_scale", Float, nullable=False),
)

# patient_id and what follows are the file's own words, NULL where it has none; studies.patient is what the sender
# called the patient of a whole upload, and counts where the file names nobody. notes: JSON; NULL where the image was
# not read, or by a release that noted nothing and turned no film.
instances: Final = Table(
    "instances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("study_id", ForeignKey("studies.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size_bytes", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("error", Text),
    Column("width_px", Integer),
    Column("height_px", Integer),
    Column("prediction_id", ForeignKey("predictions.id"), index=True),
    Column("patient_id", String(64), index=True),
    Column("patient_name", String(255)),
    Column("view_position", String(10)),
    Column("age_years", Integer),
    Column("sex", String(1)),
    Column("acquired_at", Utc),
    Column("pixel_spacing_row_mm", Float),
    Column("pixel_spacing_column_mm", Float),
    Column("bits", Integer),
    Column("notes", Text),
    UniqueConstraint("study_id", "position"),
)

thumbnails: Final = Table(
    "thumbnails",
    metadata,
    Column("image_sha256", String(64), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
)

# The queue. A leased row whose lease_until has passed may be claimed again; worker and attempts are its fencing token.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False, unique=True),
    Column("state", String(10), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(100)),
    Column("lease_until", Utc),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Index("ix_jobs_queue", "state", "priority", "id"),
)

workers: Final = Table(
    "workers",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("detail", Text, nullable=False),
    Column("seen_at", Utc, nullable=False),
)

# Append-only: each revision is a row. signed_by, signed_at: the latest sign-off up to this revision.
reviews: Final = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("bundle", String(141), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("verdicts", JSON, nullable=False),
    Column("added", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("boxes", JSON, nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("signed_by", ForeignKey("users.id")),
    Column("signed_at", Utc),
    UniqueConstraint("instance_id", "bundle_sha256", "revision"),
)

# What the worklist shows, one row a study, kept by storage.worklist in the transaction that changes the study: so that
# a page, a filter or a search never reads more than it shows. finding, probability, threshold: of the strongest finding
# above its operating point. urgency: the largest probability over its operating point, above it or not.
worklist: Final = Table(
    "worklist",
    metadata,
    Column("study_id", ForeignKey("studies.id"), primary_key=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("total", Integer, nullable=False),
    Column("finished", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("reader_id", ForeignKey("users.id"), nullable=False),
    Column("patient_id", String(64)),
    Column("patient_name", String(255)),
    Column("patients", Integer, nullable=False),
    Column("view_positions", String(40), nullable=False),
    Column("age_years", Integer),
    Column("sex", String(1)),
    Column("finding", String(100)),
    Column("probability", Float),
    Column("threshold", Float),
    Column("urgency", Float, nullable=False),
    Column("project_id", ForeignKey("projects.id")),
    Index("ix_worklist_project", "project_id", "study_id"),
    Index("ix_worklist_urgency", "project_id", "urgency", "study_id"),
    Index("ix_worklist_state", "project_id", "state", "study_id"),
    Index("ix_worklist_state_urgency", "project_id", "state", "urgency", "study_id"),
    Index("ix_worklist_reader", "project_id", "reader_id", "study_id"),
    Index("ix_worklist_reader_urgency", "project_id", "reader_id", "urgency", "study_id"),
    Index("ix_worklist_refused", "project_id", "study_id", sqlite_where=text("refused > 0")),
    Index("ix_worklist_failed", "project_id", "study_id", sqlite_where=text("failed > 0")),
    Index("ix_worklist_refused_urgency", "project_id", "urgency", "study_id", sqlite_where=text("refused > 0")),
    Index("ix_worklist_failed_urgency", "project_id", "urgency", "study_id", sqlite_where=text("failed > 0")),
)

# The findings above their operating points in any image of the study, each with its largest probability.
worklist_findings: Final = Table(
    "worklist_findings",
    metadata,
    Column("finding", String(100), primary_key=True),
    Column("study_id", ForeignKey("studies.id"), primary_key=True, index=True),
    Column("probability", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("ratio", Float, nullable=False),
    Column("project_id", ForeignKey("projects.id")),
    Index("ix_worklist_findings_finding", "project_id", "finding", "study_id"),
    Index("ix_worklist_findings_ratio", "project_id", "finding", "ratio", "study_id"),
)

# Append-only: triggers refuse anything but the next row. hash: over this row and the one before (domain/audit.py). No
# foreign keys: a row outlives the study that it is about. at: ISO 8601 in UTC, as it went into the hash.
audit: Final = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("user_id", Integer),
    Column("user_name", String(100), nullable=False),
    Column("action", String(20), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("study_uid", String(64), index=True),
    Column("instance_uid", String(64)),
    Column("address", String(45), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("detail", String(200), nullable=False),
    Column("hash", String(64), nullable=False),
)

# SQLite's full-text index, rowid = study_id: patients and file names. It is no table of the metadata: SQLAlchemy does
# not know virtual tables, and each brings shadow tables of its own.
WORKLIST_TEXT: Final = "worklist_text"
worklist_text: Final = table(WORKLIST_TEXT, column("rowid", Integer), column("content", Text))
