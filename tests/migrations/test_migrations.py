"""The migrations give the schema that the code expects, also to a database that has been used."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from diagnosis_tool import resources
from diagnosis_tool.domain import language, wording
from diagnosis_tool.domain.access import ALL_PROJECTS, Projects, Role
from diagnosis_tool.domain.studies import Reason
from diagnosis_tool.domain.worklist import Strongest, WorklistQuery
from diagnosis_tool.services import accounts
from diagnosis_tool.services.wiring import make_context, migrate_database
from diagnosis_tool.storage import tables, worklist
from diagnosis_tool.storage.database import open_database, read_transaction, write_transaction
from diagnosis_tool.storage.migrate import migrate
from diagnosis_tool.web import languages


def is_ours(name: str | None, kind: str, _: object) -> bool:
    """Not the full-text index and the tables that SQLite makes for it: SQLAlchemy knows no virtual tables."""
    return kind != "table" or not str(name).startswith(tables.WORKLIST_TEXT)


def test_migrated_schema_equals_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite"
    migrate_database(file, resources.migrations_dir())
    with open_database(file).connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, tables.metadata) == []


def test_migrating_twice_keeps_the_data(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite"
    for _ in range(2):
        migrate_database(file, resources.migrations_dir())
    with read_transaction(open_database(file)) as connection:
        assert connection.execute(select(tables.users.c.name)).scalars().all() == ["local reader"]


def test_sqlite_is_durable_and_concurrent(tmp_path: Path) -> None:
    with read_transaction(open_database(tmp_path / "db.sqlite")) as connection:
        pragmas = {p: connection.execute(text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


_USED = """
INSERT INTO studies (id, uid, created_at, user_id) VALUES
  (1, 's1', '2026-11-01 10:00:00', 1), (2, 's2', '2026-11-02 10:00:00', 1), (3, 's3', '2026-11-03 10:00:00', 1);
INSERT INTO predictions (id, image_sha256, bundle_name, bundle_version, bundle_sha256, engine, precision, created_at,
  seconds) VALUES (1, 'a', 'b7', '1', 'f', 'torch', 'f32', '2026-11-01 10:00:01', 0.1);
INSERT INTO prediction_outputs VALUES
  (1, 0, 'Mass', 'finding', 0, 0.6, 0.5, x'00', 1, 1, 0), (1, 1, 'Hernia', 'finding', 0, 0.3, 0.2, x'00', 1, 1, 0),
  (1, 2, 'Edema', 'finding', 0, 0.1, 0.2, x'00', 1, 1, 0), (1, 3, 'No Finding', 'absence', 0, 0.9, 0.2, x'00', 1, 1, 0);
INSERT INTO instances (id, uid, study_id, position, file_name, sha256, size_bytes, state, error, width_px, height_px,
  prediction_id) VALUES
  (1, 'i1', 1, 0, 'Müller.png', 'a', 1, 'done', NULL, 640, 480, 1),
  (2, 'i2', 1, 1, 'notes.txt', 'b', 1, 'refused', 'no film', NULL, NULL, NULL),
  (3, 'i3', 2, 0, 'bad.txt', 'c', 1, 'refused', 'no film', NULL, NULL, NULL),
  (4, 'i4', 3, 0, 'late.png', 'd', 1, 'queued', NULL, NULL, NULL, NULL);
INSERT INTO jobs (id, instance_id, state, priority, attempts, created_at) VALUES
  (1, 1, 'done', 0, 1, '2026-11-01 10:00:00'), (2, 2, 'done', 0, 1, '2026-11-01 10:00:00'),
  (3, 3, 'done', 0, 1, '2026-11-01 10:00:00'), (4, 4, 'queued', 0, 0, '2026-11-01 10:00:00');
