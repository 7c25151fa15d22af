"""Backup and restore: what comes back is what was there, and half a backup never passes for one."""

import json
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from diagnosis_tool import cli, resources
from diagnosis_tool.domain.access import ALL_PROJECTS, Permission
from diagnosis_tool.errors import BackupInvalid, StorageFull
from diagnosis_tool.services import accounts
from diagnosis_tool.services import backup as backup_module
from diagnosis_tool.services.backup import Backup, restore, write_backup
from diagnosis_tool.services.check import check_store
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.wiring import make_context, migrate_database
from diagnosis_tool.storage.archive import MANIFEST, Manifest
from diagnosis_tool.storage.database import open_database
from diagnosis_tool.storage.migrate import migrate
from diagnosis_tool.storage.secret import stored_secret
from testing.stores import DATABASE, open_store
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.stores import film, rows, send

TARGETS = pytest.mark.parametrize("name", ["backup", "backup.tar"])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path) -> Context:
    context = open_store(data_dir)
    stored_secret(data_dir)
    send(context, film(1), film(2), b"no image", patient="P1")
    send(context, film(2))
    predict_all(context, FakeClassifier())
    return context


def back_up(context: Context, data_dir: Path, target: Path) -> Backup:
    return write_backup(
        context,
        data_dir=data_dir,
        database_file=data_dir / DATABASE,
        migrations=resources.migrations_dir(),
        target=target,
    )


def put_back(backup: Path, into: Path) -> Manifest:
    return restore(backup=backup, data_dir=into, migrations=resources.migrations_dir())


