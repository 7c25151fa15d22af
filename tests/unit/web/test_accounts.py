"""The accounts page: what an administrator does there, to whom, and what of it is recorded."""

import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from diagnosis_tool.domain.access import Role, User
from diagnosis_tool.domain.identity import Grant, Identity
from diagnosis_tool.errors import NotSignedIn, StorageFull
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services import second_factor
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.audit import AuditLog
from testing import accounts
from tests.unit.web.conftest import SignedInBrowser

PASSWORD = "correct horse battery"


@pytest.fixture
def ann(context: Context, browser: SignedInBrowser) -> User:
    """Somebody who belongs to the administrator's project and to no other, and may sign in."""
    user = accounts.account(context, name="Ann")
    return service.use_link(context, service.make_link(context, user).secret, PASSWORD)


@pytest.fixture
def shared(context: Context) -> User:
    """Somebody who belongs to another project, too."""
    return accounts.account(context, name="Shared", projects=("default", "other"))


def ids_of(context: Context, *names: str) -> list[int]:
    known = {p.name: p.id for user in context.users.all(context.projects) for p in user.projects}
    return [known[name] for name in names]


def secret_on(page: TestResponse) -> str:
    found = re.search(r'id="secret">(?:http://localhost/sign-in/once/)?([^<]+)<', page.text)
    assert found is not None, page.text
    return found[1]


def said_by(page: TestResponse) -> str:
    return page.text.split('role="alert">')[1].split("<")[0]


def rows(context: Context) -> list[tuple[str, str, str, str]]:
    return [(row.user_name, row.action, row.outcome, row.detail) for row in context.audit.lines()]


def test_a_new_account_from_the_page_to_its_first_sign_in(
    browser: SignedInBrowser, context: Context, app: Flask
) -> None:
    (default,) = ids_of(context, "default")
    assert 'href="/accounts"' in browser.get("/").text
    page = browser.post("/accounts", data={"name": " Dr.  B ", "role": "technician", "project": default})
    assert "no-store" in page.headers["Cache-Control"]
    made = service.use_link(context, secret_on(page), PASSWORD)
    assert (made.name, made.role, [p.id for p in made.projects]) == ("Dr. B", Role.TECHNICIAN, [default])
    assert secret_on(page) not in browser.get(f"/accounts/{made.id}").text
    added = "added Dr. B: technician; projects: default"
    assert rows(context)[1:] == [
        ("local reader", "user", "success", added),
        ("local reader", "user", "success", "link for Dr. B"),
    ]
    for form, words in (
        ({"name": "dr. b", "role": "viewer", "project": default}, "already"),
        ({"name": "", "role": "viewer", "project": default}, "Write a name"),
        ({"name": "C", "role": "king", "project": default}, "Choose a role"),
        ({"name": "C", "role": "viewer"}, "at least one project"),
    ):
        answer = browser.post("/accounts", data=form)
        assert answer.status_code in {409, 422}
        assert words in said_by(answer)
    assert browser.post("/accounts", data={"name": "C", "role": "viewer", "project": 99}).status_code == 404
    assert [user.name for user in context.users.all(context.projects)] == ["local reader", "Dr. B"]


def test_role_and_projects_change_from_the_next_request_on(
    browser: SignedInBrowser, context: Context, ann: User
) -> None:
    assert browser.post("/accounts/projects", data={"name": "ward 7"}).status_code == 303
    assert [p.name for p in context.users.get(browser.user.id).projects] == ["default", "ward 7"]
    assert "already" in said_by(browser.post("/accounts/projects", data={"name": "WARD 7"}))
    both = ids_of(context, "ward 7", "default")
    assert browser.post(f"/accounts/{ann.id}", data={"role": "technician", "project": both}).status_code == 303
    now = context.users.get(ann.id)
    assert (now.role, [p.name for p in now.projects]) == (Role.TECHNICIAN, ["default", "ward 7"])
    assert browser.post(f"/accounts/{ann.id}", data={"role": "viewer", "project": both[:1]}).status_code == 303
    assert [p.name for p in context.users.get(ann.id).projects] == ["ward 7"]
    assert browser.post(f"/accounts/{ann.id}", data={"role": "viewer"}).status_code == 422
    assert rows(context)[1:5] == [
        ("local reader", "project", "success", "added ward 7"),
        ("local reader", "project", "refused", "status 409"),
        ("local reader", "user", "success", "changed Ann: technician; projects: default, ward 7"),
        ("local reader", "user", "success", "changed Ann: viewer; projects: ward 7"),
    ]