"""


def test_readers_of_the_second_schema_stay_and_own_what_they_wrote(tmp_path: Path) -> None:
    """They get an account without a password, in the project that all studies were put in."""
    engine = open_database(tmp_path / "db.sqlite")
    migrate(engine, resources.migrations_dir(), "0002")
    with write_transaction(engine) as db:
        db.exec_driver_sql("INSERT INTO users (id, name, created_at) VALUES (2, 'Dr. ÄRA', '2026-11-01 10:00:00')")
        db.exec_driver_sql("INSERT INTO studies (id, uid, created_at, user_id) VALUES (1, 's', '2026-11-01', 2)")
        db.exec_driver_sql(
            "INSERT INTO instances (id, uid, study_id, position, file_name, sha256, size_bytes, state) "
            "VALUES (1, 'i', 1, 0, 'a.png', 'a', 1, 'queued')"
        )
        worklist_of_then = "INSERT INTO worklist (study_id, uid, created_at, version, state, total, finished, refused, "
        db.exec_driver_sql(
            worklist_of_then + "failed, reader_id, patients, view_positions, urgency) "
            "VALUES (1, 's', '2026-11-01', 1, 'new', 1, 0, 0, 0, 2, 0, '', 0)"
        )
    engine.dispose()
    migrate_database(tmp_path / "db.sqlite", resources.migrations_dir())
    context = make_context(data_dir=tmp_path, database_file=tmp_path / "db.sqlite", projects=ALL_PROJECTS)
    reader = context.users.named("dr. ära")
    assert (reader.id, reader.role, reader.can_sign_in) == (2, Role.RADIOLOGIST, False)
    assert [project.name for project in reader.projects] == ["default"]
    assert context.studies.study("s", reader.sees).user_name == "Dr. ÄRA"
    assert [row.uid for row in context.worklist.page(WorklistQuery(reader_id=2), reader.sees, limit=5).rows] == ["s"]
    assert context.worklist.page(WorklistQuery(), Projects(frozenset({99})), limit=5).rows == ()
    link = accounts.make_link(context, reader)
    assert accounts.use_link(context, link.secret, "correct horse battery").can_sign_in is False  # as it was before
    assert accounts.check_password(context, "DR. ära", "correct horse battery").can_sign_in


def test_studies_of_the_first_schema_stay_and_stand_on_the_worklist(tmp_path: Path) -> None:
    """What 0001's database held is all there, and its worklist is what the code itself would write."""
    engine = open_database(tmp_path / "db.sqlite")
    migrate(engine, resources.migrations_dir(), "0001")
    with write_transaction(engine) as db:
        for statement in _USED.strip().split(";\n"):
            db.exec_driver_sql(statement.rstrip(";"))
    engine.dispose()
    migrate_database(tmp_path / "db.sqlite", resources.migrations_dir())
    context = make_context(data_dir=tmp_path, database_file=tmp_path / "db.sqlite", projects=ALL_PROJECTS)

    instance = context.studies.instance("i1", ALL_PROJECTS)
    assert (instance.width_px, instance.bits, instance.patient_id, instance.view_position) == (640, 8, None, None)
    assert instance.prediction is not None
    late, refused, read = context.worklist.page(WorklistQuery(), ALL_PROJECTS, limit=5).rows
    assert [(row.uid, row.state) for row in (late, refused, read)] == [("s3", "new"), ("s2", "refused"), ("s1", "read")]
    assert (read.total, read.finished, read.refused, read.reader) == (2, 2, 1, "local reader")
    assert read.strongest == Strongest(finding="Hernia", probability=0.3, threshold=0.2)
    for finding in ("Mass", "Hernia"):
        assert [
            row.uid for row in context.worklist.page(WorklistQuery(finding=finding), ALL_PROJECTS, limit=5).rows
        ] == ["s1"]
    assert [row.uid for row in context.worklist.page(WorklistQuery(text="muller"), ALL_PROJECTS, limit=5).rows] == [
        "s1"
    ]

    def stored() -> list[object]:
        with read_transaction(engine) as db:
            lines = [tuple(row) for row in db.exec_driver_sql("SELECT * FROM worklist ORDER BY study_id")]
            found = [tuple(row) for row in db.exec_driver_sql("SELECT * FROM worklist_findings ORDER BY 1, 2")]
            return [*({**dict(enumerate(line)), 3: "version"} for line in lines), *found]

    migrated = stored()
    with write_transaction(engine) as db:
        worklist.refresh(db, [1, 2, 3])
        db.exec_driver_sql("DELETE FROM worklist_findings WHERE study_id = 1")
        db.exec_driver_sql(
            "UPDATE worklist SET finding=NULL, probability=NULL, threshold=NULL, urgency=0 WHERE study_id = 1"
        )
        worklist.merge_findings(db, 1, [1, 2])
    assert stored() == migrated


