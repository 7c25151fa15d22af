"""Who belongs to another project finds nothing: not by an address, not in a list, not beside their own studies."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import ALL_PROJECTS, Role
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import audit
from diagnosis_tool.web.endpoints import ENDPOINTS
from testing import accounts
from tests.dicom_files import dicom
from tests.unit.web.test_reviews import first
from tests.unit.web.test_worklist import listed

Upload = Callable[..., str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wards:
    """Two projects with a study each, of the same patient. theirs: the script of the second one's administrator."""

    ours: FlaskClient
    theirs: FlaskClient
    study: str
    image: str
    their_study: str


@pytest.fixture
def wards(app: Flask, client: FlaskClient, upload: Upload, predict_all: Callable[[], None]) -> Wards:
    study = upload(("ward.dcm", dicom(PatientID="P1", PatientName="Doe^Jo", AcquisitionDate="20200105")))
    theirs = app.test_client(use_cookies=False)
    accounts.carry_token(theirs, Role.ADMIN, name="Other", projects=("other",))
    film = dicom(PatientID="P1", PatientName="Doe^Jo", AcquisitionDate="20230301")
    answer = theirs.post("/studies", data={"files": (BytesIO(film), "other.dcm")})
    predict_all()
    image = first(client, study).rsplit("/", 1)[-1]
    assert client.post(f"/instances/{image}/review", json={"revision": 0}).status_code == 200
    their_study = answer.headers["Location"].rsplit("/", 1)[-1]
    return Wards(ours=client, theirs=theirs, study=study, image=image, their_study=their_study)


_NO_STUDY = {"models.show", "models.card", "languages.choose", "languages.texts", "static", "sign_in.show_once",
             "_viewer_dash_assets.static", "sign_in.submit_once", "account.revoke_token", "/viewer/<path:path>",
             "/viewer/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>",
             *(name for name in ENDPOINTS if name.startswith("accounts."))}  # fmt: skip
"""Take an argument that names no study and no image."""


def addresses(app: Flask, wards: Wards) -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, address) of each route that takes an id, on our study and its image."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if not rule.arguments or rule.endpoint in _NO_STUDY:
            continue
        uid = wards.study if rule.rule.startswith("/studies/") else wards.image
        values = {"uid": uid, "instance_uid": wards.image, "finding": "Mass"}
        assert rule.arguments <= set(values), f"{rule.rule}: say here whose ids it takes"
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            yield rule.endpoint, method, adapter.build(rule.endpoint, {n: values[n] for n in rule.arguments}, method)


def test_no_route_with_an_id_tells_another_project_anything(app: Flask, wards: Wards) -> None:
    seen = set()
    for endpoint, method, address in addresses(app, wards):
        body = {"revision": 1} if method == "POST" else None
        with wards.theirs.open(address, method=method, json=body) as answer:
            assert answer.status_code == 404, endpoint
            assert wards.study not in answer.text
            assert "Doe" not in answer.text
        seen.add(endpoint)
    for endpoint, method, address in addresses(app, wards):
        body = {"revision": 1} if method == "POST" else None
        with wards.ours.open(address, method=method, json=body) as answer:
            assert answer.status_code in {200, 204, 303, 409}, endpoint  # the same address leads its own project there
    assert len(seen) >= 16


