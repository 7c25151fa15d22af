"""A page's session: its token and its key."""

from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool.app import create_app
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.settings import Settings
from diagnosis_tool.storage.secret import stored_secret
from tests.conftest import phantom_png
from tests.unit.web.conftest import SignedInBrowser


def film() -> dict[str, object]:
    return {"files": (BytesIO(phantom_png()), "a.png")}


def test_a_session_needs_its_token_in_header_or_field(browser: SignedInBrowser) -> None:
    refused = browser.client.post("/studies", data=film())
    assert refused.status_code == 400
    assert "Reload it" in refused.text
    assert "No study yet" in browser.get("/").text
    assert browser.post("/studies", data=film()).status_code == 303
    assert browser.client.post("/studies", data={**film(), "csrf_token": browser.token}).status_code == 303


def test_another_sessions_token_is_none(app: Flask, browser: SignedInBrowser) -> None:
    browser.token = SignedInBrowser(app).token
    assert browser.post("/instances/none/retry").status_code == 400


def test_the_viewer_brings_the_same_sessions_token(browser: SignedInBrowser) -> None:
    browser.token = browser.token_of("/viewer/")
    assert browser.post("/instances/none/retry").status_code == 404


def test_the_viewers_callbacks_need_no_token(browser: SignedInBrowser) -> None:
    assert "JSON" not in browser.client.post("/viewer/_dash-update-component", json={}).text  # 400 of its own
    assert "Reload" not in browser.client.post("/viewer/_dash-update-component", json={}).text


def test_a_script_with_its_own_token_passes(client: FlaskClient) -> None:
    assert client.post("/studies", data=film()).status_code == 303


def test_a_large_upload_without_the_token_is_refused_with_words(browser: SignedInBrowser) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head + b"x" * 3_000_000 + b"\r\n--x--\r\n"
    answer = browser.client.post("/studies", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 400
    assert "Reload it" in answer.text


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    key = stored_secret(tmp_path / "data")
    assert len(key) >= 32
    assert stored_secret(tmp_path / "data") == key
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "data").iterdir())) == 1
    assert stored_secret(tmp_path / "other") != key


def test_a_damaged_key_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("short")
    with pytest.raises(SettingsInvalid, match="Remove the file"):
        stored_secret(tmp_path)


def test_the_key_of_the_settings_wins(tmp_path: Path, app: Flask) -> None:
    assert app.secret_key == stored_secret(tmp_path)
    env = {"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path), "SECRET_KEY": "k" * 32}
    assert create_app(Settings.from_env(env)).secret_key == "k" * 32
    with pytest.raises(SettingsInvalid, match="SECRET_KEY"):
        Settings.from_env({**env, "SECRET_KEY": "k"})
