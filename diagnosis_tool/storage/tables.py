"""The tables, as the newest migration leaves them; tests/migrations compares the two."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
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
)

LOCAL_USER_ID: Final = 1
"""The one reader there is until accounts come; the first migration adds it."""


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
)

studies: Final = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(64), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False, index=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
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
    Column("prediction_id", ForeignKey("predictions.id")),
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
