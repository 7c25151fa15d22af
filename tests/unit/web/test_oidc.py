"""Signing in at an OpenID provider that these tests run: the way there and back, and all that must not lead in."""

import hmac
import http.client
import json
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from werkzeug.test import TestResponse

from diagnosis_tool.app import create_app
from diagnosis_tool.domain.access import Role, User
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services import oidc
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from testing import accounts
from tests.fakes.provider import CLIENT, Claims, Provider, rsa_key, running, signed
from tests.unit.web.test_auth import PASSWORD, sign_in, with_password

_GROUPS = """
[groups.readers]
role = "radiologist"
projects = ["Chest", "ward 7"]
[groups.desk]
role = "technician"
projects = ["desk"]
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("NO_PROXY", "*")  # whatever this machine goes through to others
    with running() as found:
        yield found


def app_with(tmp_path: Path, issuer: str, **env: str) -> Flask:
    """The app on the data of `context`, which sends people to this issuer."""
    (tmp_path / "groups.toml").write_text(_GROUPS)
    own = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": CLIENT[0], "OIDC_CLIENT_SECRET": CLIENT[1], "OIDC_NAME": "Clinic",
           "OIDC_GROUPS": str(tmp_path / "groups.toml")}  # fmt: skip
    return create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path), **own, **env}))


@pytest.fixture
def app(context: Context, tmp_path: Path, provider: Provider) -> Flask:
    return app_with(tmp_path, provider.issuer)


def come_back(client: FlaskClient, query: str = "") -> str:
    """Goes to the provider as a browser does; the address that it is sent back to."""
    begun = client.get(f"/sign-in/provider{query}")
    assert begun.status_code == 303, begun.text
    host, _, path = begun.headers["Location"].removeprefix("http://").partition("/")
    with closing(http.client.HTTPConnection(host, timeout=20)) as connection:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        answer.read()
        return str(answer.headers["Location"])


def there_and_back(client: FlaskClient, query: str = "") -> TestResponse:
    return client.get(come_back(client, query))


def last_row(context: Context) -> tuple[str, str, str, str]:
    row = list(context.audit.lines())[-1]
    return row.action, row.outcome, row.user_name, row.detail


def test_who_is_vouched_for_gets_an_account_with_the_groups_role_and_projects(
    app: Flask, context: Context, provider: Provider
) -> None:
    client = app.test_client()
    assert "Sign in at Clinic" in client.get("/sign-in?next=/?state=read").text
    assert client.get("/healthz").status_code == 200
    assert provider.asked == []  # neither the start nor a page asks anything
    provider.person["groups"] = ["desk", "strangers", "readers"]
    answer = there_and_back(client, "?next=/?state=read")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?state=read")
    assert "Ada" in client.get("/").text
    ada = context.users.named("Ada")
    assert (ada.role, [p.name for p in ada.projects]) == (Role.RADIOLOGIST, ["Chest", "ward 7", "desk"])
    assert (ada.issuer, ada.can_sign_in) == (provider.issuer, False)
    rows = [(row.action, row.user_name, row.detail) for row in context.audit.lines()]
    assert rows[0] == ("user", "Clinic", "added Ada: radiologist; projects: Chest, ward 7, desk")
    assert rows[1] == ("sign-in", "Ada", "")
    assert client.get("/sign-in/provider").headers["Location"] == "/"  # is signed in already


def test_an_account_follows_the_provider_at_each_sign_in(app: Flask, context: Context, provider: Provider) -> None:
    there_and_back(app.test_client())
    ada = context.users.named("Ada")
    provider.person |= {"preferred_username": "Ada Weiss", "groups": "desk"}
    there_and_back(app.test_client())
    now = context.users.get(ada.id)
    assert (now.name, now.role, [p.name for p in now.projects]) == ("Ada Weiss", Role.TECHNICIAN, ["desk"])
    before = len(list(context.audit.lines()))
    there_and_back(app.test_client())
    assert len(list(context.audit.lines())) == before + 1  # the sign-in alone: nothing changed
    assert provider.asked.count("/keys") == 1


def test_a_local_account_of_the_same_name_is_not_taken_over(app: Flask, context: Context, provider: Provider) -> None:
    local = accounts.account(context, Role.ADMIN, name="ADA")
    there_and_back(app.test_client())
    provider.person["sub"] = "s-2"  # and another Ada
    there_and_back(app.test_client())
    names = ["Ada (127.0.0.1)", "Ada (127.0.0.1) 2"]
    assert [context.users.named(name).role for name in names] == [Role.RADIOLOGIST, Role.RADIOLOGIST]
    assert context.users.get(local.id) == local
    there_and_back(app.test_client())
    assert context.users.named(names[1]).issuer == provider.issuer  # keeps its name at the next sign-in


def test_a_name_is_stored_as_any_other(app: Flask, context: Context, provider: Provider) -> None:
    for n, name in enumerate(("\ufdfa" * 60, " \u202eAda\0  Weiss ", "", 7)):
        provider.person |= {"sub": f"s-{n}", "preferred_username": name}
        assert there_and_back(app.test_client()).status_code == 303
    names = [user.name for user in context.users.all(context.projects)][1:]
    assert names[1:] == ["Ada Weiss", "s-2", "s-3"]
    assert 0 < len(names[0]) <= 100


def test_signing_out_ends_our_session(app: Flask, context: Context, provider: Provider) -> None:
    client = app.test_client()
    there_and_back(client)
    cookie = client.get_cookie("diagnosis_tool")
    assert cookie is not None
    assert client.post("/sign-out", data={"csrf_token": accounts.csrf_token(client.get("/").text)}).status_code == 303
    client.set_cookie("diagnosis_tool", cookie.value)
    assert client.get("/").status_code == 401


def _by_hand(header: Claims, claims: Claims, key: bytes | None) -> str:
    """As an attacker makes one, without a library that knows better."""
    parts = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    message = ".".join(parts)
    signature = b"" if key is None else hmac.digest(key, message.encode(), "sha256")
    return f"{message}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def _unsigned(claims: Claims) -> str:
    return _by_hand({"alg": "none"}, claims, None)


def _by_the_secret(claims: Claims) -> str:
    return _by_hand({"alg": "HS256"}, claims, CLIENT[1].encode())


def _by_the_public_key(claims: Claims) -> str:
    return _by_hand({"alg": "HS256", "kid": "first"}, claims, rsa_key("first").as_pem(private=False))


def _by_another_key(claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, rsa_key("other"))


def _by_an_unknown_key(claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "other"}, claims, rsa_key("other"))


def _with(**changed: Any) -> Callable[[Claims], str]:
    return lambda claims: signed({name: value for name, value in {**claims, **changed}.items() if value is not None})


_PROVE_NOTHING: list[tuple[Callable[[Claims], str], str]] = [
    (_with(nonce="made up"), "nonce"),
    (_with(nonce=None), "nonce"),
    (_with(aud="somebody-else"), "aud"),
    (_with(aud=[CLIENT[0], "somebody-else"], azp="somebody-else"), "azp"),
    (_with(iss="https://elsewhere.example"), "iss"),
    (_with(exp=1_700_000_000), "exp"),
    (_with(exp=None), "exp"),
    (_with(sub=None), "sub"),
    (_with(sub=7), "sub"),
    (_with(sub="Ä"), "sub"),
    (_with(sub="x" * 256), "sub"),
    (_unsigned, "unsupported_algorithm"),
    (_by_the_secret, "unsupported_algorithm"),
    (_by_the_public_key, "unsupported_algorithm"),
    (_by_another_key, "bad_signature"),
    (_by_an_unknown_key, "invalid_key_id"),
    (lambda _: "no.token", "decode_error"),
]
"""Makers of id_tokens, and what is wrong with each."""


def test_a_token_that_proves_nothing_leads_nowhere(app: Flask, context: Context, provider: Provider) -> None:
    for token, why in _PROVE_NOTHING:
        provider.token = token
        client = app.test_client()
        answer = there_and_back(client)
        assert answer.status_code == 401, why
        assert "Signing in at Clinic did not work" in answer.text
        assert last_row(context)[:3] == ("sign-in", "denied", "")
        assert client.get("/").status_code == 401
    said = [row.detail for row in context.audit.lines()]
    assert said == list(dict.fromkeys(f"id_token: {why}" for _, why in _PROVE_NOTHING))  # each once for an address


def test_only_the_browser_that_began_comes_in_and_once(app: Flask, context: Context, provider: Provider) -> None:
    client, other = app.test_client(), app.test_client()
    back = come_back(client)
    assert other.get(back).status_code == 401  # a link that leads a victim into the attacker's account
    assert last_row(context)[3] == "no sign-in was begun here"
    before = len(list(context.audit.lines()))
    assert app.test_client().get("/sign-in/provider/callback").status_code == 401
    assert len(list(context.audit.lines())) == before  # who knocks all day fills no log
    come_back(other)
    assert other.get(back).status_code == 401
    assert last_row(context)[3] == "wrong state"
    kept = client.get_cookie("diagnosis_tool")
    assert client.get(back).status_code == 303
    assert app.test_client().get(back).status_code == 401
    again = app.test_client()
    assert kept is not None
    again.set_cookie("diagnosis_tool", kept.value)  # even who kept the cookie of then: a code counts once
    assert again.get(back).status_code == 401
    assert last_row(context)[3] == "code not taken"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"state": "made up"}, "wrong state"),
        ({"iss": "https://elsewhere.example"}, "answer of another issuer"),
        ({"code": "made up"}, "code not taken"),
    ],
)
def test_an_answer_that_was_changed_leads_nowhere(
    app: Flask, context: Context, provider: Provider, answer: dict[str, str], why: str
) -> None:
    provider.answer = lambda own: {**own, **answer}
    assert there_and_back(app.test_client()).status_code == 401
    assert last_row(context)[3] == why
    provider.answer = lambda own: {"state": own["state"], "error": "access_denied"}
    assert there_and_back(app.test_client()).status_code == 401
    assert last_row(context)[3] == "no code"


def test_who_is_in_no_group_that_counts_is_refused_and_loses_what_they_had(
    app: Flask, context: Context, provider: Provider
) -> None:
    client = app.test_client()
    there_and_back(client)
    ada = context.users.named("Ada")
    token = accounts.token_of(context, ada)
    provider.person["groups"] = ["strangers"]
    answer = there_and_back(app.test_client())
    assert answer.status_code == 403
    assert "none of your groups may use this server" in answer.text
    assert client.get("/").status_code == 401
    assert context.credentials.token(token) is None
    assert last_row(context) == ("sign-in", "denied", "Ada", "in no group that counts here")
    provider.person = {"sub": "new", "preferred_username": "Eve"}
    assert there_and_back(app.test_client()).status_code == 403
    assert last_row(context) == ("sign-in", "denied", "Eve", "in no group that counts here")
    assert [user.name for user in context.users.all(context.projects)] == ["local reader", "Ada"]


def test_an_account_that_was_disabled_here_stays_so(app: Flask, context: Context, provider: Provider) -> None:
    there_and_back(app.test_client())
    context.users.disable(context.users.named("Ada").id)
    assert there_and_back(app.test_client()).status_code == 403
    assert last_row(context) == ("sign-in", "denied", "Ada", "disabled")


def test_nobody_is_led_elsewhere(app: Flask, provider: Provider) -> None:
    for target in ("//evil.example", "https://evil.example/", "/\\evil.example", "/sign-in?next=/x"):
        client = app.test_client()
        assert client.get(come_back(client, f"?next={target}")).headers["Location"] == "/", target


def test_groups_may_come_with_the_userinfo_of_the_same_person_alone(
    app: Flask, context: Context, provider: Provider
) -> None:
    del provider.person["groups"]
    provider.userinfo = {"sub": "s-1", "groups": ["desk"], "preferred_username": "Mallory"}
    there_and_back(app.test_client())
    assert context.users.named("Ada").role is Role.TECHNICIAN  # what was signed goes before
    provider.userinfo["sub"] = "s-2"
    assert there_and_back(app.test_client()).status_code == 401
    assert last_row(context)[3] == "userinfo of somebody else"


def test_a_new_key_of_the_providers_is_fetched(app: Flask, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    there_and_back(app.test_client())
    provider.keys, provider.token = ["other"], _by_an_unknown_key
    assert there_and_back(app.test_client()).status_code == 401  # looked for a moment ago
    monkeypatch.setattr(oidc, "_JWKS_AGAIN_S", 0.0)
    assert there_and_back(app.test_client()).status_code == 303


def taken(listening: socket.socket) -> int:
    """How many connections were made."""
    listening.setblocking(False)
    for n in count():
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return n
    raise AssertionError


def test_a_provider_that_is_down_or_hangs_holds_nobody_else_up(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(oidc, "_PATIENCE_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = app_with(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        client = with_password(app, context)
        said: list[int] = []
        asking = [threading.Thread(target=lambda: said.append(app.test_client().get("/sign-in/provider").status_code))
                  for _ in range(6)]  # fmt: skip
        for thread in asking:
            thread.start()
        assert client.get("/healthz").status_code == 200
        for thread in asking:
            thread.join()
        assert said == [503] * 6
        assert 1 <= taken(silent) <= oidc.AT_ONCE  # the others were told at once
        answer = client.get("/sign-in/provider")
        assert (answer.status_code, "Clinic does not answer now" in answer.text) == (503, True)
        assert sign_in(client, "Ann", PASSWORD) == (303, "/")


def test_a_provider_that_says_odd_things_of_itself_is_not_used(
    app: Flask, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_REST_S", 0.0)
    plain = provider.get
    odd: list[Claims] = [
        {"issuer": "http://127.0.0.1:1"}, {"token_endpoint": "http://elsewhere.example/token"}, {"jwks_uri": None},
        {"keys": []}, {"keys": [{"kty": "RSA", "n": 1}]}, {"keys": ["x"]},
    ]  # fmt: skip
    for said in odd:
        with monkeypatch.context() as patch:
            patch.setattr(provider, "get", lambda *asked, said=said: (200, {**plain(*asked)[1], **said}))
            assert app.test_client().get("/sign-in/provider").status_code == 503, said
    assert app.test_client().get("/sign-in/provider").status_code == 303


def test_passwords_lead_in_as_far_as_the_setting_says(context: Context, tmp_path: Path, provider: Provider) -> None:
    def made(role: Role, name: str) -> User:
        user = accounts.account(context, role, name=name)
        service.use_link(context, service.make_link(context, user).secret, PASSWORD)
        return user

    made(Role.ADMIN, "Root")
    ann = made(Role.RADIOLOGIST, "Ann")
    for setting, root_in, ann_in in (("all", 303, 303), ("admin", 303, 403), ("none", 403, 403)):
        app = app_with(tmp_path, provider.issuer, LOCAL_SIGN_IN=setting)
        page = app.test_client().get("/sign-in").text
        assert ('type="password"' in page) == (root_in == 303)
        assert "Sign in at Clinic" in page
        assert sign_in(app.test_client(), "Root", PASSWORD)[0] == root_in
        assert sign_in(app.test_client(), "Ann", PASSWORD)[0] == ann_in
        once = f"/sign-in/once/{service.make_link(context, ann).secret}"
        assert app.test_client().get(once).status_code == (200 if ann_in == 303 else 403)


def test_without_a_provider_there_is_no_way_to_one(context: Context, tmp_path: Path) -> None:
    client = create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)})).test_client()
    for address in ("/sign-in/provider", "/sign-in/provider/callback"):
        assert client.get(address).status_code == 404
    assert "/sign-in/provider" not in client.get("/sign-in").text
