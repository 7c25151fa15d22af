"""A fresh app on a fresh database for each test, with a worker that has no network."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from diagnosis_tool import resources
from diagnosis_tool.app import create_app
from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.domain.access import Role, User
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from testing import accounts
from tests import predicting
from tests.fakes.classifier import FakeClassifier


@pytest.fixture
def app(context: Context, tmp_path: Path) -> Flask:
    """The web app on the same data as `context`."""
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)})
    assert resources.templates_dir().is_dir()
    return create_app(settings, HereDecoder())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """As an administrator's script asks: without cookies, with an API token."""
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, Role.ADMIN, name=accounts.LOCAL_READER)
    return client


class SignedInBrowser:
    """As an administrator's page asks: with the session's cookie, and with the token that the page brought."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.user = self.sign_in(Role.ADMIN, accounts.LOCAL_READER)

    def sign_in(self, role: Role, name: str | None = None) -> User:
        """Somebody else sits down."""
        self.user = accounts.sign_in(self.client, role, name=name)
        self.token = self.token_of("/")
        return self.user

    def token_of(self, address: str) -> str:
        return accounts.csrf_token(self.client.get(address).text)

    def get(self, address: str, **options: Any) -> TestResponse:
        return self.client.get(address, **options)

    def post(self, address: str, **options: Any) -> TestResponse:
        headers = {"X-CSRFToken": self.token, **options.pop("headers", {})}
        return self.client.post(address, headers=headers, **options)


@pytest.fixture
def browser(app: Flask) -> SignedInBrowser:
    return SignedInBrowser(app)


@pytest.fixture
def upload(client: FlaskClient) -> Callable[..., str]:
    """Sends (name, bytes) files, returns the new study's uid."""

    def send(*files: tuple[str, bytes]) -> str:
        answer = client.post("/studies", data={"files": [(BytesIO(data), name) for name, data in files]})
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"].removeprefix("/studies/")

    return send


@pytest.fixture
def predict_all(context: Context) -> Callable[[], None]:
    """Lets the worker read all that waits."""

    return lambda: predicting.predict_all(context, FakeClassifier())


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """Where files wait until they are committed."""
    return tmp_path / "blobs" / "incoming"
