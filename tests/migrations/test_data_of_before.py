"""A data folder of schema 0004 is served as it was: the code of then wrote data_0004, and gave the answers in it.

data.zip: database, films (phantoms) and both keys after six uploads, with images that were read, refused for many
reasons, broken down and waiting, a signed review and a draft. expected.json: what an API token got for each address,
and refusals in German.
"""

import hashlib
import json
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool import resources
from diagnosis_tool.app import create_app
from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.services.wiring import make_context, migrate_database
from diagnosis_tool.settings import Settings
from testing import accounts
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all

_OF_THEN = Path(__file__).parent / "data_0004"
_EXPECTED: dict[str, Any] = json.loads((_OF_THEN / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was stored then, migrated as `serve` does."""
    folder = tmp_path_factory.mktemp("then") / "data"
    with zipfile.ZipFile(_OF_THEN / "data.zip") as files:
        files.extractall(folder)
    migrate_database(folder / "diagnosis_tool.sqlite", resources.migrations_dir())
    return folder


@pytest.fixture(scope="module")
def app(data_dir: Path) -> Flask:
    return create_app(Settings.from_env({"DATA_DIR": str(data_dir), "MODELS_DIR": str(data_dir)}), HereDecoder())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """With the API token that was made then."""
    client = app.test_client(use_cookies=False)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {_EXPECTED['token']}"
    return client


@pytest.mark.parametrize("address", _EXPECTED["answers"])
def test_every_answer_is_the_same_to_the_last_digit(client: FlaskClient, address: str) -> None:
    with client.get(address) as answer:
        assert answer.status_code == 200, answer.text
        expected = _EXPECTED["answers"][address]
        if expected.startswith("sha256:"):
            assert f"sha256:{hashlib.sha256(answer.data).hexdigest()}" == expected
        else:
            assert answer.get_data(as_text=True) == expected


@pytest.mark.parametrize("study", _EXPECTED["german"])
def test_refusals_are_shown_in_the_readers_language(client: FlaskClient, study: str) -> None:
    page = unescape(client.get(f"/studies/{study}", headers={"Accept-Language": "de"}).text)
    for text in _EXPECTED["german"][study]:
        assert text in page


def test_who_had_a_password_signs_in(app: Flask) -> None:
    browser = app.test_client()
    form = {"name": _EXPECTED["user"], "password": _EXPECTED["password"]}
    token = accounts.csrf_token(browser.get("/sign-in").text)
    answer = browser.post("/sign-in", data={**form, "csrf_token": token})
    assert answer.status_code == 303, answer.text
    assert browser.get("/").status_code == 200


def test_what_waited_is_read_and_the_audit_chain_holds(data_dir: Path, client: FlaskClient) -> None:
    context = make_context(
        data_dir=data_dir,
        database_file=data_dir / "diagnosis_tool.sqlite",
        projects=ALL_PROJECTS,
        decoder=HereDecoder(),
    )
    predict_all(context, FakeClassifier())
    (instance,) = client.get(f"/studies/{_EXPECTED['waiting']}.json").json["instances"]
    assert (instance["state"], len(instance["findings"])) == ("done", 15)
    report = client.get(f"/instances/{_EXPECTED['reviewed']}/report.pdf")
    assert report.data.startswith(b"%PDF")
    assert context.audit.verify().problems == ()
