"""What who looks at an image must know of how it was read, such as that it was turned."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # images that were read before keep NULL: their films were not turned, and are shown as they were read
    op.add_column("instances", sa.Column("notes", sa.Text(), nullable=True))
