"""The review API, as the viewer uses it."""

from collections.abc import Callable
from datetime import date, datetime
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import Role
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.unit.web.conftest import SignedInBrowser
from training.phantom import chest_phantom

Upload = Callable[..., str]
ReadAll = Callable[[], None]

OPINION: dict[str, Any] = {
    "verdicts": {"Mass": "disagree", "Pneumothorax": "agree", "No Finding": "unsure"},
    "added": ["Fracture"],
    "note": "rib 5 – Röntgen 胸部\nsecond line",
    "boxes": [{"finding": "Fracture", "x": 10.5, "y": 0, "width": 20.0, "height": 30.0}],
}


@pytest.fixture
def instance(browser: SignedInBrowser, upload: Upload, predict_all: ReadAll) -> str:
    uid = upload(("a.png", phantom_png()))
    predict_all()
    return first(browser, uid)


def first(client: FlaskClient | SignedInBrowser, study: str) -> str:
    """The address of the study's first image."""
    return f"/instances/{client.get(f'/studies/{study}/status.json').json['instances'][0]['uid']}"


def test_nothing_said_yet(browser: SignedInBrowser, instance: str) -> None:
    assert browser.get(f"{instance}/review.json").json == {
        "revision": 0,
        "bundle": "fake-1",
        "verdicts": {},
        "added": [],
        "note": "",
        "boxes": [],
        "state": "none",
        "signed_by": None,
        "signed_at": None,
        "history": [],
    }


def test_draft_sign_amend_and_nothing_is_overwritten(browser: SignedInBrowser, instance: str) -> None:
    draft = browser.post(f"{instance}/review", json={"revision": 0, **OPINION}).json
    assert {name: draft[name] for name in OPINION} == OPINION
    assert (draft["revision"], draft["state"], draft["signed_by"]) == (1, "draft", None)
    signed = browser.post(f"{instance}/review/sign", json={"revision": 1}).json
    assert {name: signed[name] for name in OPINION} == OPINION
    assert (signed["revision"], signed["state"], signed["signed_by"]) == (2, "signed", "local reader")
    assert signed["signed_at"] is not None
    browser.sign_in(Role.RADIOLOGIST, "Dr. Second")
    amended = browser.post(f"{instance}/review", json={"revision": 2, "note": "other"}).json
    assert (amended["state"], amended["signed_by"], amended["note"]) == ("amended", "local reader", "other")
    again = browser.post(f"{instance}/review/sign", json={"revision": 3}).json
    assert (again["state"], again["signed_by"]) == ("signed", "Dr. Second")
    assert [(step["revision"], step["by"], step["state"]) for step in again["history"]] == [
        (1, "local reader", "draft"),
        (2, "local reader", "signed"),
        (3, "Dr. Second", "amended"),
        (4, "Dr. Second", "signed"),
    ]
    assert browser.get(f"{instance}/review.json").json == again


@pytest.mark.parametrize("act", ["review", "review/sign"])
def test_the_second_reader_sees_what_the_first_wrote(browser: SignedInBrowser, instance: str, act: str) -> None:
    browser.post(f"{instance}/review", json={"revision": 0, **OPINION})
    answer = browser.post(f"{instance}/{act}", json={"revision": 0, "note": "mine"})
    assert answer.status_code == 409
    assert "local reader changed this review" in answer.json["error"]
    assert answer.json["current"]["note"] == OPINION["note"]
    assert browser.get(f"{instance}/review.json").json == answer.json["current"]


