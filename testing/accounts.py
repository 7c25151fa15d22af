"""Signing in for tests: nothing is hashed and no form is sent, so it costs next to nothing."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import ALL_PROJECTS, PERMISSIONS, SCOPES, Permission, Role, User
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import accounts
from diagnosis_tool.services.accounts import Limits
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.secret import stored_secret
from diagnosis_tool.web.current import shared_context

LOCAL_READER = "local reader"
"""The first migration's user: what tests store without a browser is theirs."""
_DAY = timedelta(days=1)


def account(
    context: Context, role: Role = Role.RADIOLOGIST, *, name: str | None = None, projects: Sequence[str] = ("default",)
) -> User:
    """The user of this name (the role's by default), made unless there is one, in this role and these projects."""
    with suppress(NotFound):
        user = context.users.named(name or role)
        return context.users.change(user.id, role=role, projects=projects)
    return accounts.add_user(context, name or role, role, projects)


def csrf_token(page: str) -> str:
    """The token that a page carries for what its scripts send."""
    return page.split('name="csrf-token" content="')[1].split('"')[0]


def sign_in(client: FlaskClient, role: Role = Role.RADIOLOGIST, **who: Any) -> User:
    """The client is this user's browser from now on; its POSTs need a page's CSRF token. who: as account has it."""
    context = context_of(client)
    user = account(context, role, **who)
    secret = accounts.begin_session(context, user, Limits(idle=_DAY, absolute=_DAY))
    with client.session_transaction() as session:
        session.clear()
        session["sign_in"] = secret
    return user


def browser_of(app: Flask, role: Role = Role.RADIOLOGIST) -> FlaskClient:
    """A browser in which somebody of this role is signed in."""
    client = app.test_client()
    sign_in(client, role)
    return client


def carry_token(
    client: FlaskClient, role: Role = Role.RADIOLOGIST, scopes: Collection[Permission] | None = None, **who: Any
) -> User:
    """The client is a script of this user's from now on; scopes: all that the role may have; who: as account has it."""
    context = context_of(client)
    user = account(context, role, **who)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(context, user, scopes)}"
    return user


def token_of(context: Context, user: User, scopes: Collection[Permission] | None = None) -> str:
    """A token of the user's, all scopes that the role may have by default."""
    chosen = SCOPES & PERMISSIONS[user.role] if scopes is None else scopes
    return accounts.make_token(context, user, "test", chosen, _DAY).secret


def context_of(client: FlaskClient) -> Context:
    """The context of the client's app, with all studies."""
    with client.application.app_context():
        return replace(shared_context(), projects=ALL_PROJECTS)


def cookie_of(context: Context, user: User, data_dir: Path) -> dict[str, Any]:
    """The session's cookie as Playwright takes it, less where it belongs, for a server that runs on data_dir."""
    app = Flask("tests")
    app.secret_key = stored_secret(data_dir)
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    secret = accounts.begin_session(context, user, Limits(idle=_DAY, absolute=_DAY))
    value = str(serializer.dumps({"_permanent": True, "sign_in": secret}))
    return {"name": "diagnosis_tool", "value": value, "httpOnly": True, "sameSite": "Lax"}
