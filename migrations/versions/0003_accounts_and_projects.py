"""Accounts with roles, sign-ins, one-time links, API tokens; projects, and the worklist's indexes by project."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WORKLIST = (
    ("project", ["project_id", "study_id"], None),
    ("urgency", ["project_id", "urgency", "study_id"], None),
    ("state", ["project_id", "state", "study_id"], None),
    ("state_urgency", ["project_id", "state", "urgency", "study_id"], None),
    ("reader", ["project_id", "reader_id", "study_id"], None),
    ("reader_urgency", ["project_id", "reader_id", "urgency", "study_id"], None),
    ("refused", ["project_id", "study_id"], "refused > 0"),
    ("failed", ["project_id", "study_id"], "failed > 0"),
    ("refused_urgency", ["project_id", "urgency", "study_id"], "refused > 0"),
    ("failed_urgency", ["project_id", "urgency", "study_id"], "failed > 0"),
)


def upgrade() -> None:
    _create_projects()
    _widen_users()
    _create_ways_in()
    _divide_studies()


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("folded_name", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("folded_name", name="uq_projects_folded_name"),
    )
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id_users"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_memberships_project_id_projects"),
        sa.PrimaryKeyConstraint("user_id", "project_id", name="pk_memberships"),
    )
    # what there was before belongs to everybody who was there before
    op.execute(
        "INSERT INTO projects (id, name, folded_name, created_at) "
        "VALUES (1, 'default', 'default', '2026-01-01 00:00:00.000000')"
    )
    op.execute("INSERT INTO memberships (user_id, project_id, position) SELECT id, 1, 0 FROM users")


def _widen_users() -> None:
    # a column with a default can be added in place: rewriting `users` would break the rows that point to it
    op.add_column("users", sa.Column("role", sa.String(length=20), nullable=False, server_default="radiologist"))
    op.add_column("users", sa.Column("folded_name", sa.String(length=400), nullable=False, server_default=""))
    op.add_column("users", sa.Column("password_hash", sa.String(length=255), nullable=True))
    op.add_column("users", sa.Column("disabled_at", sa.DateTime(), nullable=True))
    connection = op.get_bind()
    for user_id, name in connection.execute(sa.text("SELECT id, name FROM users")).all():
        folded = unicodedata.normalize("NFKC", name).casefold()
        connection.execute(
            sa.text("UPDATE users SET folded_name = :folded WHERE id = :id"), {"folded": folded, "id": user_id}
        )
    op.create_index("ix_users_folded_name", "users", ["folded_name"], unique=True)


def _create_ways_in() -> None:
    for table, own in (("sign_ins", [sa.Column("seen_at", sa.DateTime(), nullable=False)]), ("links", [])):
        op.create_table(
            table,
            sa.Column("secret_hash", sa.String(length=64), nullable=False),
            sa.Column("user_id", sa.Integer(), nullable=False),
            sa.Column("created_at", sa.DateTime(), nullable=False),
            *own,
            sa.Column("expires_at", sa.DateTime(), nullable=False),
            sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id_users"),
            sa.PrimaryKeyConstraint("secret_hash", name=f"pk_{table}"),
        )
        op.create_index(f"ix_{table}_user_id", table, ["user_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_tokens_secret_hash"),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])


def _divide_studies() -> None:
    """Every study to the default project; the worklist's indexes begin with the project."""
    # SQLite adds a column that points elsewhere only where it may be NULL; a study of no project is seen by nobody
    for table in ("studies", "worklist", "worklist_findings"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN project_id INTEGER "
            f"CONSTRAINT fk_{table}_project_id_projects REFERENCES projects (id)"
        )
        op.execute(f"UPDATE {table} SET project_id = 1")  # noqa: S608
    for name, columns, some in _WORKLIST:
        if name != "project":
            op.drop_index(f"ix_worklist_{name}", "worklist")
        where = {"sqlite_where": sa.text(some)} if some else {}
        op.create_index(f"ix_worklist_{name}", "worklist", columns, **where)
    op.drop_index("ix_worklist_findings_ratio", "worklist_findings")
    op.create_index("ix_worklist_findings_ratio", "worklist_findings", ["project_id", "finding", "ratio", "study_id"])
    op.create_index("ix_worklist_findings_finding", "worklist_findings", ["project_id", "finding", "study_id"])
