"""`diagnosis-tool users` and `tokens`, and what a server needs before it starts."""

import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from diagnosis_tool.cli import main
from diagnosis_tool.commands import first_start
from diagnosis_tool.domain.access import ALL_PROJECTS, Role
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import Conflict, SettingsInvalid, StorageFull
from diagnosis_tool.services import accounts
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from testing.stores import DATABASE, open_store
from tests.stores import rows

PASSWORD = "correct horse battery"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    for key in ("HOST", "PORT", "SECRET_KEY", "SETUP_LINK"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return open_store(tmp_path / "data")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], store: Context) -> Callable[..., str]:
    """Runs a command; what it printed."""

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(words) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return run


def test_an_account_from_its_link_to_its_end(say: Callable[..., str], store: Context) -> None:
    said = say("users", "add", "Dr. B", "--role", "radiologist", "--project", "Ward 1", "--url", "https://x.example/")
    link = re.search(r"https://x\.example/sign-in/once/(\S+)", said)
    assert link is not None
    assert "until 20" in said
    accounts.use_link(store, link[1], PASSWORD)
    assert "Dr. B: radiologist, may sign in; projects: Ward 1" in say("users", "list")
    assert "already" in say("users", "add", "DR. b", "--role", "viewer", code=1)
    changed = say("users", "change", "dr. b", "--role", "viewer", "--project", "Ward 2", "--project", "ward 1")
    assert changed == "Dr. B: viewer, may sign in; projects: Ward 2, Ward 1\n"
    assert "disabled" in say("users", "disable", "Dr. B")
    assert "disabled" in say("users", "reset", "Dr. B", code=1)
    say("users", "enable", "Dr. B")
    assert "/sign-in/once/" in say("users", "reset", "Dr. B")
    assert accounts.check_password(store, "Dr. B", PASSWORD).role is Role.VIEWER  # until the new link is used
    assert "no user called nobody" in say("users", "reset", "nobody", code=1)
    actions = [line.detail.split()[0] for line in store.audit.lines()]
    assert actions == ["added", "changed", "disabled", "enabled", "link"]


def test_the_last_administrator_stays(say: Callable[..., str], store: Context) -> None:
    root, deputy = (accounts.add_user(store, name, Role.ADMIN) for name in ("Root", "Deputy"))
    accounts.use_link(store, accounts.make_link(store, root).secret, PASSWORD)
    for words in (("disable", "Root"), ("change", "Root", "--role", "viewer")):
        assert "Root is the last administrator who can sign in" in say("users", *words, code=1)
    assert store.users.get(root.id).role is Role.ADMIN
    say("users", "change", "Root", "--role", "admin", "--project", "other")
    accounts.use_link(store, accounts.make_link(store, deputy).secret, PASSWORD)
    say("users", "disable", "Root")
    assert "last administrator" in say("users", "disable", "Deputy", code=1)


def test_a_token_is_printed_once_and_revoked(say: Callable[..., str], store: Context) -> None:
    accounts.add_user(store, "Ann", Role.TECHNICIAN)
    secret, about = say("tokens", "add", "Ann", "scanner", "--scope", "upload", "--scope", "read", "--days", "3").split(
        "\n"
    )[:2]
    found = store.credentials.token(secret)
    assert found is not None
    assert about in say("tokens", "list", "Ann")
    assert secret not in say("tokens", "list")
    assert "may not: export" in say("tokens", "add", "Ann", "x", "--scope", "export", code=1)
    assert "from 1 to" in say("tokens", "add", "Ann", "x", "--scope", "read", "--days", "0", code=1)
    say("tokens", "revoke", str(found[1].id))
    assert store.credentials.token(secret) is None
    assert "revoked already" in say("tokens", "revoke", str(found[1].id), code=1)


def prepare(tmp_path: Path, **env: str) -> Callable[[], bool]:
    return first_start.prepare(Settings.from_env({"DATA_DIR": str(tmp_path / "data"), **env}))


def link_in(said: str) -> str:
    found = re.search(r"http://\S+/sign-in/once/(\S+)", said)
    assert found is not None
    return found[1]


