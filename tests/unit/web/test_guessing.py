"""How fast passwords may be guessed, and whom others' guesses never keep out: through the pages."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from diagnosis_tool.services import passwords, throttle
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import guessing
from testing import accounts
from tests.unit.web.test_auth import PASSWORD, sign_in, token_of, with_password


class Clock:
    """Time as the app's throttle sees it."""

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(app.extensions["diagnosis_tool.throttle"], "_clock_s", lambda: self.now_s)


@pytest.fixture
def clock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(app, monkeypatch)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses are told from the password without hashing them."""
    monkeypatch.setattr(passwords, "matches", lambda password, known: known is not None and password == PASSWORD)


def elsewhere(app: Flask, address: str) -> FlaskClient:
    browser = app.test_client()
    browser.environ_base["REMOTE_ADDR"] = address
    return browser


@pytest.mark.usefixtures("cheap")
def test_a_strangers_guesses_lock_nobody_out_elsewhere(app: Flask, context: Context, clock: Clock) -> None:
    with_password(app, context)
    stranger = elsewhere(app, "198.51.100.1")
    token = token_of(stranger, "/sign-in")

    def guess() -> TestResponse:
        return stranger.post("/sign-in", data={"name": "ann", "password": "wrong", "csrf_token": token})

    answers = [guess() for _ in range(60)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [401] * throttle.NAME_AND_ADDRESS.free + [429] * (60 - throttle.NAME_AND_ADDRESS.free)
    assert answers[-1].headers["Retry-After"] == "2"
    assert "Wait 2 seconds" in answers[-1].text
    assert sign_in(elsewhere(app, "203.0.113.9"), "Ann", PASSWORD)[0] == 303
    waits = []
    for _ in range(14):  # the longer they go on, the longer they wait
        while (answer := guess()).status_code == 429:
            clock.now_s += (wait_s := float(answer.headers["Retry-After"]))
        waits.append(wait_s)
    assert waits == sorted(waits)
    assert waits[-1] == throttle.NAME_AND_ADDRESS.longest_s
    assert "Wait 15 minutes" in guess().text
    assert sign_in(elsewhere(app, "203.0.113.10"), "Ann", PASSWORD)[0] == 303


@pytest.mark.usefixtures("cheap")
def test_where_one_signed_in_before_no_guesses_of_others_count(app: Flask, context: Context, clock: Clock) -> None:
    own = with_password(app, context)
    assert sign_in(own, "Ann", PASSWORD)[0] == 303
    own.post("/sign-out", data={"csrf_token": token_of(own, "/account")})
    stranger = app.test_client()  # behind the same address
    for name in ("Ann", *(f"user {k}" for k in range(60))):
        for _ in range(6):
            sign_in(stranger, name, "wrong")
    assert sign_in(app.test_client(), "Ann", PASSWORD)[0] == 429
    assert sign_in(own, "Ann", PASSWORD)[0] == 303
    own.post("/sign-out", data={"csrf_token": token_of(own, "/account")})
    for _ in range(60):  # one's own guesses do: a device may be stolen
        status, page = sign_in(own, "Ann", "wrong")
    assert (status, "Wait 2 seconds" in page) == (429, True)
    clock.now_s += throttle.DEVICE.longest_s
    assert sign_in(own, "Ann", PASSWORD)[0] == 303


@pytest.mark.usefixtures("cheap")
def test_a_device_is_known_by_what_we_signed_and_for_whom(app: Flask, context: Context, clock: Clock) -> None:
    own = with_password(app, context)
    accounts.account(context, name="Ben")
    sign_in(own, "Ann", PASSWORD)
    cookie = own.get_cookie(guessing.COOKIE)
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.max_age) == (True, "Lax", 365 * 24 * 3600)
    for name, value in (("Ben", cookie.value), ("Ann", cookie.value[:-2] + "xx"), ("Ann", "x"), ("Ann", "")):
        other = elsewhere(app, f"203.0.113.{len(value) % 200}")
        other.set_cookie(guessing.COOKIE, value)
        statuses = [sign_in(other, name, "wrong")[0] for _ in range(throttle.NAME_AND_ADDRESS.free + 1)]
        assert statuses[-1] == 429, (name, value)


@pytest.mark.usefixtures("cheap")
def test_guesses_at_many_names_or_from_many_addresses_are_slowed(app: Flask, context: Context, clock: Clock) -> None:
    with_password(app, context)
    one = elsewhere(app, "198.51.100.1")
    statuses = [sign_in(one, f"user {k}", "wrong")[0] for k in range(60)]
    assert statuses == [401] * throttle.ADDRESS.free + [429] * (60 - throttle.ADDRESS.free)
    many = [elsewhere(app, f"198.51.101.{k}") for k in range(40)]
    statuses = [sign_in(browser, "Ann", "wrong")[0] for browser in many]
    assert statuses == [401] * throttle.NAME.free + [429] * (40 - throttle.NAME.free)
    late = elsewhere(app, "203.0.113.1")
    assert sign_in(late, "Ann", PASSWORD)[0] == 429  # waits, and is let in
    clock.now_s += throttle.NAME.longest_s
    assert sign_in(late, "Ann", PASSWORD)[0] == 303


@pytest.mark.usefixtures("cheap")
def test_a_name_that_nobody_can_have_is_neither_folded_nor_kept(
    app: Flask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = with_password(app, context)
    kept = app.extensions["diagnosis_tool.throttle"]
    monkeypatch.setattr("diagnosis_tool.services.throttle.folded", lambda name: pytest.fail("folded") if name else "")
    monkeypatch.setattr("diagnosis_tool.storage.users.folded", lambda _name: pytest.fail("folded"))
    for name in ("ﷺ" * 300, "x" * 101, "a\0b", ""):
        status, page = sign_in(client, name, "wrong")
        assert status == 401
        assert "is wrong" in page
        assert len(page) < 5000
    assert len(kept) == 3  # as of one name, from one address
    assert [sign_in(client, "x" * (101 + k), "wrong")[0] for k in range(5)][-1] == 429


def test_wrong_present_passwords_are_slowed_too(app: Flask, context: Context, clock: Clock, cheap: None) -> None:
    client, elsewhere_too = with_password(app, context), app.test_client()
    for browser in (client, elsewhere_too):
        sign_in(browser, "Ann", PASSWORD)
    new = {"password": "another long password", "again": "another long password"}
    form = {**new, "csrf_token": token_of(client, "/account")}
    answers = [client.post("/account/password", data={**form, "present": f"guess {k}"}) for k in range(60)]
    assert [answer.status_code for answer in answers] == [422] * throttle.OWN.free + [429] * (60 - throttle.OWN.free)
    assert answers[-1].headers["Retry-After"] == "2"
    assert client.post("/account/password", data={**form, "present": PASSWORD}).status_code == 429
    theirs = {**new, "csrf_token": token_of(elsewhere_too, "/account"), "present": PASSWORD}
    assert (
        elsewhere_too.post("/account/password", data=theirs).status_code == 303
    )  # who stole one session delays no other


@pytest.mark.usefixtures("cheap")
def test_who_knocks_all_day_does_not_fill_the_audit_log(app: Flask, context: Context, clock: Clock) -> None:
    client = with_password(app, context)
    before = len(list(context.audit.lines()))
    token = token_of(client, "/sign-in")
    for _ in range(20):
        client.post("/sign-in", data={"name": "Ann", "password": "wrong", "csrf_token": token})
        client.post("/sign-in", data={"name": "Ann", "password": "wrong"})
        client.post("/sign-in/once/none", data={"csrf_token": token})
        client.post("/sign-in/code", data={"csrf_token": token})
    rows = [(row.user_name, row.outcome, row.detail) for row in context.audit.lines()][before:]
    assert rows.count(("Ann", "denied", "wrong password")) == throttle.NAME_AND_ADDRESS.free
    assert len(rows) == throttle.NAME_AND_ADDRESS.free + 4
