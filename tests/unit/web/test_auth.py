"""Nobody gets in but by password or link; how long a sign-in lasts, what it may be guessed by."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import Role
from diagnosis_tool.errors import NotSignedIn
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services import passwords
from diagnosis_tool.services.context import Context
from diagnosis_tool.web.auth import own_path
from testing import accounts

PASSWORD = "correct horse battery"


def token_of(client: FlaskClient, address: str) -> str:
    return accounts.csrf_token(client.get(address).text)


def with_password(app: Flask, context: Context) -> FlaskClient:
    """A browser without a session; Ann has a password."""
    link = service.make_link(context, accounts.account(context, name="Ann"))
    service.use_link(context, link.secret, PASSWORD)
    return app.test_client()


def sign_in(client: FlaskClient, name: str, password: str, target: str = "/") -> tuple[int, str]:
    form = {"name": name, "password": password, "next": target, "csrf_token": token_of(client, "/sign-in")}
    answer = client.post("/sign-in", data=form)
    return answer.status_code, answer.headers.get("Location") or answer.text


def test_signing_in_goes_on_to_where_one_was(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    turned_away = client.get("/?state=read", headers={"Accept": "text/html"}).headers["Location"]
    assert turned_away == "/sign-in?next=/?state%3Dread"
    assert 'name="next" value="/?state=read"' in client.get(turned_away).text
    assert sign_in(client, "ANN", PASSWORD, "/?state=read") == (303, "/?state=read")
    assert "Ann" in client.get("/").text
    assert client.get("/sign-in").status_code == 303


def test_every_failure_says_the_same(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    accounts.account(context, name="Without")
    disabled = accounts.account(context, name="Disabled")
    context.users.set_password(disabled.id, "x")
    context.users.disable(disabled.id)
    said = set()
    for name, password in (("Ann", "wrong"), ("Nobody", PASSWORD), ("Without", ""), ("Disabled", "x"), ("", "")):
        status, page = sign_in(client, name, password)
        assert status == 401
        said.add(page.split('role="alert">')[1].split("<")[0])
    assert len(said) == 1
    assert client.get("/").status_code == 401


def test_signing_in_needs_the_forms_token(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    assert client.post("/sign-in", data={"name": "Ann", "password": PASSWORD}).status_code == 400


def test_the_session_rotates_at_sign_in_and_ends_at_sign_out(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    accounts.sign_in(client, Role.VIEWER)
    with client.session_transaction() as session:
        before = dict(session)
    old = client.get_cookie("diagnosis_tool")
    sign_in_as_ann = {"name": "Ann", "password": PASSWORD, "csrf_token": token_of(client, "/")}
    client.post("/sign-in", data=sign_in_as_ann)
    token = token_of(client, "/")
    with client.session_transaction() as session:
        assert session["sign_in"] != before["sign_in"]
    assert token != sign_in_as_ann["csrf_token"]
    assert old is not None
    client.post("/sign-out", data={"csrf_token": token})
    assert client.get("/").status_code == 401
    client.set_cookie("diagnosis_tool", old.value)  # whoever kept an old cookie gains nothing
    assert client.get("/").status_code == 401


def test_the_cookie_is_for_the_server_alone_and_under_tls_only_there(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    plain = client.get("/sign-in").headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    secure = app.test_client().get("/sign-in", base_url="https://localhost").headers["Set-Cookie"]
    assert "Secure" in secure


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, app: Flask) -> Callable[[timedelta], None]:
    """Lets time pass for sign-ins and links."""
    store = accounts.context_of(app.test_client()).credentials
    passed = [timedelta()]
    monkeypatch.setattr(store, "_now", lambda: datetime.now(UTC) + passed[0])

    def wait(how_long: timedelta) -> None:
        passed[0] += how_long

    return wait


def test_a_session_ends_when_idle_and_after_a_day_anyway(app: Flask, later: Callable[[timedelta], None]) -> None:
    idle, busy = accounts.browser_of(app), app.test_client()
    accounts.sign_in(busy, Role.VIEWER)
    for _ in range(3):
        later(timedelta(hours=7))
        assert busy.get("/").status_code == 200
    assert idle.get("/").status_code == 401
    later(timedelta(hours=3, minutes=1))
    assert busy.get("/").status_code == 401


def test_disabling_signs_out_at_once_and_another_role_counts_at_once(app: Flask, context: Context) -> None:
    client = app.test_client()
    user = accounts.sign_in(client, Role.ADMIN)
    assert client.get("/export/reviews.csv").status_code == 200
    context.users.change(user.id, role=Role.VIEWER)
    assert client.get("/export/reviews.csv").status_code == 403
    context.users.disable(user.id)
    assert client.get("/").status_code == 401
    context.users.enable(user.id)
    assert client.get("/").status_code == 401


def test_a_link_leads_in_once_and_looking_does_not_use_it_up(app: Flask, context: Context) -> None:
    user = accounts.account(context, name="Ann")
    first, link = (service.make_link(context, user) for _ in range(2))
    client = app.test_client()
    address = f"/sign-in/once/{link.secret}"
    assert client.get(f"/sign-in/once/{first.secret}").status_code == 404  # a newer one was made
    for _ in range(3):
        assert "Ann" in client.get(address).text
    form = {"csrf_token": token_of(client, address), "password": PASSWORD, "again": PASSWORD}
    for wrong in ("short", "Ann" * 5, "x" * 201):
        assert client.post(address, data={**form, "password": wrong, "again": wrong}).status_code == 422
    assert client.post(address, data={**form, "again": "other"}).status_code == 422
    elsewhere = accounts.browser_of(app)
    accounts.sign_in(elsewhere, name="Ann")
    answer = client.post(address, data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 401  # whoever knew the old password is out
    again = app.test_client()
    assert again.get(address).status_code == 404
    assert sign_in(again, "Ann", PASSWORD)[0] == 303


def test_a_link_expires(app: Flask, context: Context, later: Callable[[timedelta], None]) -> None:
    link = service.make_link(context, accounts.account(context))
    later(timedelta(hours=24))
    answer = app.test_client().get(f"/sign-in/once/{link.secret}")
    assert answer.status_code == 404
    assert "does not lead in" in answer.text


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "x", "", None,
                "/sign-in", "/sign-in/once/x", "/a\nb", "javascript:alert(1)"]
)  # fmt: skip
def test_nobody_is_led_elsewhere(app: Flask, address: str | None) -> None:
    with app.test_request_context():
        assert own_path(address) == "/"
        assert own_path("/studies/x?y=1") == "/studies/x?y=1"


def test_secrets_are_stored_as_hashes(app: Flask, context: Context) -> None:
    with_password(app, context)
    client = app.test_client(use_cookies=False)
    user = accounts.carry_token(client, name="Ann")
    secrets = [client.environ_base["HTTP_AUTHORIZATION"].split()[1], service.make_link(context, user).secret, PASSWORD]
    found = context.users.password_hash("Ann")
    assert found is not None
    assert found[1].startswith("$argon2id$")
    with context.credentials._engine.connect() as db:
        stored = repr([db.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ("users", "links", "tokens")])
    assert not any(secret in stored for secret in secrets)


def test_somebody_unknown_costs_as_many_hashes_as_somebody_known(
    app: Flask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_password(app, context)
    checked: list[bool] = []
    plain = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *words: checked.append(plain(*words)) or checked[-1])
    for name in ("Ann", "nobody"):
        with pytest.raises(NotSignedIn):
            service.check_password(context, name, "wrong")
    assert checked == [False, False]
    assert not passwords.matches("of nobody, so that looking one up takes as long as checking one", None)


def test_the_own_account(app: Flask, context: Context) -> None:
    client, elsewhere = with_password(app, context), app.test_client()
    for browser in (client, elsewhere):
        assert sign_in(browser, "Ann", PASSWORD)[0] == 303
    token = {"csrf_token": token_of(client, "/account")}
    new = {"password": "another long password", "again": "another long password"}
    wrong = client.post("/account/password", data={**token, **new, "present": "wrong"})
    assert wrong.status_code == 422
    assert "present password is wrong" in wrong.text
    assert client.post("/account/password", data={**token, **new, "present": PASSWORD}).status_code == 303
    assert "was changed" in client.get("/account?changed=1").text
    assert elsewhere.get("/").status_code == 401
    assert sign_in(elsewhere, "Ann", PASSWORD)[0] == 401


def test_own_tokens_are_shown_once_within_the_role_and_revoked(app: Flask, context: Context) -> None:
    client = accounts.browser_of(app, Role.TECHNICIAN)
    form = {"csrf_token": token_of(client, "/account"), "name": "scanner", "days": "7", "scope": ["upload", "read"]}
    made = client.post("/account/tokens", data=form)
    secret = made.text.split('id="secret">')[1].split("<")[0]
    assert made.headers["Cache-Control"] == "no-store"
    assert secret not in client.get("/account").text
    script = app.test_client(use_cookies=False)
    carried = {"Authorization": f"Bearer {secret}"}
    assert script.get("/", headers=carried).status_code == 200
    assert script.get("/account", headers=carried).status_code == 403  # a token makes no tokens
    for wrong in ({"scope": "delete"}, {"scope": []}, {"days": "0"}, {"days": "x"}, {"name": " "}):
        assert client.post("/account/tokens", data={**form, **wrong}).status_code == 422
    (token,) = context.credentials.tokens(context.users.named("technician").id)
    other = accounts.browser_of(app, Role.VIEWER)
    theirs = {"csrf_token": token_of(other, "/account")}
    assert other.post(f"/account/tokens/{token.id}/revoke", data=theirs).status_code == 404
    own = {"csrf_token": form["csrf_token"]}
    assert client.post(f"/account/tokens/{token.id}/revoke", data=own).status_code == 303
    assert script.get("/", headers=carried).status_code == 401
    assert [(line.action, line.outcome, line.detail) for line in context.audit.lines()][-1] == (
        "token", "success", f"revoked {token.id}",
    )  # fmt: skip


def test_signing_in_and_out_and_failing_stands_in_the_audit_log(app: Flask, context: Context) -> None:
    client = with_password(app, context)
    ann = context.users.named("Ann")
    sign_in(client, "Ann", "wrong")
    sign_in(client, "my secret typed in the wrong field", "x")
    sign_in(client, "Ann", PASSWORD)
    client.post("/sign-out", data={"csrf_token": token_of(client, "/account")})
    lines = [(line.action, line.outcome, line.user_id, line.user_name, line.detail) for line in context.audit.lines()]
    assert lines == [
        ("sign-in", "denied", ann.id, "Ann", "wrong password"),
        ("sign-in", "denied", None, "", "no such user"),
        ("sign-in", "success", ann.id, "Ann", ""),
        ("sign-out", "success", ann.id, "Ann", ""),
    ]


def test_pages_offer_what_the_role_allows(app: Flask, context: Context) -> None:
    offered = {
        role: {word for word in ('id="upload"', "Original") if word in accounts.browser_of(app, role).get("/").text}
        for role in Role
    }
    assert 'id="upload"' in offered[Role.TECHNICIAN]
    assert offered[Role.VIEWER] == set()
