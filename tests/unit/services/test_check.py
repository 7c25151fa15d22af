"""`check`: each kind of loss is found and named, and nothing else is called one."""

import sqlite3
from pathlib import Path

import pytest

from diagnosis_tool import cli
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.services.check import FaultKind, check_store
from diagnosis_tool.services.context import Context
from testing.stores import DATABASE, open_store
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.stores import film, send


@pytest.fixture
def store(tmp_path: Path) -> Context:
    context = open_store(tmp_path)
    send(context, film(1), film(2), b"no image")
    send(context, film(2))
    predict_all(context, FakeClassifier())
    return context


def kinds(context: Context) -> list[FaultKind]:
    return [fault.kind for fault in check_store(context, in_flight_s=0).faults]


def blob_of(context: Context, folder: Path, position: int) -> Path:
    (uid, *_) = sorted(
        context.inventory.study_uids(), key=lambda uid: len(context.studies.study(uid, ALL_PROJECTS).instances)
    )[::-1]
    sha256 = context.studies.study(uid, ALL_PROJECTS).instances[position].sha256
    return folder / "blobs" / sha256[:2] / sha256


def test_a_sound_store_has_no_fault(store: Context) -> None:
    report = check_store(store)
    assert report.is_sound
    assert (report.studies, report.contents, report.in_flight) == (2, 3, 0)


def test_a_missing_file_is_named_with_its_images(store: Context, tmp_path: Path) -> None:
    path = blob_of(store, tmp_path, 1)
    path.unlink()
    (fault,) = check_store(store).faults
    assert fault.kind is FaultKind.MISSING
    assert path.name in fault.what
    assert fault.what.count("of study") == 2


def test_an_altered_file_is_found(store: Context, tmp_path: Path) -> None:
    path = blob_of(store, tmp_path, 0)
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    assert kinds(store) == [FaultKind.DAMAGED]


def test_an_orphan_is_told_and_removed_when_asked(store: Context, tmp_path: Path) -> None:
    blob = store.blobs.pending()
    blob.write(b"nobody's")
    store.blobs.commit(blob)
    waiting = store.blobs.pending()
    young = check_store(store)
    assert (young.is_sound, young.in_flight) == (True, 2)
    assert kinds(store) == [FaultKind.ORPHANED]
    removed = check_store(store, remove_orphans=True, in_flight_s=0)
    assert (removed.is_sound, removed.removed, removed.in_flight) == (True, 2, 0)
    assert check_store(store, in_flight_s=0).is_sound
    waiting.close()


def test_a_foreign_file_is_told_and_never_removed(store: Context, tmp_path: Path) -> None:
    foreign = tmp_path / "blobs" / "ab" / "notes.txt"
    foreign.parent.mkdir(exist_ok=True)
    foreign.touch()
    (tmp_path / "blobs" / "more.txt").touch()
    assert kinds(store) == [FaultKind.STRANGE] * 2
    check_store(store, remove_orphans=True, in_flight_s=0)
    assert foreign.exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM jobs WHERE id = 1", "without a job"),
        ("UPDATE jobs SET state = 'queued' WHERE id = 1", "no outcome"),
        ("UPDATE instances SET prediction_id = NULL WHERE id = 1", "without a reading"),
        ("UPDATE instances SET prediction_id = 2 WHERE id = 1", "without a reading of its content"),
        ("DELETE FROM prediction_outputs WHERE prediction_id = 1", "without a single output"),
        ("DELETE FROM worklist WHERE study_id = 1", "worklist"),
        ("UPDATE worklist SET finished = 1 WHERE study_id = 1", "worklist"),
        ("DELETE FROM users", "does not exist"),
        ("INSERT INTO studies (uid, created_at, user_id) VALUES ('empty', '2026-01-01', 1)", "has no image"),
    ],
)
def test_rows_that_do_not_fit_together_are_told(store: Context, tmp_path: Path, damage: str, words: str) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute(damage)
    faults = check_store(store).faults
    assert {fault.kind for fault in faults} == {FaultKind.DATABASE}
    assert any(words in fault.what for fault in faults)


def test_a_deleted_study_takes_only_its_own_files(store: Context, tmp_path: Path) -> None:
    uids = sorted(store.inventory.study_uids(), key=lambda uid: len(store.studies.study(uid, ALL_PROJECTS).instances))
    store.studies.delete([uids[1]], ALL_PROJECTS)
    report = check_store(store, in_flight_s=0)
    assert (report.is_sound, report.studies, report.contents) == (True, 1, 1)
    store.studies.delete([uids[0]], ALL_PROJECTS)
    assert check_store(store, in_flight_s=0).contents == 0
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_the_command(
    store: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert cli.main(["check"]) == 0
    assert "2 studies, 3 files" in capsys.readouterr().out
    blob_of(store, tmp_path, 0).unlink()
    assert cli.main(["check", "--remove-orphans"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("missing: ")
    assert "1 missing" in out