def test_what_leads_in_ends_at_once(browser: SignedInBrowser, context: Context, app: Flask, ann: User) -> None:
    theirs = app.test_client()
    accounts.sign_in(theirs, name="Ann")
    link = secret_on(browser.post(f"/accounts/{ann.id}/link"))
    page = browser.get(f"/accounts/{ann.id}").text
    assert "Signed in since" in page
    assert "A link is open until" in page
    assert browser.post(f"/accounts/{ann.id}/sign-out").status_code == 303
    assert theirs.get("/").status_code == 401
    assert context.credentials.link(link) is None
    assert "Not signed in anywhere" in browser.get(f"/accounts/{ann.id}").text
    accounts.sign_in(theirs, name="Ann")
    assert browser.post(f"/accounts/{ann.id}/disable").status_code == 303
    assert theirs.get("/").status_code == 401
    with pytest.raises(NotSignedIn):
        service.check_password(context, "Ann", PASSWORD)
    assert "disabled" in said_by(browser.post(f"/accounts/{ann.id}/link"))
    assert browser.post(f"/accounts/{ann.id}/enable").status_code == 303
    assert service.check_password(context, "Ann", PASSWORD).id == ann.id
    details = [detail for _, action, _, detail in rows(context) if action == "user"]
    assert details == ["link for Ann", "ended sign-ins of Ann", "disabled Ann", "status 422", "enabled Ann"]


def test_tokens_of_others_are_made_and_revoked(browser: SignedInBrowser, context: Context, ann: User) -> None:
    form = {"name": "scanner", "scope": ["upload", "delete"], "days": "3"}
    assert "may not: delete" in said_by(browser.post(f"/accounts/{ann.id}/tokens", data=form))
    page = browser.post(f"/accounts/{ann.id}/tokens", data={**form, "scope": ["upload"]})
    found = context.credentials.token(secret_on(page))
    assert found is not None
    assert found[0].id == ann.id
    own = accounts.token_of(context, context.users.get(browser.user.id))
    mine = context.credentials.token(own)
    assert mine is not None
    assert browser.post(f"/accounts/{ann.id}/tokens/{mine[1].id}/revoke").status_code == 404  # not Ann's
    assert browser.post(f"/accounts/{ann.id}/tokens/{found[1].id}/revoke").status_code == 303
    assert context.credentials.token(secret_on(page)) is None
    details = [(outcome, detail) for _, action, outcome, detail in rows(context) if action == "token"]
    assert details == [
        ("refused", "status 422"),
        ("success", f"made {found[1].id} of Ann"),
        ("refused", "status 404"),
        ("success", f"revoked {found[1].id}"),
    ]


def test_a_lost_second_factor_is_switched_off(browser: SignedInBrowser, context: Context, ann: User) -> None:
    address = f"/accounts/{ann.id}/second-factor/off"
    assert browser.post(address).status_code == 404
    second_factor.propose(context, context.users.get(ann.id), "k")
    assert address in browser.get(f"/accounts/{ann.id}").text
    assert browser.post(address).status_code == 303
    assert context.second_factors.of(ann.id) is None
    assert rows(context)[-1] == ("local reader", "user", "success", "second factor off for Ann")


CHANGES = ["/disable", "/enable", "/link", "/sign-out", "/second-factor/off", "/tokens", "/tokens/1/revoke"]