_REASONS: dict[str, tuple[str, dict[str, str], str]] = {
    "The image has only 20 x 33 pixels; at least 64 x 64 are needed. Upload the original, not a preview.": (
        "The image has only %(width)s x %(height)s pixels; at least %(least)s x %(least)s are needed. "
        "Upload the original, not a preview.",
        {"width": "20", "height": "33", "least": "64"},
        "Das Bild hat nur 20 x 33 Pixel; mindestens 64 x 64 sind nötig.",
    ),
    "This is a radiograph of HAND\nLEFT, not of the chest. Nothing was read.": (
        "This is a radiograph of %(part)s, not of the chest. Nothing was read.",
        {"part": "HAND\nLEFT"},
        "Dies ist eine Röntgenaufnahme von HAND\nLEFT, nicht vom Thorax.",
    ),
    "Reading this image broke down. Nothing is known about it; the server's log says more under job 13.": (
        "Reading this image broke down. Nothing is known about it; the server's log says more under job %(job)s.",
        {"job": "13"},
        "unter Auftrag 13.",
    ),
    "Reading this image broke down 3 times. Nothing is known about it; try another export of the image.": (
        "Reading this image broke down %(n)s times. Nothing is known about it; try another export of the image.",
        {"n": "3"},
        "brach 3-mal zusammen.",
    ),
    "The file is empty (0 bytes). Export the image again.": (
        "The file is empty (0 bytes). Export the image again.",
        {},
        "Die Datei ist leer",
    ),
    "Of an older release: 100% of 1 x 2 %(n)s.": (
        "Of an older release: 100% of 1 x 2 %(n)s.",
        {},
        "Of an older release: 100% of 1 x 2 %(n)s.",
    ),
}
"""English as it was kept before: the message's id, its values, a part of the German."""


def test_reasons_of_the_fourth_schema_say_the_same_and_in_german_too(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "db.sqlite")
    migrate(engine, resources.migrations_dir(), "0004")
    with write_transaction(engine) as db:
        db.exec_driver_sql(
            "INSERT INTO studies (id, uid, created_at, user_id, project_id) "
            "VALUES (1, 's', '2026-11-01 10:00:00', 1, 1)"
        )
        for position, sentence in enumerate([*_REASONS, None, ""]):
            db.exec_driver_sql(
                "INSERT INTO instances (uid, study_id, position, file_name, sha256, size_bytes, state, error) "
                "VALUES (?, 1, ?, 'a.png', 'a', 1, 'refused', ?)",
                (f"i{position}", position, sentence),
            )
    engine.dispose()
    migrate_database(tmp_path / "db.sqlite", resources.migrations_dir())
    context = make_context(data_dir=tmp_path, database_file=tmp_path / "db.sqlite", projects=ALL_PROJECTS)
    for position, (sentence, (message, values, german)) in enumerate(_REASONS.items()):
        instance = context.studies.instance(f"i{position}", ALL_PROJECTS)
        assert instance.error == Reason(message=message, values=values)
        assert str(instance.error) == sentence
        with language.speaking(languages.language_of("de")):
            assert german in wording.outcome(instance)
    for position in (len(_REASONS), len(_REASONS) + 1):
        assert context.studies.instance(f"i{position}", ALL_PROJECTS).error is None
