"""Nobody does what their role, or their token's scope, does not allow: every rule of the URL map is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from diagnosis_tool.app import create_app
from diagnosis_tool.domain.access import PERMISSIONS, SCOPES, Permission, Role
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from diagnosis_tool.web.endpoints import BEFORE_SETUP, ENDPOINTS, PUBLIC
from testing import accounts


def addresses(app: Flask) -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, address) of every rule, with made-up ids."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            yield rule.endpoint, method, adapter.build(rule.endpoint, _made_up(rule), method)


def _made_up(rule: Rule) -> dict[str, str]:
    known = {"version": "0" * 12, "filename": "js/worklist.js", "token_id": "7", "user_id": "1"}
    return {name: known.get(name, "none") for name in rule.arguments}


def test_without_a_session_every_rule_refuses(app: Flask) -> None:
    client = app.test_client()
    seen = 0
    for endpoint, method, address in addresses(app):
        answer = client.open(address, method=method)
        page = client.open(address, method=method, headers={"Accept": "text/html"})
        if ENDPOINTS[endpoint].needs is PUBLIC:
            assert answer.status_code != 401 or endpoint == "sign_in.submit", address
            continue
        seen += 1
        assert answer.status_code == 401, address
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert page.status_code == (401 if address.endswith(".json") else 303), address
        if page.status_code == 303:
            assert page.headers["Location"].startswith("/sign-in")
    assert seen > 40
    assert client.get("/nothing").status_code == 401  # not even that it is not there
    assert client.open("/studies", method="OPTIONS").status_code == 401


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_what_the_table_says_and_no_more(app: Flask, role: Role) -> None:
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, role)
    for endpoint, method, address in addresses(app):
        if ENDPOINTS[endpoint].needs is PUBLIC:
            continue
        answer = client.open(address, method=method, headers={"Accept": "application/json"})
        needed = ENDPOINTS[endpoint].needs
        if needed in PERMISSIONS[role] & SCOPES:
            assert answer.status_code not in {401, 403}, (endpoint, answer.text)
        else:
            assert answer.status_code == 403, endpoint
        answer.close()


def test_a_browsers_session_is_held_to_its_role_as_well(app: Flask) -> None:
    client = accounts.browser_of(app, Role.VIEWER)
    assert client.get("/").status_code == 200
    for address in ("/delete?study=x", "/export/reviews.csv"):
        answer = client.get(address)
        assert answer.status_code == 403
        assert "Your role does not allow this" in answer.text
    assert client.post("/studies").status_code == 403


def test_an_endpoint_that_the_table_does_not_know_is_refused(app: Flask) -> None:
    app.add_url_rule("/new", "new", lambda: "secret")
    answer = accounts.browser_of(app, Role.ADMIN).get("/new")
    assert answer.status_code == 403
    assert "secret" not in answer.text


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_token_opens_its_scope_alone(app: Flask, scope: Permission) -> None:
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, Role.ADMIN, {scope})
    for endpoint, method, address in addresses(app):
        needed = ENDPOINTS[endpoint].needs or scope
        answer = client.open(address, method=method, headers={"Accept": "application/json"})
        assert (answer.status_code == 403) == (needed != scope), endpoint
        if needed in SCOPES - {scope}:
            assert f"'{needed}'" in answer.json["error"]
        answer.close()


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "bearer dt_x"])
def test_a_wrong_token_is_nobodys_even_with_a_session(app: Flask, header: str) -> None:
    client = accounts.browser_of(app)
    assert client.get("/", headers={"Authorization": header}).status_code == 401


def test_a_token_ends(app: Flask, context: Context) -> None:
    client = app.test_client(use_cookies=False)
    user = accounts.carry_token(client)
    (token,) = context.credentials.tokens(user.id)
    assert client.get("/").status_code == 200
    context.users.change(user.id, role=Role.VIEWER)
    assert client.get("/export/reviews.csv").status_code == 403  # a token never allows more than its user's role
    context.credentials.revoke(token.id)
    assert client.get("/").status_code == 401
    accounts.carry_token(client)
    assert client.get("/").status_code == 200
    context.users.disable(user.id)
    assert client.get("/").status_code == 401


def test_a_server_that_waits_for_its_administrator_serves_its_link_alone(context: Context, tmp_path: Path) -> None:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path), "SETUP_LINK": "1"})
    app = create_app(settings)
    client = app.test_client()
    link = service.make_link(context, service.first_admin(context))
    for endpoint, method, address in addresses(app):
        if endpoint != "health.readyz":  # says so, too, because no worker is there
            status = client.open(address, method=method).status_code
            assert (status == 503) == (endpoint not in BEFORE_SETUP), endpoint
    address = f"/sign-in/once/{link.secret}"
    token = accounts.csrf_token(client.get(address).text)
    form = {"csrf_token": token, "password": "correct horse battery", "again": "correct horse battery"}
    assert client.post(address, data=form).status_code == 303
    assert client.get("/").status_code == 200
    assert app.test_client().get("/sign-in").status_code == 200