def test_the_first_start_makes_an_administrator_and_offers_links_until_one_was_used(
    store: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = []
    for _ in range(2):
        prepare(tmp_path)
        links.append(link_in(capsys.readouterr().out))
    assert [user.name for user in store.users.all(ALL_PROJECTS) if user.role is Role.ADMIN] == ["admin"]
    rows = [(row.action, row.detail) for row in store.audit.lines()]
    assert rows == [
        ("user", "added admin: admin; projects: default"),
        ("user", "link for admin"),
        ("user", "link for admin"),
    ]
    assert store.credentials.link(links[0]) is None
    accounts.use_link(store, links[1], PASSWORD)
    prepare(tmp_path)
    assert capsys.readouterr().out == ""


class Healthy(BaseHTTPRequestHandler):
    """Answers as a server of ours does that lives."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_address_and_link_are_told_again_once_all_workers_read(
    store: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with HTTPServer(("127.0.0.1", 0), Healthy, bind_and_activate=False) as web:
        web.server_bind()
        port = str(web.server_address[1])
        store.jobs.heartbeat("worker-1", WorkerState.READY, "of the run before")
        once_ready = prepare(tmp_path, PORT=port, WORKERS="2")
        link = link_in(capsys.readouterr().out)
        assert not once_ready()
        store.jobs.heartbeat("worker-1", WorkerState.READY, "bundle")
        store.jobs.heartbeat("worker-2", WorkerState.WARMING, "converting")
        assert not once_ready()
        store.jobs.heartbeat("worker-2", WorkerState.READY, "bundle")
        assert not once_ready()  # nobody listens
        web.server_activate()
        serving = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        serving.start()
        assert capsys.readouterr().out == ""
        assert once_ready()
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"Ready: http://127.0.0.1:{port}/"
        assert said[-1].endswith(f"/sign-in/once/{link}")
        accounts.use_link(store, link, PASSWORD)
        assert once_ready()
        assert capsys.readouterr().out.splitlines() == said[:1]
        web.shutdown()
        serving.join()


def test_others_reach_no_server_that_nobody_protects(
    store: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "k" * 32
    for host in ("0.0.0.0", "::", "192.0.2.1", "xray.example"):
        with pytest.raises(SettingsInvalid, match="SECRET_KEY is set and an administrator"):
            prepare(tmp_path, HOST=host)
    with pytest.raises(SettingsInvalid, match="until an administrator has set a password"):
        prepare(tmp_path, HOST="0.0.0.0", SECRET_KEY=key)
    prepare(tmp_path, HOST="0.0.0.0", SETUP_LINK="1")
    accounts.use_link(store, link_in(capsys.readouterr().out), PASSWORD)
    with pytest.raises(SettingsInvalid, match="until SECRET_KEY is set"):
        prepare(tmp_path, HOST="0.0.0.0")
    prepare(tmp_path, HOST="0.0.0.0", SECRET_KEY=key)
    with pytest.raises(Conflict, match="admin is the last administrator"):
        store.users.disable(store.users.named("admin").id)
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as db, db:  # as earlier releases let it happen
        db.execute("UPDATE users SET disabled_at = '2026-01-01 00:00:00'")
    with pytest.raises(SettingsInvalid, match="administrator"):
        prepare(tmp_path, HOST="0.0.0.0", SECRET_KEY=key)
    prepare(tmp_path)
    assert "admin 2" in capsys.readouterr().out


def test_a_command_and_its_row_are_stored_together_or_not_at_all(
    say: Callable[..., str], store: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise StorageFull("The disk is full.")

    def stored() -> list[str]:
        return [row for row in rows(tmp_path / "data") if "INSERT INTO" in row]

    ann = accounts.add_user(store, "Ann", Role.TECHNICIAN)
    accounts.use_link(store, accounts.make_link(store, ann).secret, PASSWORD)
    for words, action, detail in (
        (("users", "add", "Ben", "--role", "viewer"), "user", "added Ben: viewer; projects: default"),
        (("users", "change", "Ann", "--project", "W"), "user", "changed Ann: technician; projects: W"),
        (("tokens", "add", "Ann", "x", "--scope", "read"), "token", "made 1 of Ann"),
        (("tokens", "revoke", "1"), "token", "revoked 1"),
        (("users", "reset", "Ann"), "user", "link for Ann"),
        (("users", "disable", "Ann"), "user", "disabled Ann"),
        (("users", "enable", "Ann"), "user", "enabled Ann"),
    ):
        before = stored()
        with monkeypatch.context() as patch:
            patch.setattr("diagnosis_tool.storage.audit.AuditLog.append", no_room)
            assert "full" in say(*words, code=1)
        assert stored() == before, words
        say(*words)
        line = list(store.audit.lines())[-1]
        assert (line.action, line.outcome, line.detail) == (action, "success", detail)
        assert line.user_name.startswith("command line (")
        assert store.audit.verify().problems == ()


def test_where_passwords_lead_in_no_more_no_administrator_needs_one(
    store: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = tmp_path / "groups.toml"
    groups.write_text('[groups.chiefs]\nrole = "admin"\nprojects = ["default"]\n')
    own = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "tool", "OIDC_GROUPS": str(groups)}
    outside = {**own, "HOST": "0.0.0.0", "SECRET_KEY": "k" * 32}
    prepare(tmp_path, **outside, LOCAL_SIGN_IN="none")
    assert capsys.readouterr().out == ""  # nor is a link told that would not lead in
    with pytest.raises(SettingsInvalid, match="administrator"):
        prepare(tmp_path, **outside)