def test_people_of_other_projects_are_not_there(browser: SignedInBrowser, context: Context) -> None:
    other = accounts.account(context, name="Zacharias", projects=("secret ward",))
    page = browser.get("/accounts").text
    assert "Zacharias" not in page
    assert "secret ward" not in page
    assert browser.get(f"/accounts/{other.id}").status_code == 404
    for path in ("", *CHANGES):
        assert browser.post(f"/accounts/{other.id}{path}", data={"role": "viewer"}).status_code == 404, path
    for number in (999, 10**20):
        assert browser.get(f"/accounts/{number}").status_code == 404
        assert browser.post(f"/account/tokens/{number}/revoke").status_code == 404
    assert context.users.get(other.id) == other
    (theirs,) = ids_of(context, "secret ward")
    assert browser.post("/accounts", data={"name": "C", "role": "viewer", "project": theirs}).status_code == 404
    assert "already" in said_by(browser.post("/accounts/projects", data={"name": "secret ward"}))


def test_who_shares_a_project_is_let_out_of_it_and_no_more(
    browser: SignedInBrowser, context: Context, shared: User
) -> None:
    page = browser.get(f"/accounts/{shared.id}").text
    assert "other</bdi>" not in page  # nor how the other project is called
    assert "default, 1 other" in page
    for path in CHANGES:
        assert browser.post(f"/accounts/{shared.id}{path}").status_code == 403, path
    (default,) = ids_of(context, "default")
    assert browser.post(f"/accounts/{shared.id}", data={"role": "admin", "project": default}).status_code == 403
    assert context.users.get(shared.id) == shared
    gone = browser.post(f"/accounts/{shared.id}", data={"role": "radiologist"})
    assert (gone.status_code, gone.headers["Location"]) == (303, "/accounts")
    assert [p.name for p in context.users.get(shared.id).projects] == ["other"]


def test_nobody_shuts_themselves_out(browser: SignedInBrowser, context: Context) -> None:
    own = browser.user.id
    assert "another administrator" in browser.get(f"/accounts/{own}").text
    for path in ("", *CHANGES):
        assert browser.post(f"/accounts/{own}{path}", data={"role": "viewer"}).status_code == 403, path
    assert context.users.get(own).role is Role.ADMIN


def test_of_two_administrators_who_disable_each_other_one_stays(
    app: Flask, context: Context, browser: SignedInBrowser
) -> None:
    """The request of the one who was disabled meanwhile had been let in before."""
    root = accounts.account(context, Role.ADMIN, name="Root")
    service.use_link(context, service.make_link(context, root).secret, PASSWORD)
    for path, form in (("/disable", {}), ("", {"role": "viewer", "project": ids_of(context, "default")})):
        answer = browser.post(f"/accounts/{root.id}{path}", data=form)  # who asks has no password
        assert answer.status_code == 409
        assert "Root is the last administrator" in said_by(answer)
    assert context.users.get(root.id).can_sign_in


def test_whose_role_comes_from_a_provider_is_not_changed_here(browser: SignedInBrowser, context: Context) -> None:
    identity = Identity(issuer="https://id.example", subject="1", name="Ida", groups=frozenset())
    ida = context.identities.admit(identity, Grant(role=Role.VIEWER, projects=("default",)))
    page = browser.get(f"/accounts/{ida.id}").text
    assert "They come from https://id.example" in page
    (default,) = ids_of(context, "default")
    assert browser.post(f"/accounts/{ida.id}", data={"role": "admin", "project": default}).status_code == 422
    assert "has no password here" in said_by(browser.post(f"/accounts/{ida.id}/link"))
    assert browser.post(f"/accounts/{ida.id}/disable").status_code == 303


def test_a_change_needs_the_pages_token_and_is_not_done_without_its_row(
    browser: SignedInBrowser, context: Context, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = context.users.all(context.projects)
    assert browser.client.post(f"/accounts/{ann.id}/disable").status_code == 400

    def full(*_: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(AuditLog, "append", full)
    for path, form in (
        ("", {"role": "viewer", "project": ids_of(context, "default")}),
        ("/disable", {}),
        ("/link", {}),
        ("/tokens", {"name": "x", "scope": "read", "days": "3"}),
    ):
        assert browser.post(f"/accounts/{ann.id}{path}", data=form).status_code == 507, path
    new = {"name": "New", "role": "viewer", "project": ids_of(context, "default")}
    for path in ("", "/projects"):
        assert browser.post(f"/accounts{path}", data=new).status_code == 507, path
    assert context.users.all(context.projects) == before
    assert context.credentials.link_until(ann.id) is None
    assert context.credentials.tokens(ann.id) == ()
