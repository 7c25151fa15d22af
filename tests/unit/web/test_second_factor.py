"""The second factor through the pages: set up, asked for, replayed, guessed at, lost, switched off."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from diagnosis_tool.cli import main
from diagnosis_tool.errors import Conflict
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services import passwords, throttle
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.second_factors import SecondFactorStore
from testing import accounts
from testing.stores import DATABASE
from tests.unit.web.test_auth import PASSWORD, sign_in, token_of, with_password

ADDRESS = "/account/second-factor"


class Clock:
    """The time of the server's: authenticator apps go by it."""

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
        context = app.extensions["diagnosis_tool.context"]
        object.__setattr__(context, "now", lambda: self.now)
        monkeypatch.setattr(app.extensions["diagnosis_tool.throttle"], "_clock_s", lambda: self.now.timestamp())

    def tick(self, seconds: float = 30) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(passwords, "matches", lambda password, known: known is not None and password == PASSWORD)
    return Clock(app, monkeypatch)


class Ann:
    """Somebody with a telephone."""

    def __init__(self, app: Flask, context: Context, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.client = with_password(app, context)
        assert sign_in(self.client, "Ann", PASSWORD)[0] == 303
        page = self.post(self.client, "", present=PASSWORD)
        assert page.status_code == 303
        page = self.client.get(ADDRESS)
        self.secret = re.search(r'id="totp-secret">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")  # type: ignore[index]
        assert "<svg" in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert self.post(self.client, "/confirm", code="000000").status_code == 422
        page = self.post(self.client, "/confirm", code=self.code())
        self.recovery = re.findall(r"<li><code>([a-z2-7 ]+)</code>", page.text)

    def code(self, offset: int = 0) -> str:
        return pyotp.TOTP(self.secret).generate_otp(int(self.clock.now.timestamp()) // 30 + offset)

    def post(self, client: FlaskClient, path: str, **form: str) -> TestResponse:
        return client.post(ADDRESS + path, data={**form, "csrf_token": token_of(client, ADDRESS)})

    def begin(self, target: str = "/") -> FlaskClient:
        """A browser in which the password was typed."""
        client = self.app.test_client()
        status, where = sign_in(client, "Ann", PASSWORD, target)
        assert (status, unquote(where)) == (303, f"/sign-in/code?next={target}")
        return client

    def type(self, client: FlaskClient, code: str, target: str = "/") -> TestResponse:
        form = {"code": code, "next": target, "csrf_token": token_of(client, "/sign-in")}
        return client.post("/sign-in/code", data=form)


@pytest.fixture
def ann(app: Flask, context: Context, clock: Clock) -> Ann:
    return Ann(app, context, clock)


def test_the_code_is_asked_for_after_the_password(ann: Ann, context: Context) -> None:
    assert len(ann.recovery) == 10
    assert ann.client.get("/").status_code == 200
    browser = ann.begin("/?state=read")
    assert browser.get("/").status_code == 401
    assert "wrong" in ann.type(browser, "000000", "/?state=read").text
    assert browser.get("/").status_code == 401
    ann.clock.tick()
    answer = ann.type(browser, f" {ann.code()[:3]} {ann.code()[3:]} ", "/?state=read")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?state=read")
    assert browser.get("/").status_code == 200
    rows = [(row.action, row.outcome, row.user_name, row.detail) for row in context.audit.lines()]
    assert [row for row in rows if row[0] != "list"][-4:] == [
        ("user", "success", "Ann", "second factor on"),
        ("sign-in", "refused", "Ann", "code needed"),
        ("sign-in", "denied", "Ann", "wrong code"),
        ("sign-in", "success", "Ann", ""),
    ]


def test_a_code_leads_in_once_and_none_before_it_does(ann: Ann) -> None:
    assert ann.type(ann.begin(), ann.code()).status_code == 401  # it confirmed the set-up
    ann.clock.tick(90)
    code, before, after = ann.code(), ann.code(-1), ann.code(1)
    assert ann.type(ann.begin(), code).status_code == 303
    for used in (code, before):
        assert ann.type(ann.begin(), used).status_code == 401
    assert ann.type(ann.begin(), after).status_code == 303  # the app's clock is ahead
    ann.clock.tick(300)
    for far in (-2, 2):
        assert ann.type(ann.begin(), ann.code(far)).status_code == 401
    assert ann.type(ann.begin(), ann.code(-1)).status_code == 303


def test_of_two_who_bring_the_same_code_one_gets_in(context: Context, ann: Ann) -> None:
    user = context.users.named("Ann")
    assert [context.second_factors.use_step(user.id, 10**9) for _ in range(2)] == [True, False]


def test_recovery_codes_lead_in_once_each(ann: Ann) -> None:
    assert ann.type(ann.begin(), ann.recovery[0].upper().replace(" ", "-")).status_code == 303
    assert ann.type(ann.begin(), ann.recovery[0]).status_code == 401
    assert ann.type(ann.begin(), ann.recovery[1]).status_code == 303
    assert "8 recovery codes are left" in ann.client.get(ADDRESS).text
    assert ann.recovery[2] not in ann.client.get(ADDRESS).text
    assert ann.post(ann.client, "/codes", present="wrong").status_code == 422
    fresh = re.findall(r"<li><code>([a-z2-7 ]+)</code>", ann.post(ann.client, "/codes", present=PASSWORD).text)
    assert ann.type(ann.begin(), ann.recovery[2]).status_code == 401
    assert ann.type(ann.begin(), fresh[0]).status_code == 303


def test_codes_are_throttled_like_passwords(ann: Ann) -> None:
    browser = ann.begin()  # a device of hers: she set it up elsewhere, so it is a stranger's
    answers = [ann.type(browser, f"{k:06}") for k in range(60)]
    assert [a.status_code for a in answers] == [401] * throttle.CODE.free + [429] * (60 - throttle.CODE.free)
    assert answers[-1].headers["Retry-After"] == "2"
    assert ann.type(ann.begin(), ann.code(1)).status_code == 429  # from anywhere: the password is known
    own = ann.client
    own.post("/sign-out", data={"csrf_token": token_of(own, "/account")})
    assert sign_in(own, "Ann", PASSWORD)[0] == 303
    assert ann.type(own, ann.code(1)).status_code == 303  # but on a device where she signed in before


def test_the_password_is_good_for_five_minutes_and_until_it_changes(ann: Ann, context: Context) -> None:
    late, other = ann.begin(), ann.begin()
    with late.session_transaction() as session:
        session["password_was_right"] = {**session["password_was_right"], "at": 0}
    assert late.get("/sign-in/code").headers["Location"].startswith("/sign-in?")
    assert ann.type(late, ann.code(1)).status_code == 303
    assert late.get("/").status_code == 401
    user = context.users.named("Ann")
    context.users.set_password(user.id, "another")
    assert ann.type(other, ann.code(1)).headers["Location"].startswith("/sign-in?")
    assert other.get("/").status_code == 401
    stranger = ann.app.test_client()
    assert stranger.get("/sign-in/code").status_code == 303
    form = {"code": ann.code(1), "csrf_token": token_of(stranger, "/sign-in")}
    assert stranger.post("/sign-in/code", data=form).status_code == 303
    assert stranger.get("/").status_code == 401


def test_a_link_is_no_way_around(ann: Ann, context: Context) -> None:
    link, browser = service.make_link(context, context.users.named("Ann")), ann.app.test_client()
    address = f"/sign-in/once/{link.secret}"
    form = {"password": PASSWORD, "again": PASSWORD, "csrf_token": token_of(browser, address)}
    assert browser.post(address, data=form).headers["Location"].startswith("/sign-in/code")
    assert browser.get("/").status_code == 401
    assert ann.type(browser, ann.code(1)).status_code == 303
    assert browser.get("/").status_code == 200


def test_setting_it_up_and_switching_it_off_need_the_password(ann: Ann, context: Context, app: Flask) -> None:
    assert ann.post(ann.client, "", present=PASSWORD).status_code == 409  # there is one already
    assert ann.post(ann.client, "/off", present="wrong").status_code == 422
    assert ann.post(ann.client, "/off", present=PASSWORD).status_code == 303
    assert "Off: the password alone" in ann.client.get("/account").text
    assert ann.post(ann.client, "", present="wrong").status_code == 422
    assert "totp-secret" not in ann.client.get(ADDRESS).text
    assert ann.post(ann.client, "/confirm", code="123456").status_code == 404
    assert sign_in(app.test_client(), "Ann", PASSWORD) == (303, "/")
    answers = [ann.post(ann.client, "/off", present="wrong").status_code for _ in range(20)]
    assert answers[-1] == 429


def test_switching_it_on_signs_out_everywhere_else(app: Flask, context: Context, clock: Clock) -> None:
    elsewhere = with_password(app, context)
    sign_in(elsewhere, "Ann", PASSWORD)
    Ann(app, context, clock)
    assert elsewhere.get("/").status_code == 401


def test_a_copy_of_the_database_alone_tells_neither_secret_nor_codes(
    ann: Ann, tmp_path: Path, app: Flask, context: Context
) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        dump = "\n".join(db.iterdump())
    for secret in (ann.secret, *ann.recovery, *(code.replace(" ", "") for code in ann.recovery)):
        assert secret.lower() not in dump.lower()
    app.secret_key = "another key of the server's, 32 letters"
    browser = ann.begin()
    answer = ann.type(browser, ann.code(1))
    assert answer.status_code == 401
    assert "server&#39;s key has changed" in answer.text
    assert ann.type(browser, ann.recovery[0]).status_code == 303


def test_an_administrator_switches_it_off_by_command(
    ann: Ann, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main(["users", "list"]) == 0
    assert "Ann: radiologist, may sign in; projects: default; second factor" in capsys.readouterr().out
    assert main(["users", "totp-off", "Ann"]) == 0
    assert sign_in(ann.app.test_client(), "Ann", PASSWORD) == (303, "/")
    row = list(context.audit.lines())[-2]
    assert (row.action, row.detail) == ("user", "second factor off for Ann")
    assert main(["users", "totp-off", "Ann"]) == 1
    assert "has no second factor" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["", "x" * 1_000, "١٢٣٤٥٦", "12345", "1234567", "\N{NULL}", "🔑"])
def test_odd_codes_are_wrong_and_nothing_else(ann: Ann, code: str) -> None:
    assert ann.type(ann.begin(), code).status_code == 401


def test_who_has_no_password_is_told(app: Flask, clock: Clock, context: Context) -> None:
    client = accounts.browser_of(app)
    assert "you have none here" in client.get(ADDRESS).text
    assert 'id="second-factor"' not in client.get("/account").text
    answer = client.post(ADDRESS, data={"present": "", "csrf_token": token_of(client, ADDRESS)})
    assert answer.status_code == 422


def test_a_proposal_that_was_made_anew_is_not_confirmed_by_the_older_code(context: Context, ann: Ann) -> None:
    store: SecondFactorStore = context.second_factors
    user = context.users.named("Ann")
    store.remove(user.id)
    store.propose(user.id, "first")
    store.propose(user.id, "second")
    with pytest.raises(Conflict):
        store.confirm(user.id, "first", 1, ["a"])
    found = store.of(user.id)
    assert found is not None
    assert found.confirmed_at is None
