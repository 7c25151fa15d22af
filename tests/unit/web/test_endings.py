"""What ends with a password, with a reset and with an account, and stays ended."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from diagnosis_tool.domain.access import Permission, User
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services.context import Context
from testing import accounts
from testing.stores import DATABASE
from tests.unit.web.test_auth import PASSWORD, sign_in, token_of

NEW = "another long password"


@pytest.fixture
def ann(context: Context) -> User:
    """Has a password."""
    user = accounts.account(context, name="Ann")
    service.use_link(context, service.make_link(context, user).secret, PASSWORD)
    return context.users.get(user.id)


@pytest.fixture
def script(app: Flask, context: Context, ann: User) -> Callable[[], int]:
    """What a script that carries a token of hers is answered."""
    client = app.test_client(use_cookies=False)
    carried = {"Authorization": f"Bearer {accounts.token_of(context, ann, {Permission.READ})}"}
    assert client.get("/", headers=carried).status_code == 200
    return lambda: client.get("/", headers=carried).status_code


def test_tokens_end_when_a_link_sets_a_password(app: Flask, context: Context, ann: User) -> None:
    link = service.make_link(context, ann)
    token = accounts.token_of(context, ann, {Permission.READ})  # made by who still had the old one
    client = app.test_client()
    address = f"/sign-in/once/{link.secret}"
    form = {"csrf_token": token_of(client, address), "password": NEW, "again": NEW}
    assert client.post(address, data=form).status_code == 303
    assert context.credentials.token(token) is None
    shown = client.get("/account").text
    assert "not valid any more" in shown


def test_tokens_end_when_an_administrator_resets(context: Context, ann: User, script: Callable[[], int]) -> None:
    service.make_link(context, ann)
    assert script() == 401


def test_who_never_had_a_password_loses_no_token_by_a_link(context: Context) -> None:
    """The first administrator gets a link at each start until it is used."""
    user = accounts.account(context, name="New")
    token = accounts.token_of(context, user, {Permission.READ})
    service.make_link(context, user)
    assert context.credentials.token(token) is not None


def test_tokens_end_with_ones_own_new_password(app: Flask, script: Callable[[], int]) -> None:
    client = app.test_client()
    sign_in(client, "Ann", PASSWORD)
    form = {"csrf_token": token_of(client, "/account"), "present": PASSWORD, "password": NEW, "again": NEW}
    assert client.post("/account/password", data=form).status_code == 303
    assert "your API tokens have ended" in client.get("/account?changed=1").text
    assert script() == 401


def test_nothing_comes_back_to_life_when_an_account_is_enabled_again(
    app: Flask, context: Context, ann: User, script: Callable[[], int]
) -> None:
    client, link = app.test_client(), service.make_link(context, ann)
    token = accounts.token_of(context, ann, {Permission.READ})
    sign_in(client, "Ann", PASSWORD)
    context.users.disable(ann.id)
    assert context.credentials.token(token) is None
    context.users.enable(ann.id)
    assert context.credentials.token(token) is None
    assert script() == 401
    assert client.get("/").status_code == 401
    assert context.credentials.link(link.secret) is None
    assert sign_in(client, "Ann", PASSWORD)[0] == 303  # the password does lead in again


def test_nor_does_a_token_that_an_earlier_release_let_sleep(
    tmp_path: Path, context: Context, ann: User, script: Callable[[], int]
) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db, db:
        db.execute("UPDATE users SET disabled_at = ? WHERE id = ?", (datetime.now(UTC).isoformat(" ")[:26], ann.id))
    assert script() == 401
    context.users.enable(ann.id)
    assert script() == 401


def test_enabling_who_is_not_disabled_ends_nothing(context: Context, ann: User, script: Callable[[], int]) -> None:
    context.users.enable(ann.id)
    assert script() == 200


def test_a_password_by_link_and_its_row_are_stored_together_or_not_at_all(
    app: Flask, context: Context, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, client = service.make_link(context, ann), app.test_client()
    address = f"/sign-in/once/{link.secret}"
    form = {"csrf_token": token_of(client, address), "password": NEW, "again": NEW}
    before = len(list(context.audit.lines()))
    with monkeypatch.context() as patch:
        patch.setattr("diagnosis_tool.storage.audit.AuditLog.append", no_room)
        assert client.post(address, data=form).status_code == 507
    assert service.check_password(context, "Ann", PASSWORD) == ann
    assert client.post(address, data=form).status_code == 303
    rows = [(row.action, row.outcome, row.user_id, row.user_name, row.detail) for row in context.audit.lines()]
    assert rows[before:] == [("sign-in", "success", ann.id, "Ann", "password by link")]


def no_room(*_: object, **__: object) -> None:
    raise StorageFull("full")