def test_signing_twice_is_no_second_signature(browser: SignedInBrowser, instance: str) -> None:
    assert browser.post(f"{instance}/review/sign", json={"revision": 0}).json["state"] == "signed"
    answer = browser.post(f"{instance}/review/sign", json={"revision": 1})
    assert answer.status_code == 409
    assert answer.json["current"]["revision"] == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "no JSON object"),
        ({"revision": None}, "revision"),
        ({"revision": True}, "revision"),
        ({"verdicts": []}, "verdicts"),
        ({"verdicts": {"Mass": "maybe"}}, "agree, disagree, unsure"),
        ({"verdicts": {"Mass": ["agree"]}}, "agree, disagree, unsure"),
        ({"verdicts": {"Gout": "agree"}}, "no output"),
        ({"added": "Mass"}, "added"),
        ({"added": ["Gout"]}, "vocabulary"),
        ({"added": [3]}, "no name"),
        ({"note": 3}, "note"),
        ({"note": "x" * 10_001}, "Shorten"),
        ({"boxes": [3]}, "a box has"),
        ({"boxes": [{"finding": "Mass", "x": 0, "y": 0, "width": 257, "height": 1}]}, "within the image"),
        ({"boxes": [{"finding": "Mass", "x": 0, "y": 0, "width": 0, "height": 1}]}, "within the image"),
        ({"boxes": [{"finding": "Gout", "x": 0, "y": 0, "width": 1, "height": 1}]}, "vocabulary"),
        ({"boxes": [{"finding": "Mass", "x": 0, "y": 0, "width": 1, "height": 1}] * 101}, "at most 100"),
    ],
)
def test_what_makes_no_sense_is_refused_with_words(
    browser: SignedInBrowser, instance: str, wrong: Any, words: str
) -> None:
    body = {"revision": 0, **wrong} if isinstance(wrong, dict) else wrong
    answer = browser.post(f"{instance}/review", json=body, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json["error"]
    assert browser.get(f"{instance}/review.json").json["revision"] == 0


def test_a_number_that_is_none_is_no_box(browser: SignedInBrowser, instance: str) -> None:
    body = '{"revision": 0, "boxes": [{"finding": "Mass", "x": NaN, "y": 0, "width": 1, "height": 1}]}'
    assert browser.post(f"{instance}/review", data=body, content_type="application/json").status_code == 400


def test_what_is_not_read_cannot_be_reviewed(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    waiting = first(client, upload(("a.png", phantom_png())))
    refused = first(client, upload(("a.txt", b"text")))
    for address in (waiting, refused):
        assert client.get(f"{address}/review.json").json["bundle"] is None
        answer = client.post(f"{address}/review", json={"revision": 0}, headers={"Accept": "application/json"})
        assert answer.status_code == 409
        assert "not read" in answer.json["error"]
    assert client.get("/instances/none/review.json").status_code == 404


def test_priors_are_the_patients_images_oldest_first(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    def film(k: int, day: str, **elements: Any) -> tuple[str, bytes]:
        return f"{k}.dcm", dicom(PatientID="P1", StudyDate=day, ViewPosition="AP", InstanceNumber=k, **elements)

    late = upload(film(1, "20240501"))
    early = upload(film(2, "20200101"))
    other = upload(("x.dcm", dicom(PatientID="P2")))
    answer = client.post("/studies", data={"files": (BytesIO(phantom_png(7)), "p.png"), "patient": "P1"})
    sent = answer.headers["Location"].removeprefix("/studies/")
    predict_all()
    found = client.get(f"{first(client, late)}/priors.json").json["instances"]
    assert [prior["study_uid"] for prior in found] == [early, late, sent]
    assert [prior["dated_by"] for prior in found] == ["acquisition", "acquisition", "upload"]
    assert datetime.fromisoformat(found[0]["acquired_at"]).astimezone().date() == date(2020, 1, 1)
    assert found[0]["view_position"] == "AP"
    assert found[0]["bundle"] == "fake-1"
    assert set(found[0]["probabilities"]) >= {"Mass", "No Finding"}
    assert [p["study_uid"] for p in client.get(f"{first(client, other)}/priors.json").json["instances"]] == [other]


def test_who_names_no_patient_has_no_priors(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    upload(("a.png", phantom_png(1)))
    mine = upload(("b.png", phantom_png(2)))
    predict_all()
    found = client.get(f"{first(client, mine)}/priors.json").json["instances"]
    assert [prior["study_uid"] for prior in found] == [mine]


def test_a_patient_with_sixty_priors(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    small = chest_phantom(seed=1, height_px=80, width_px=80)
    films = [
        (f"{k}.dcm", dicom(small, PatientID="P1", StudyDate=f"20{10 + k // 12:02}{k % 12 + 1:02}01")) for k in range(61)
    ]
    study = upload(*films)
    predict_all()
    found = client.get(f"{first(client, study)}/priors.json").json["instances"]
    assert len(found) == 61
    assert [prior["acquired_at"] for prior in found] == sorted(prior["acquired_at"] for prior in found)