def test_who_reaches_for_another_projects_study_is_recorded_with_it(
    app: Flask, wards: Wards, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LOOKING_S", -1.0)
    asked = [
        (method, address)
        for endpoint, method, address in addresses(app, wards)
        if isinstance(ENDPOINTS[endpoint].records, Action)
    ]
    by_query = [f"/viewer/?instance={wards.image}", f"/export/readings.csv?study={wards.study}",
                f"/export/reviews.csv?study={wards.study}"]  # fmt: skip
    for method, address in [*asked, *(("GET", address) for address in by_query)]:
        before = len(list(context.audit.lines()))
        wards.theirs.open(address, method=method, json={"revision": 1} if method == "POST" else None).close()
        rows = [(line.user_name, line.outcome, line.study_uid) for line in list(context.audit.lines())[before:]]
        assert rows == [("Other", "refused", wards.study)], address


def test_one_of_another_project_among_ones_own_is_recorded_too(wards: Wards, context: Context) -> None:
    both = f"study={wards.study}&study={wards.their_study}"
    assert wards.theirs.get(f"/export/readings.csv?{both}").status_code == 404
    assert wards.theirs.get(f"/export/reviews.csv?{both}").status_code == 200
    assert wards.theirs.post("/delete", data={"study": [wards.study, wards.their_study]}).status_code == 303
    rows = [(line.action, line.outcome, line.study_uid) for line in context.audit.lines() if line.user_name == "Other"]
    assert rows[1:] == [  # after the upload
        ("export", "refused", wards.study),
        ("export", "success", wards.their_study),
        ("export", "refused", wards.study),
        ("delete", "success", wards.their_study),
        ("delete", "refused", wards.study),
    ]


def test_the_worklist_shows_each_project_its_own(wards: Wards) -> None:
    for query in ("", "sort=urgent", "sort=oldest", "state=reviewed", "q=doe", "q=P1", "q=ward", "reader=1",
                  "finding=Pneumothorax", "finding=Pneumothorax&sort=urgent", "from=2020-01-01"):  # fmt: skip
        assert wards.study in listed(wards.ours.get(f"/?{query}").text), query
        page = wards.theirs.get(f"/?{query}").text
        assert wards.study not in page, query
        assert wards.image not in page, query
    assert listed(wards.theirs.get("/").text) == [wards.their_study]
    assert "local reader" not in wards.theirs.get("/").text
    shown = {"row": [f"{wards.study}:1", f"{wards.their_study}:0"]}
    changes = wards.theirs.get("/worklist/changes.json", query_string=shown).json
    assert (list(changes["rows"]), changes["gone"]) == ([wards.their_study], [wards.study])
    assert changes["newest"] == wards.their_study


def test_exports_hold_no_other_projects_studies(wards: Wards) -> None:
    for name in ("readings.csv", "readings.json"):
        assert wards.theirs.get(f"/export/{name}?study={wards.study}").status_code == 404
    for name in ("reviews.csv", "labels.csv"):
        for query in ("", f"?study={wards.study}"):
            assert wards.theirs.get(f"/export/{name}{query}").text.count("\n") == 1, name  # the head alone
    assert wards.ours.get("/export/reviews.csv").text.count("\n") > 10


def test_deleting_leaves_other_projects_alone(wards: Wards) -> None:
    assert "Doe" not in wards.theirs.get(f"/delete?study={wards.study}").text
    assert wards.theirs.post("/delete", data={"study": wards.study}).status_code == 303
    assert wards.ours.get(f"/studies/{wards.study}").status_code == 200


def test_the_viewer_finds_no_other_projects_image(wards: Wards) -> None:
    known = wards.ours.get("/viewer/_dash-dependencies").json
    wanted = next(c for c in known if not c["clientside_function"])
    places = [place.rsplit(".", 1) for place in wanted["output"].strip(".").split("...")]
    inputs = [
        {**i, "value": f"?instance={wards.image}" if i["property"] == "search" else None} for i in wanted["inputs"]
    ]
    body = {"output": wanted["output"], "outputs": [{"id": i, "property": p} for i, p in places], "inputs": inputs,
            "state": wanted["state"]}  # fmt: skip
    shown = json.dumps(wards.ours.post("/viewer/_dash-update-component", json=body).json)
    assert "ward.dcm" in shown
    assert wards.their_study not in shown  # of the same patient, in another project
    hidden = json.dumps(wards.theirs.post("/viewer/_dash-update-component", json=body).json)
    assert "There is no such image" in hidden
    assert "ward.dcm" not in hidden
    address = f"/viewer/?instance={wards.image}"
    layout = wards.theirs.get("/viewer/_dash-layout", headers={"Referer": f"http://localhost{address}"}).text
    assert "There is no such image" in layout
    assert "ward.dcm" not in layout
    page = wards.theirs.get(address).text
    assert "ward.dcm" not in page
    assert wards.study not in page


def test_priors_and_neighbours_are_the_own_projects(wards: Wards, context: Context) -> None:
    other = context.users.named("Other")
    mine = context.users.named(accounts.LOCAL_READER)
    studies = context.studies
    assert len(studies.of_patient(wards.image, ALL_PROJECTS)) == 2
    assert [i.study_uid for i in studies.of_patient(wards.image, mine.sees)] == [wards.study]
    assert studies.neighbours(wards.their_study, other.sees) == (None, None)
    assert studies.neighbours(wards.their_study, ALL_PROJECTS)[0] == wards.image
    both = context.users.change(mine.id, projects=("default", "other"))
    assert len(studies.of_patient(wards.image, both.sees)) == 2


def test_who_belongs_to_two_projects_sees_both_in_one_order(
    wards: Wards, app: Flask, upload: Upload, predict_all: Callable[[], None]
) -> None:
    late = upload(("late.txt", b"text"))
    predict_all()
    both = app.test_client(use_cookies=False)
    accounts.carry_token(both, name="Both", projects=("other", "default"))
    assert listed(both.get("/").text) == [late, wards.their_study, wards.study]
    assert listed(both.get("/?sort=oldest").text) == [wards.study, wards.their_study, late]
    assert set(listed(both.get("/?sort=urgent").text)[:2]) == {wards.study, wards.their_study}
    assert listed(both.get("/?finding=Pneumothorax").text) == [wards.their_study, wards.study]
    nobodys = app.test_client(use_cookies=False)
    accounts.carry_token(nobodys, name="Nobody", projects=())
    assert listed(nobodys.get("/").text) == []
