"""What a request leaves in the audit log, and that no endpoint was forgotten."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import ALL_PROJECTS, Permission, Role
from diagnosis_tool.domain.audit import Action, Line
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services import accounts as service
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.web import audit
from diagnosis_tool.web.endpoints import ENDPOINTS
from testing import accounts
from testing.stores import DATABASE
from tests import predicting
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.fakes.classifier import FakeClassifier
from tests.unit.web.conftest import SignedInBrowser


def test_every_endpoint_is_recorded_or_says_why_not(app: Flask) -> None:
    assert set(ENDPOINTS) == {rule.endpoint for rule in app.url_map.iter_rules()}
    assert all(endpoint.records.strip() for endpoint in ENDPOINTS.values())


def test_what_may_change_something_is_recorded_or_says_why_not(app: Flask) -> None:
    may = {rule.endpoint for rule in app.url_map.iter_rules() if rule.methods and "POST" in rule.methods}
    assert {name for name in may if not isinstance(ENDPOINTS[name].records, Action)} == {"images.raise_priority"}


def rows(context: Context) -> list[tuple[str, str, str | None]]:
    return [(line.action, line.outcome, line.study_uid) for line in context.audit.lines()]


@pytest.fixture
def study(upload: Callable[..., str], predict_all: Callable[[], None]) -> str:
    uid = upload(("a.png", phantom_png(1)), ("b.txt", b"no film"))
    predict_all()
    return uid


def images(client: FlaskClient, study: str) -> list[str]:
    return [image["uid"] for image in client.get(f"/studies/{study}/status.json").json["instances"]]


def test_upload_and_readings_are_recorded(study: str, context: Context) -> None:
    assert rows(context) == [
        ("upload", "success", study),
        ("predict", "success", study),
        ("predict", "refused", study),
    ]
    upload, read, refused = context.audit.lines()
    assert (upload.user_id, upload.user_name, upload.address) == (1, "local reader", "127.0.0.1")
    assert (read.user_id, read.user_name) == (None, "w")
    assert read.detail == "fake-1 ffffffffffff fake f32"
    assert refused.detail == "unreadable"
    assert upload.request_id


def test_looking_is_recorded_once_in_a_while_whatever_is_fetched(
    study: str, client: FlaskClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, _ = images(client, study)
    for _again in range(2):
        for address in (
            f"/studies/{study}", f"/studies/{study}.json", f"/instances/{read}/radiograph.png",
            f"/instances/{read}/pixels", f"/instances/{read}/heatmaps/Mass.png", f"/instances/{read}/review.json",
            f"/viewer/figures/{read}.json", f"/instances/{read}/thumbnail.jpg", "/", "/?q=x",
        ):  # fmt: skip
            assert client.get(address).status_code == 200
    looks = [("view", "success", study), ("list", "success", study), ("list", "success", None)]  # nothing is called x
    assert rows(context)[3:] == looks
    monkeypatch.setattr(audit, "LOOKING_S", -1.0)
    client.get(f"/studies/{study}")
    assert rows(context)[6:] == [("view", "success", study)]


@pytest.mark.parametrize("part", ["radiograph.png", "pixels", "heatmaps/Mass.png", "review.json", "priors.json"])
def test_no_way_past_the_study_page_is_unseen(study: str, client: FlaskClient, context: Context, part: str) -> None:
    read, _ = images(client, study)
    client.get(f"/instances/{read}/{part}")
    assert rows(context)[3:] == [("view", "success", study)]


def test_the_viewers_callback_is_recorded(study: str, client: FlaskClient, context: Context) -> None:
    known = client.get("/viewer/_dash-dependencies").json
    wanted = next(c for c in known if not c["clientside_function"])
    places = [place.rsplit(".", 1) for place in wanted["output"].strip(".").split("...")]
    search = f"?instance={images(client, study)[0]}"
    body = {
        "output": wanted["output"],
        "outputs": [{"id": i, "property": p} for i, p in places],
        "inputs": [{**i, "value": search if i["property"] == "search" else None} for i in wanted["inputs"]],
        "state": wanted["state"],
    }
    assert client.post("/viewer/_dash-update-component", json=body).status_code == 200
    assert rows(context)[3:] == [("view", "success", study)]


def test_the_viewers_page_is_recorded_for_it_comes_with_its_image(
    study: str, client: FlaskClient, context: Context
) -> None:
    assert client.get("/viewer/").status_code == 200
    assert rows(context)[3:] == []
    assert client.get(f"/viewer/?instance={images(client, study)[0]}").status_code == 200
    assert rows(context)[3:] == [("view", "success", study)]


def test_the_viewers_layout_is_recorded_with_the_image_it_comes_with(
    study: str, client: FlaskClient, context: Context
) -> None:
    assert client.get("/viewer/_dash-layout").status_code == 200
    assert rows(context)[3:] == []
    page = f"http://localhost/viewer/?instance={images(client, study)[0]}"
    assert client.get("/viewer/_dash-layout", headers={"Referer": page}).status_code == 200
    assert rows(context)[3:] == [("view", "success", study)]


def test_a_row_is_about_what_was_read_whatever_the_address_asks_for(
    study: str, client: FlaskClient, context: Context, upload: Callable[..., str]
) -> None:
    other = upload(("c.png", phantom_png(3)))
    read, _ = images(client, study)
    before = len(rows(context))
    assert client.get(f"/studies/{other}/cards/{read}").status_code == 404  # the image is another study's
    assert client.get(f"/studies/{'0' * 32}").status_code == 404
    client.get(f"/viewer/?instance={'0' * 32}")
    client.post("/delete", data={"study": ["0" * 32]})
    assert rows(context)[before:] == [
        ("view", "refused", study),
        ("view", "refused", None),
        ("delete", "refused", None),
    ]


def test_every_prior_that_was_sent_is_recorded(
    client: FlaskClient, context: Context, upload: Callable[..., str], predict_all: Callable[[], None]
) -> None:
    first, second = (
        upload((f"{day}.dcm", dicom(PatientID="P1", AcquisitionDate=day))) for day in ("20200105", "20210105")
    )
    predict_all()
    before = len(rows(context))
    client.get(f"/instances/{images(client, first)[0]}/priors.json")
    assert sorted(rows(context)[before:]) == sorted([("view", "success", first), ("view", "success", second)])


def test_a_role_that_may_not_is_recorded_with_the_study_it_named(app: Flask, study: str, context: Context) -> None:
    viewer = app.test_client(use_cookies=False)
    accounts.carry_token(viewer, Role.VIEWER, name="Vera")
    (image, _) = images(viewer, study)
    before = len(rows(context))
    for answer in (viewer.post(f"/instances/{image}/retry"), viewer.get(f"/export/readings.csv?study={study}")):
        assert answer.status_code == 403
    assert rows(context)[before:] == [("retry", "denied", study), ("export", "denied", study)]


def test_what_leaves_and_what_changes_is_recorded_each_time(study: str, client: FlaskClient, context: Context) -> None:
    read, refused = images(client, study)
    before = len(rows(context))
    for _again in range(2):
        client.get(f"/instances/{read}/original").close()
        client.get(f"/instances/{read}/report.pdf")
        client.get(f"/studies/{study}.csv")
        client.get(f"/export/readings.csv?study={study}")
        client.get("/export/reviews.csv")
    exports = [("export", "success", study)] * 4 + [("export", "success", None)]
    assert rows(context)[before:] == exports * 2
    before = len(rows(context))
    review = {"revision": 0, "verdicts": {"Mass": "agree"}}
    assert client.post(f"/instances/{read}/review", json=review).status_code == 200
    assert client.post(f"/instances/{read}/review", json=review).status_code == 409
    assert client.post(f"/instances/{read}/review/sign", json={"revision": 1}).status_code == 200
    assert client.post(f"/instances/{refused}/retry").status_code == 409
    assert client.post("/delete", data={"study": [study]}).status_code == 303
    assert rows(context)[before:] == [
        ("review", "success", study),
        ("review", "refused", study),
        ("sign", "success", study),
        ("retry", "refused", study),
        ("delete", "success", study),
    ]
    assert list(context.audit.lines())[-3].instance_uid == read
    assert context.audit.verify().problems == ()


def test_a_refused_upload_and_another_sites_are_recorded(client: FlaskClient, context: Context) -> None:
    assert client.post("/studies", data={}).status_code == 422
    film = {"files": (BytesIO(phantom_png()), "a.png")}
    assert client.post("/studies", data=film, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert rows(context) == [("upload", "refused", None), ("upload", "denied", None)]
    assert [line.detail for line in context.audit.lines()] == ["status 422", "status 403"]


def test_what_is_no_uid_never_gets_into_the_log(client: FlaskClient, context: Context) -> None:
    client.get("/studies/Doe^John")
    client.get("/instances/Doe^John/pixels")
    client.get("/export/readings.csv?study=Doe^John")
    client.get("/viewer/?instance=Doe^John")
    client.post("/viewer/_dash-update-component", json={"inputs": [{"value": "?instance=Doe^John"}]})
    assert rows(context) == [("view", "refused", None), ("export", "refused", None)]
    assert not any("Doe" in repr(line) for line in context.audit.lines())


def test_a_full_disk_keeps_no_film_from_its_reader_and_the_log_has_the_row(
    study: str, client: FlaskClient, context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis_tool.storage.audit.AuditLog.record", no_room)
    with caplog.at_level(logging.ERROR):
        assert client.get(f"/studies/{study}").status_code == 200
    assert "not in the audit log" in caplog.text
    assert study in caplog.text


def test_a_change_and_its_row_are_stored_together_or_not_at_all(
    study: str, browser: SignedInBrowser, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = {"present": "correct horse battery", "password": "battery horse correct"}
    service.use_link(context, service.make_link(context, browser.user).secret, password["present"])
    browser.sign_in(Role.ADMIN, accounts.LOCAL_READER)
    token = service.make_token(context, browser.user, "t", {Permission.READ}, timedelta(days=2)).token.id
    failed = context.studies.study(
        browser.post("/studies", data=film()).headers["Location"].split("/")[-1], ALL_PROJECTS
    )
    predicting.predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    read, _ = images(browser.client, study)
    assert browser.post(f"/instances/{read}/review", json={"revision": 0}).status_code == 200
    changes: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("/studies", lambda: {"data": film()}),
        (f"/instances/{read}/review", lambda: {"json": {"revision": 1}}),
        (f"/instances/{read}/review/sign", lambda: {"json": {"revision": 2}}),
        (f"/instances/{failed.instances[0].uid}/retry", dict),
        ("/delete", lambda: {"data": {"study": study}}),
        (f"/account/tokens/{token}/revoke", dict),
        ("/account/tokens", lambda: {"data": {"name": "n", "scope": "read", "days": "3"}}),
        ("/account/password", lambda: {"data": {**password, "again": password["password"]}}),
    ]
    before = stored(tmp_path)
    assert len(before["instances"]) == 3
    for address, sent in changes:
        with monkeypatch.context() as patch:
            patch.setattr("diagnosis_tool.storage.audit.AuditLog.append", no_room)
            assert browser.post(address, **sent()).status_code == 507, address
        assert stored(tmp_path) == before, address
        rows_before = len(rows(context))
        assert browser.post(address, **sent()).status_code < 400, address
        assert len(rows(context)) == rows_before + 1, address
        before = stored(tmp_path)


def test_what_breaks_while_recording_breaks_no_response(
    study: str, browser: SignedInBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no file can be opened")

    for name in ("studies.StudyStore.named", "audit.AuditLog.note_head", "audit.AuditLog.record"):
        monkeypatch.setattr(f"diagnosis_tool.storage.{name}", broken)
    assert browser.client.get(f"/studies/{'0' * 32}").status_code == 404
    assert browser.post("/delete", data={"study": study}).status_code == 303


def test_who_comes_second_deleted_nothing(
    study: str, client: FlaskClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = StudyStore.delete

    def overtaken(*arguments: Any, **options: Any) -> int:
        delete(context.studies, [study], ALL_PROJECTS)
        return delete(*arguments, **options)

    monkeypatch.setattr(StudyStore, "delete", overtaken)
    before = len(rows(context))
    assert client.post("/delete", data={"study": study}).status_code == 303
    assert rows(context)[before:] == [("delete", "success", None)]


def film() -> dict[str, Any]:
    return {"files": (BytesIO(phantom_png(9)), "a.png")}


def no_room(*_: object) -> None:
    raise StorageFull("full")


def stored(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables but the audit log's; the sign-in's last use is none of a change's."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {n: db.execute(f"SELECT * FROM {n}").fetchall() for n in names if n not in {"audit", "sign_ins"}}


def test_each_row_has_its_requests_id(client: FlaskClient, context: Context) -> None:
    answer = client.get("/", headers={"X-Request-ID": "0123456789abcdef"})
    row: Line = next(context.audit.lines())
    assert row.request_id == answer.headers["X-Request-ID"] != "0123456789abcdef"  # no proxy is trusted
