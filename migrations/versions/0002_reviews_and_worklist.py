"""Patients and pictures' facts on instances, reviews, and the worklist's own tables."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _widen()
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("bundle", sa.String(length=141), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("verdicts", sa.JSON(), nullable=False),
        sa.Column("added", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("signed_by", sa.Integer(), nullable=True),
        sa.Column("signed_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name="fk_reviews_instance_id_instances"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_reviews_user_id_users"),
        sa.ForeignKeyConstraint(["signed_by"], ["users.id"], name="fk_reviews_signed_by_users"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint(
            "instance_id", "bundle_sha256", "revision", name="uq_reviews_instance_id_bundle_sha256_revision"
        ),
    )
    _create_worklist()
    _fill_worklist()


def _widen() -> None:
    op.add_column("studies", sa.Column("patient", sa.String(length=64), nullable=True))
    op.create_index("ix_studies_patient", "studies", ["patient"])
    for name, kind in (
        ("patient_id", sa.String(length=64)),
        ("patient_name", sa.String(length=255)),
        ("view_position", sa.String(length=10)),
        ("age_years", sa.Integer()),
        ("sex", sa.String(length=1)),
        ("acquired_at", sa.DateTime()),
        ("pixel_spacing_row_mm", sa.Float()),
        ("pixel_spacing_column_mm", sa.Float()),
        ("bits", sa.Integer()),
    ):
        op.add_column("instances", sa.Column(name, kind, nullable=True))
    op.create_index("ix_instances_patient_id", "instances", ["patient_id"])
    op.create_index("ix_instances_prediction_id", "instances", ["prediction_id"])


def _create_worklist() -> None:
    op.create_table(
        "worklist",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("finished", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(length=64), nullable=True),
        sa.Column("patient_name", sa.String(length=255), nullable=True),
        sa.Column("patients", sa.Integer(), nullable=False),
        sa.Column("view_positions", sa.String(length=40), nullable=False),
        sa.Column("age_years", sa.Integer(), nullable=True),
        sa.Column("sex", sa.String(length=1), nullable=True),
        sa.Column("finding", sa.String(length=100), nullable=True),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("urgency", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_worklist_study_id_studies"),
        sa.ForeignKeyConstraint(["reader_id"], ["users.id"], name="fk_worklist_reader_id_users"),
        sa.PrimaryKeyConstraint("study_id", name="pk_worklist"),
        sa.UniqueConstraint("uid", name="uq_worklist_uid"),
    )
    for name, columns in (
        ("created_at", ["created_at"]),
        ("urgency", ["urgency", "study_id"]),
        ("state", ["state", "study_id"]),
        ("state_urgency", ["state", "urgency", "study_id"]),
        ("reader", ["reader_id", "study_id"]),
        ("reader_urgency", ["reader_id", "urgency", "study_id"]),
    ):
        op.create_index(f"ix_worklist_{name}", "worklist", columns)
    for name in ("refused", "failed"):
        some = sa.text(f"{name} > 0")
        op.create_index(f"ix_worklist_{name}", "worklist", ["study_id"], sqlite_where=some)
        op.create_index(f"ix_worklist_{name}_urgency", "worklist", ["urgency", "study_id"], sqlite_where=some)
    op.create_table(
        "worklist_findings",
        sa.Column("finding", sa.String(length=100), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("ratio", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_worklist_findings_study_id_studies"),
        sa.PrimaryKeyConstraint("finding", "study_id", name="pk_worklist_findings"),
    )
    op.create_index("ix_worklist_findings_study_id", "worklist_findings", ["study_id"])
    op.create_index("ix_worklist_findings_ratio", "worklist_findings", ["finding", "ratio", "study_id"])
    # prefixes of one to three letters are what somebody types first; later ones are few enough without
    op.execute(
        "CREATE VIRTUAL TABLE worklist_text USING fts5("
        "content, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3')"
    )


def _fill_worklist() -> None:
    """The rows of the studies that there are already, as the code would have written them."""
    op.execute(
        "INSERT INTO worklist_findings (finding, study_id, probability, threshold, ratio) "
        "SELECT o.name, i.study_id, max(o.probability), o.threshold, max(o.probability / o.threshold) "
        "FROM instances i JOIN prediction_outputs o ON o.prediction_id = i.prediction_id "
        "WHERE o.kind = 'finding' AND o.threshold > 0 AND o.probability >= o.threshold GROUP BY o.name, i.study_id"
    )
    op.execute(
        "INSERT INTO worklist (study_id, uid, created_at, version, state, total, finished, refused, failed, "
        "reader_id, patients, view_positions, finding, probability, threshold, urgency) "
        "SELECT id, uid, created_at, 1, "
        "CASE WHEN finished = 0 AND reading = 0 THEN 'new' WHEN finished < total THEN 'reading' "
        "WHEN finished > refused + failed THEN 'read' WHEN failed > 0 THEN 'failed' ELSE 'refused' END, "
        "total, finished, refused, failed, "
        "user_id, 0, '', finding, probability, threshold, urgency FROM ("
        "SELECT s.*, count(*) AS total, sum(i.state IN ('done', 'refused', 'failed')) AS finished, "
        "sum(i.state = 'reading') AS reading, sum(i.state = 'refused') AS refused, sum(i.state = 'failed') AS failed, "
        "f.finding, f.probability, f.threshold, "
        "coalesce((SELECT max(o.probability / o.threshold) FROM instances r JOIN prediction_outputs o "
        "ON o.prediction_id = r.prediction_id WHERE r.study_id = s.id AND o.kind = 'finding' AND o.threshold > 0), 0) "
        "AS urgency FROM studies s JOIN instances i ON i.study_id = s.id LEFT JOIN worklist_findings f "
        "ON f.study_id = s.id AND f.finding = (SELECT g.finding FROM worklist_findings g WHERE g.study_id = s.id "
        "ORDER BY g.ratio DESC, g.finding LIMIT 1) GROUP BY s.id)"
    )
    op.execute(
        "INSERT INTO worklist_text (rowid, content) SELECT study_id, group_concat(file_name, ' ') "
        "FROM instances GROUP BY study_id"
    )
