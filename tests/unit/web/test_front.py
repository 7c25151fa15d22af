"""What the web process answers its front: the request, up to its view."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from diagnosis_tool.app import create_app
from diagnosis_tool.domain.access import Role
from diagnosis_tool.front import headers as names
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from diagnosis_tool.web.uploads import MAX_BODY_BYTES, MAX_OTHER_BODY_BYTES
from testing import accounts

KEY = "k" * 64


@pytest.fixture
def app(context: Context, tmp_path: Path) -> Flask:
    """As gunicorn runs it behind the front."""
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path), "QUOTA_GB": "1"})
    return create_app(settings, front_key=KEY)


def asked(
    client: FlaskClient, path: str, length: int | None = None, *, question: str = names.MAY_COME, key: str = KEY
) -> TestResponse:
    form = "multipart/form-data; boundary=x"  # only its files may be large
    headers = {names.KEY: key, names.PEER: "192.0.2.9", names.ASK: question, "Content-Type": form}
    if length is not None:
        headers[names.LENGTH] = str(length)
    return client.post(path, headers=headers)


def test_what_may_come_is_told_how_much(client: FlaskClient) -> None:
    upload = asked(client, "/studies", 1000)
    assert (upload.status_code, upload.headers[names.MOST]) == (204, str(MAX_BODY_BYTES))
    assert upload.headers[names.KNOWN] == "1"
    other = asked(client, "/viewer/_dash-update-component", 1000)
    assert (other.status_code, other.headers[names.MOST]) == (204, str(MAX_OTHER_BODY_BYTES))
    assert asked(client, "/no/such/page").status_code == 204  # the request itself is told so


def test_what_may_not_come_gets_its_own_refusal(app: Flask, client: FlaskClient) -> None:
    stranger = app.test_client()
    assert asked(stranger, "/studies", 1000).status_code == 401
    public = asked(stranger, "/sign-in", names.SMALL_BODY_BYTES)
    assert (public.status_code, public.headers[names.MOST]) == (204, str(names.SMALL_BODY_BYTES))
    assert names.KNOWN not in public.headers
    assert asked(stranger, "/sign-in", names.SMALL_BODY_BYTES + 1).status_code == 413
    assert asked(client, "/studies", MAX_BODY_BYTES + 1).status_code == 413
    assert asked(client, "/studies", 1_100_000_000).status_code == 507  # the quota
    full = asked(client, "/studies", 1000, question=names.NO_ROOM)
    assert (full.status_code, "full" in full.text) == (507, True)
    viewer = app.test_client(use_cookies=False)
    accounts.carry_token(viewer, Role.VIEWER)
    refused = asked(viewer, "/studies", 1000)
    assert (refused.status_code, refused.headers[names.KNOWN]) == (403, "1")


def test_only_refusals_are_recorded(app: Flask, client: FlaskClient, context: Context) -> None:
    viewer = app.test_client(use_cookies=False)
    accounts.carry_token(viewer, Role.VIEWER)
    before = len(list(context.audit.lines()))
    metrics = client.get("/metrics").text
    asked(client, "/studies", 1000)
    assert len(list(context.audit.lines())) == before
    asked(viewer, "/studies", 1000)
    (row,) = list(context.audit.lines())[before:]
    assert "192.0.2.9" in repr(row)
    told = client.get("/metrics").text
    assert 'status="204"' not in metrics + told
    assert 'status="403"' in told


def test_without_the_key_it_is_anybodys_request(client: FlaskClient, tmp_path: Path) -> None:
    for key in ("", "guessed", "k" * 63 + "é"):
        answer = asked(client, "/no/such/page", key=key)
        assert answer.status_code == 404
        assert names.KNOWN not in answer.headers
    alone = create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)}))
    assert asked(alone.test_client(), "/studies", key="").status_code == 401