def files(folder: Path) -> dict[str, bytes]:
    """Every file below it but the database, whose bytes are compared as rows."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(DATABASE))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@TARGETS
def test_what_comes_back_is_what_was_there(store: Context, data_dir: Path, tmp_path: Path, name: str) -> None:
    made = back_up(store, data_dir, tmp_path / "kept" / name)
    assert made.is_sound
    assert (made.manifest.studies, made.manifest.images, len(made.manifest.entries)) == (2, 4, 6)
    assert put_back(tmp_path / "kept" / name, tmp_path / "new") == made.manifest
    restored = open_store(tmp_path / "new")
    assert rows(tmp_path / "new") == rows(data_dir)
    assert files(tmp_path / "new") == files(data_dir)
    assert check_store(restored, in_flight_s=0).is_sound
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [name]
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {DATABASE, "blobs", "secret_key"}
    assert not (tmp_path / "new" / "restoring").exists()


@TARGETS
def test_while_uploads_go_on(store: Context, data_dir: Path, tmp_path: Path, name: str) -> None:
    """Each study that a backup holds is whole, and it holds all that were answered before it began."""
    sent: list[str] = []
    stop, some = threading.Event(), threading.Event()

    def keep_sending() -> None:
        own, seed = open_store(data_dir), 100
        while not stop.is_set():
            sent.append(send(own, film(seed), film(seed + 1)))
            predict_all(own, FakeClassifier())
            if len(sent) % 3 == 0:
                own.studies.delete([sent.pop(0)], ALL_PROJECTS)
            seed += 1
            some.set()

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        assert some.wait(20)
        for round_ in range(3):
            some.clear()
            assert some.wait(20)
            before = set(sent[2:])
            back_up(store, data_dir, tmp_path / str(round_) / name)
            put_back(tmp_path / str(round_) / name, tmp_path / f"new{round_}")
            restored = open_store(tmp_path / f"new{round_}")
            assert check_store(restored, in_flight_s=0).is_sound
            deleted = before - store.inventory.study_uids()
            assert before - deleted <= restored.inventory.study_uids()
    finally:
        stop.set()
        sender.join(20)


@TARGETS
def test_a_study_deleted_while_it_was_copied_is_left_out(
    store: Context, data_dir: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = sorted(
        store.inventory.study_uids(), key=lambda uid: -len(store.studies.study(uid, ALL_PROJECTS).instances)
    )
    real = backup_module.snapshot

    def then_deleted(database_file: Path, target: Path) -> None:
        real(database_file, target)
        store.studies.delete([gone], ALL_PROJECTS)

    monkeypatch.setattr(backup_module, "snapshot", then_deleted)
    made = back_up(store, data_dir, tmp_path / name)
    assert (made.is_sound, made.manifest.studies) == (True, 1)
    put_back(tmp_path / name, tmp_path / "new")
    assert open_store(tmp_path / "new").inventory.study_uids() == {kept}
    assert check_store(open_store(tmp_path / "new"), in_flight_s=0).is_sound


def test_what_the_store_itself_lacks_is_told_and_the_rest_comes_back(
    store: Context, data_dir: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted((data_dir / "blobs").glob("??/*"))
    first.unlink()
    second.write_bytes(b"altered")
    made = back_up(store, data_dir, tmp_path / "backup")
    assert (made.manifest.missing, made.damaged) == ((first.name,), (second.name,))
    put_back(tmp_path / "backup", tmp_path / "new")
    assert len(check_store(open_store(tmp_path / "new")).faults) == 2


def test_a_damaged_folder_is_refused(store: Context, data_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(store, data_dir, backup)
    whole = files(backup) | {DATABASE: (backup / DATABASE).read_bytes()}
    for name, data in whole.items():
        for bad in (data[:-1], data[:3] + bytes([data[3] ^ 1]) + data[4:], None):
            path = backup / name
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            with pytest.raises(BackupInvalid):
                put_back(backup, tmp_path / "new")
            assert not list((tmp_path / "new").iterdir()) if (tmp_path / "new").exists() else True
            path.write_bytes(data)
    put_back(backup, tmp_path / "new")


def test_a_tar_that_was_cut_off_is_refused(store: Context, data_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.tar"
    back_up(store, data_dir, backup)
    data = backup.read_bytes()
    for length in (0, 100, len(data) // 2, len(data) - 12_000):
        backup.write_bytes(data[:length])
        with pytest.raises(BackupInvalid, match=r"whole backup|lacks|cut off|manifest"):
            put_back(backup, tmp_path / "new")
    altered = bytearray(data)
    altered[data.index(b"\x89PNG") + 60] ^= 1
    backup.write_bytes(altered)
    with pytest.raises(BackupInvalid, match="damaged"):
        put_back(backup, tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "another format"),
        ({"more": 1}, "no backup of this tool"),
        ({"entries": []}, "no backup of this tool has"),
        ({"entries": [{"name": "../../etc/passwd", "size_bytes": 1, "sha256": "a"}]}, "no backup of this tool has"),
    ],
)
def test_a_strange_manifest_is_refused(
    store: Context, data_dir: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    back_up(store, data_dir, tmp_path / "backup")
    manifest = tmp_path / "backup" / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(BackupInvalid, match=words):
        put_back(tmp_path / "backup", tmp_path / "new")


def test_nothing_is_ever_written_over(store: Context, data_dir: Path, tmp_path: Path) -> None:
    back_up(store, data_dir, tmp_path / "backup")
    with pytest.raises(BackupInvalid, match="there already"):
        back_up(store, data_dir, tmp_path / "backup")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes.txt").touch()
    for target in (data_dir, tmp_path / "new"):
        before = files(target)
        with pytest.raises(BackupInvalid, match="is not empty"):
            put_back(tmp_path / "backup", target)
        assert files(target) == before
    with pytest.raises(BackupInvalid, match="no backup at"):
        put_back(tmp_path / "nothing", tmp_path / "other")


def test_a_restoring_that_was_cut_off_is_begun_anew(store: Context, data_dir: Path, tmp_path: Path) -> None:
    back_up(store, data_dir, tmp_path / "backup")
    new = tmp_path / "new"
    (new / "restoring").mkdir(parents=True)
    (new / "blobs" / "ab").mkdir(parents=True)
    (new / "secret_key").touch()
    put_back(tmp_path / "backup", new)
    assert files(new) == files(data_dir)
    (new / "restoring").mkdir()  # cut off after its last step: there is a database, so nothing is removed
    with pytest.raises(BackupInvalid, match="is not empty"):
        put_back(tmp_path / "backup", new)


def test_a_backup_needs_room(store: Context, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(store, data_dir, tmp_path / "backup")
    usage = backup_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(backup_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageFull, match="has room for 0 MB"):
        put_back(tmp_path / "backup", tmp_path / "new")


def newer_migrations(folder: Path) -> Path:
    """As a later release has them."""
    shutil.copytree(resources.migrations_dir(), folder)
    head = sorted(path.name[:4] for path in (folder / "versions").glob("[0-9]*.py"))[-1]
    text = f"revision = '9999'\ndown_revision = '{head}'\ndef upgrade() -> None: ...\n"
    (folder / "versions" / "9999_later.py").write_text(text)
    return folder


def test_a_backup_of_a_newer_release_is_refused(store: Context, data_dir: Path, tmp_path: Path) -> None:
    later = newer_migrations(tmp_path / "migrations")
    migrate_database(data_dir / DATABASE, later)
    backup = tmp_path / "backup"
    write_backup(store, data_dir=data_dir, database_file=data_dir / DATABASE, migrations=later, target=backup)
    with pytest.raises(BackupInvalid, match="newer release"):
        put_back(backup, tmp_path / "new")
    assert restore(backup=backup, data_dir=tmp_path / "new", migrations=later).schema == "9999"


def test_a_backup_of_an_older_release_is_restored_and_migrated(tmp_path: Path) -> None:
    old = tmp_path / "old"
    engine = open_database(old / DATABASE)
    migrate(engine, resources.migrations_dir(), "0001")
    engine.dispose()
    context = make_context(data_dir=old, database_file=old / DATABASE, projects=ALL_PROJECTS)
    assert back_up(context, old, tmp_path / "backup").manifest.schema == "0001"
    put_back(tmp_path / "backup", tmp_path / "new")
    migrate_database(tmp_path / "new" / DATABASE, resources.migrations_dir())
    assert check_store(open_store(tmp_path / "new")).is_sound


def test_sign_ins_and_links_do_not_come_back_and_tokens_do(store: Context, data_dir: Path, tmp_path: Path) -> None:
    day, user = timedelta(days=1), store.users.get(1)
    signed_in = accounts.begin_session(store, user, accounts.Limits(idle=day, absolute=day))
    link = accounts.make_link(store, user).secret
    token = accounts.make_token(store, user, "script", {Permission.READ}, day).secret
    back_up(store, data_dir, tmp_path / "backup")
    put_back(tmp_path / "backup", tmp_path / "new")
    restored = open_store(tmp_path / "new")
    for context, lives in ((store, True), (restored, False)):
        assert (context.credentials.session_user(signed_in, idle=day) is not None) is lives
        assert (context.credentials.link(link) is not None) is lives
        assert context.credentials.token(token) is not None


def test_the_commands(
    store: Context, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    assert cli.main(["backup", str(tmp_path / "b.tar")]) == 0
    assert "2 studies, 4 images" in capsys.readouterr().out
    assert cli.main(["restore", str(tmp_path / "b.tar")]) == 1
    assert "is not empty" in capsys.readouterr().err
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "new"))
    assert cli.main(["check"]) == 1
    assert "holds no database" in capsys.readouterr().err
    assert cli.main(["restore", str(tmp_path / "b.tar")]) == 0
    assert cli.main(["check"]) == 0
    here, there = rows(data_dir), rows(tmp_path / "new")
    (backed_up,), (restored,) = set(here) - set(there), set(there) - set(here)  # all else is the same
    assert "'backup','success'" in backed_up
    assert "'restore','success'" in restored
    assert cli.main(["audit", "verify"]) == 0
    next((tmp_path / "new" / "blobs").glob("??/*")).unlink()
    assert cli.main(["backup", str(tmp_path / "c")]) == 2
    assert "missing: " in capsys.readouterr().out
