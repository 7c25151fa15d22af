"""Ways past the audit log that were found: each is a request, and what it read or changed has its row."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from diagnosis_tool.domain.access import Role
from diagnosis_tool.domain.audit import Action, Event
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import audit
from testing import accounts
from tests.conftest import phantom_png

Row = tuple[str, str, str | None]


@pytest.fixture
def study(upload: Callable[..., str], predict_all: Callable[[], None]) -> str:
    uid = upload(("a.png", phantom_png(1)))
    predict_all()
    return uid


@pytest.fixture
def image(study: str, context: Context) -> str:
    """Its image; known from elsewhere, so that nothing was asked for yet."""
    (uid,) = (i.uid for i in context.studies.study(study, context.projects).instances)
    return uid


@pytest.fixture
def spy(app: Flask, study: str) -> FlaskClient:
    """A script of somebody who may do everything in the project and has looked at nothing."""
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, Role.ADMIN, name="Spy")
    return client


def rows(context: Context, user: str = "Spy") -> list[Row]:
    return [(line.action, line.outcome, line.study_uid) for line in context.audit.lines() if line.user_name == user]


def callback(client: FlaskClient, search: str) -> dict[str, Any]:
    """What the viewer posts when its address changes to this query string."""
    known = client.get("/viewer/_dash-dependencies").json
    wanted = next(c for c in known if not c["clientside_function"])
    places = [place.rsplit(".", 1) for place in wanted["output"].strip(".").split("...")]
    return {
        "output": wanted["output"],
        "outputs": [{"id": i, "property": p} for i, p in places],
        "inputs": [{**i, "value": search if i["property"] == "search" else None} for i in wanted["inputs"]],
        "state": wanted["state"],
    }


@pytest.mark.parametrize(
    "search", ["instance={}", "?inst%61nce={}", "?instance={}&instance=0", "?finding=Mass&instance={}"]
)
def test_the_callback_is_recorded_however_the_image_is_named(
    spy: FlaskClient, context: Context, study: str, image: str, search: str
) -> None:
    shown = spy.post("/viewer/_dash-update-component", json=callback(spy, search.format(image)))
    assert "a.png" in shown.text
    assert rows(context) == [("view", "success", study)]


def test_the_callback_is_recorded_when_the_uid_itself_is_encoded(
    spy: FlaskClient, context: Context, study: str, image: str
) -> None:
    encoded = "".join(f"%{ord(letter):02x}" for letter in image)
    assert "a.png" in spy.post("/viewer/_dash-update-component", json=callback(spy, f"?instance={encoded}")).text
    assert rows(context) == [("view", "success", study)]


def test_a_deletion_is_recorded_behind_a_thousand_that_do_not_exist(
    spy: FlaskClient, context: Context, study: str
) -> None:
    invented = [f"{k:032x}" for k in range(1000)]
    assert spy.post("/delete", data={"study": [*invented, study]}).status_code == 303
    assert rows(context) == [("delete", "success", study), ("delete", "refused", None)]
    assert "1000 that do not exist" in list(context.audit.lines())[-1].detail


def test_nothing_is_called_deleted_that_another_project_keeps(app: Flask, context: Context, study: str) -> None:
    stranger = app.test_client(use_cookies=False)
    accounts.carry_token(stranger, Role.ADMIN, name="Stranger", projects=("beta",))
    invented = [f"{k:032x}" for k in range(1500)]
    for asked in ([study], [*invented, study]):
        before = len(rows(context, "Stranger"))
        assert stranger.post("/delete", data={"study": asked}).status_code == 303
        assert rows(context, "Stranger")[before:][0] == ("delete", "refused", study)
    assert context.studies.study(study, context.projects)


@pytest.mark.parametrize("address", ["/export/reviews.csv", "/export/labels.csv", "/export/reviews.csv?study="])
def test_an_export_of_all_reviews_names_each_study(
    spy: FlaskClient, client: FlaskClient, context: Context, upload: Callable[..., str],
    predict_all: Callable[[], None], study: str, image: str, address: str,
) -> None:  # fmt: skip
    other, bare = upload(("b.png", phantom_png(2))), upload(("c.png", phantom_png(3)))
    predict_all()
    for uid in (study, other):
        (instance,) = context.studies.study(uid, context.projects).instances
        assert client.post(f"/instances/{instance.uid}/review", json={"revision": 0}).status_code == 200
        assert client.post(f"/instances/{instance.uid}/review/sign", json={"revision": 1}).status_code == 200
    assert spy.get(address).status_code == 200
    exported = [] if address.endswith("=") else [("export", "success", study), ("export", "success", other)]
    assert rows(context) == (exported or [("export", "refused", None)])
    assert bare not in {uid for _, _, uid in rows(context)}


def test_thousands_of_rows_are_one_statement(context: Context) -> None:
    statements: list[str] = []
    engine = context.audit._engine
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    context.audit.record([Event(action=Action.EXPORT, study_uid=f"{k:032x}") for k in range(3000)])
    assert sum("INSERT INTO audit" in statement for statement in statements) == 1
    assert context.audit.verify().problems == ()
    assert context.audit.verify().rows == 3000


@pytest.mark.parametrize(
    "address",
    ["/instances/{image}/priors.json", "/studies/{study}/status.json", "/instances/{image}/thumbnail.jpg",
     "/delete?study={study}", "/worklist/changes.json?row={study}:0", "/studies/{study}.csv", "/?q=a",
     "/viewer/figures/{image}.json", "/studies/{study}/cards/{image}", "/instances/{image}/report.pdf",
     "/instances/{image}/heatmaps/Mass.png?blend=1"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_shows_a_study_has_a_row_with_it(
    spy: FlaskClient, context: Context, study: str, image: str, address: str, method: str
) -> None:
    assert spy.open(address.format(study=study, image=image), method=method).status_code == 200
    assert [(outcome, uid) for _, outcome, uid in rows(context)] == [("success", study)]


def test_what_a_browser_has_already_or_takes_in_parts_is_recorded_too(
    spy: FlaskClient, client: FlaskClient, context: Context, study: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LOOKING_S", -1.0)
    parts = ("thumbnail.jpg", "pixels", "radiograph.png", "heatmaps/Mass.png", "original")
    tags = {part: client.get(f"/instances/{image}/{part}", buffered=True).headers["ETag"] for part in parts}
    for part, tag in tags.items():
        before = len(rows(context))
        with spy.get(f"/instances/{image}/{part}", headers={"If-None-Match": tag}) as answer:
            assert answer.status_code == 304, part
        assert [row[1:] for row in rows(context)[before:]] == [("success", study)], part
    for wanted in ("bytes=0-0", "bytes=-5", "bytes=99999999-", "bytes=5-1", "none"):
        before = len(rows(context))
        spy.get(f"/instances/{image}/original", headers={"Range": wanted}).close()
        assert [(action, uid) for action, _, uid in rows(context)[before:]] == [("export", study)], wanted


def test_the_worklists_row_is_enough_for_its_thumbnails_and_for_nothing_else(
    spy: FlaskClient, context: Context, study: str, image: str
) -> None:
    for address in ("/", f"/instances/{image}/thumbnail.jpg", "/", f"/worklist/changes.json?row={study}:0"):
        assert spy.get(address).status_code == 200
    assert rows(context) == [("list", "success", study)]
    assert spy.get(f"/studies/{study}").status_code == 200
    assert rows(context) == [("list", "success", study), ("view", "success", study)]


def test_a_look_from_elsewhere_or_by_a_token_is_another_look(
    app: Flask, context: Context, study: str, image: str
) -> None:
    script, page = app.test_client(use_cookies=False), app.test_client()
    accounts.carry_token(script, Role.VIEWER, name="Spy")
    accounts.sign_in(page, Role.VIEWER, name="Spy")
    for client, address in ((page, "127.0.0.1"), (script, "127.0.0.1"), (script, "10.0.0.66"), (script, "10.0.0.66")):
        at = {"REMOTE_ADDR": address}
        assert client.get(f"/studies/{study}", environ_overrides=at).status_code == 200
    looks = [line.address for line in context.audit.lines() if line.user_name == "Spy"]
    assert looks == ["127.0.0.1", "127.0.0.1", "10.0.0.66"]


def test_a_worklist_asks_on_for_what_was_deleted_and_fills_no_log(spy: FlaskClient, context: Context) -> None:
    for k in range(5):
        spy.get(f"/worklist/changes.json?row={k:032x}:1&row={k + 9:032x}:1")
    assert rows(context) == [("list", "success", None)]


def test_who_may_not_delete_is_recorded_with_what_they_wanted_to(app: Flask, context: Context, study: str) -> None:
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, Role.VIEWER, name="Spy")
    assert client.post("/delete", data={"study": study}).status_code == 403
    page = app.test_client()
    accounts.sign_in(page, Role.ADMIN, name="Spy")
    assert page.post("/delete", data={"study": study}).status_code == 400  # without the page's token
    assert rows(context) == [("delete", "denied", study), ("delete", "refused", study)]


def test_a_json_body_names_nothing(spy: FlaskClient, context: Context, study: str) -> None:
    answer = spy.post("/delete", json={"study": [study], "study[]": study})
    assert answer.status_code == 303
    assert context.studies.study(study, context.projects)
    assert spy.post("/delete", data={"study[]": study, "study[0]": study}).status_code == 303
    assert rows(context) == [("delete", "success", None)] * 2


def test_as_many_as_a_form_holds_are_deleted_and_recorded(
    spy: FlaskClient, context: Context, study: str, upload: Callable[..., str]
) -> None:
    others = [upload((f"{k}.txt", b"x")) for k in range(3)]
    asked = [study, *(f"{k:x}" for k in range(40_000)), *others, study]
    assert spy.post("/delete", data={"study": asked}).status_code == 303
    assert rows(context)[:-1] == [("delete", "success", uid) for uid in (study, *others)]
    answer = spy.post("/studies", data={"files": (BytesIO(b"x"), "a.png")})
    assert answer.status_code == 303
