"""Names that the server answers to, what a proxy may say, and the headers of every answer."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool import supervise
from diagnosis_tool.app import create_app
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from diagnosis_tool.web import hosts
from testing import accounts

Made = Callable[..., Flask]


@pytest.fixture
def made(context: Context, tmp_path: Path) -> Made:
    """The app with these settings."""

    def make(**env: str) -> Flask:
        return create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path), **env}))

    return make


LOOPBACK = {"localhost": 200, "127.0.0.1:8000": 200, "[::1]:8000": 200, "LOCALHOST.": 200, "evil.example": 400}


@pytest.mark.parametrize(
    ("host", "allowed", "answers"),
    [
        ("127.0.0.1", "", LOOPBACK),
        ("::1", "", LOOPBACK),
        ("0.0.0.0", "", {"xray.hospital.example": 200, "10.0.0.7:8000": 200}),
        ("0.0.0.0", "xray.hospital.example, 10.0.0.7", {"XRAY.hospital.example:443": 200, "10.0.0.7": 200, **LOOPBACK}),
    ],
)
def test_which_names_are_answered_to(host: str, allowed: str, answers: Mapping[str, int]) -> None:
    names = hosts.answered_names(host, [name.strip() for name in allowed.split(",") if name])
    for name, status in answers.items():
        assert (not names or hosts._name(name.lower()) in names) == (status == 200), name


def test_another_name_is_refused_with_words_whatever_is_asked_for(client: FlaskClient) -> None:
    for path in ("/", "/healthz", "/static/css/app.css", "/no/such/page", "/viewer/"):
        answer = client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 400
        assert "evil" not in answer.text
    assert "ALLOWED_HOSTS" in answer.text


def test_a_proxy_is_believed_only_when_told(made: Made, tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "10.0.0.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "xray.example"}
    trusting = made(TRUSTED_PROXIES="1", ALLOWED_HOSTS="xray.example").test_client()
    answer = trusting.get("/", headers=said)
    assert answer.status_code == 401
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    plain = made().test_client().get("/healthz", headers=said)
    assert plain.status_code == 200  # the name that it believes is localhost
    assert "Strict-Transport-Security" not in plain.headers


def test_a_proxys_word_for_the_client_gets_into_the_audit_log(made: Made) -> None:
    app = made(TRUSTED_PROXIES="1")
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client)
    client.post("/studies", headers={"X-Forwarded-For": "203.0.113.5, 10.0.0.9"})
    context = app.extensions["diagnosis_tool.context"]
    assert {line.address for line in context.audit.lines()} == {"10.0.0.9"}


@pytest.mark.parametrize("value", ["-1", "x", "10"])
def test_a_number_of_proxies_that_makes_no_sense(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="TRUSTED_PROXIES"):
        Settings.from_env({"TRUSTED_PROXIES": value, "DATA_DIR": str(tmp_path)})


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert supervise.authority("::1", 8000) == "[::1]:8000"
    assert supervise.authority("127.0.0.1", 80) == "127.0.0.1:80"


WANTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def test_every_answer_carries_the_headers(app: Flask, client: FlaskClient) -> None:
    """Every endpoint that can be asked without arguments, and pages and errors that need some."""

    def breaks() -> str:
        raise RuntimeError("x")

    app.view_functions["worklist.index"] = breaks
    rules = [rule.rule for rule in app.url_map.iter_rules() if not rule.arguments and "GET" in (rule.methods or ())]
    others = ["/no/such/page", "/studies/none", "/instances/none/pixels", "/studies/none.json", "/models/none"]
    for path in (*rules, *others):
        with client.get(path) as answer:
            for name, value in WANTED.items():
                assert answer.headers[name] == value, (path, name)
            policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
            assert "camera=()" in answer.headers["Permissions-Policy"]
            assert answer.headers["X-Request-ID"]
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert all(source == "'self'" or source.startswith("'sha256-") for source in policy["script-src"].split())
        assert all(source == "'self'" or source.startswith("'sha256-") for source in policy["style-src"].split())
        assert not any("unsafe" in value for name, value in policy.items() if name != "style-src-attr")
    assert {rules.count(path) for path in ("/", "/viewer/", "/healthz")} == {1}


def test_an_error_shows_its_id_and_no_trace(app: Flask, client: FlaskClient) -> None:
    def breaks() -> str:
        raise RuntimeError("Doe^John")

    app.view_functions["worklist.index"] = breaks

    for accept in ("text/html", "application/json"):
        answer = client.get("/", headers={"Accept": accept})
        assert answer.status_code == 500
        assert answer.headers["X-Request-ID"] in answer.text
        assert "Doe" not in answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("sent", ["Doe^John", "x" * 30, "abc", "a" * 65, "0123456789 abc"])
def test_what_is_no_id_is_not_taken_for_one(made: Made, sent: str) -> None:
    client = made(TRUSTED_PROXIES="1").test_client()
    given = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert given != sent
    assert len(given) == 16


def test_nobody_but_a_trusted_proxy_says_what_a_request_is_called(made: Made) -> None:
    sent = {"X-Request-ID": "ABCDEF0123456789", "X-Forwarded-For": "10.0.0.9"}
    for env, is_taken in (({}, False), ({"TRUSTED_PROXIES": "1"}, True)):
        app = made(**env)
        client = app.test_client(use_cookies=False)
        accounts.carry_token(client, name=f"taken {is_taken}")
        given = client.get("/", headers=sent).headers["X-Request-ID"]
        assert (given == "abcdef0123456789") is is_taken
        (*_, row) = app.extensions["diagnosis_tool.context"].audit.lines()
        assert (row.user_name, row.request_id) == (f"taken {is_taken}", given)
