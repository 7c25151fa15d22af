"""The queue's index in the order of claims: with thousands of jobs waiting, a claim no longer sorts them all."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_jobs_queue", table_name="jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", sa.text("priority DESC"), "id"])
