"""The report: the same numbers as everywhere, the same bytes each time, names in any script."""

import csv
import re
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader

from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.services.context import Context
from testing.accounts import csrf_token
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all as predict_with

Upload = Callable[..., str]


def instance_of(context: Context, study: str) -> str:
    return context.studies.study(study, ALL_PROJECTS).instances[0].uid


def text_of(client: FlaskClient, uid: str, language: str = "en") -> str:
    """What a reader of the report sees, in one line."""
    answer = client.get(f"/instances/{uid}/report.pdf", headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/pdf"
    pages = PdfReader(BytesIO(answer.data)).pages
    assert len(pages) == 1
    return " ".join(pages[0].extract_text().split())


@pytest.fixture
def read(client: FlaskClient, context: Context, upload: Upload, predict_all: Callable[[], None]) -> str:
    """An image that was read."""
    study = upload(("film.png", phantom_png()))
    predict_all()
    return instance_of(context, study)


def test_every_probability_is_the_same_in_report_chart_page_csv_and_json(
    client: FlaskClient, context: Context, read: str
) -> None:
    study = context.studies.instance(read, ALL_PROJECTS).study_uid
    report = text_of(client, read)
    page = client.get(f"/studies/{study}").text
    (instance,) = client.get(f"/studies/{study}.json").get_json()["instances"]
    (numbers,) = [t for t in client.get(f"/viewer/figures/{read}.json").get_json()["data"] if t["name"] == "number"]
    (bars,) = [t for t in client.get(f"/viewer/figures/{read}.json").get_json()["data"] if t["name"] == "probability"]
    charted = {custom[0]: shown.strip() for custom, shown in zip(bars["customdata"], numbers["text"], strict=True)}
    (row,) = csv.DictReader(client.get(f"/studies/{study}.csv").text.removeprefix("\ufeff").splitlines())
    assert len(instance["findings"]) == len(NIH_OUTPUTS)
    for finding in instance["findings"]:
        shown = wording.probability(finding["probability"])
        name = wording.finding_name(finding["finding"])
        assert re.search(rf"{name} {re.escape(shown)} (above|below) 0\.50", report), name
        assert charted[finding["finding"]] == shown
        assert row[finding["finding"]] == shown
        if finding["finding"] in instance["top4"]:
            assert f"<span>{name}</span> <b>{shown}</b>" in page


def test_it_names_what_is_above_and_shows_its_heatmaps(client: FlaskClient, context: Context, read: str) -> None:
    prediction = context.studies.instance(read, ALL_PROJECTS).prediction
    assert prediction is not None
    above = [o for o in prediction.outputs if o.is_above_threshold and o.name != "No Finding"]
    reader = PdfReader(BytesIO(client.get(f"/instances/{read}/report.pdf").data))
    drawn = reader.pages[0].get_contents()
    assert drawn is not None
    assert drawn.get_data().count(b" Do") == 1 + len(above)
    report = text_of(client, read)
    assert wording.prediction_outcome(prediction) in report
    assert "not a medical device" in report
    assert "Not for clinical use." in report
    assert "Model fake-1." in report  # its bundle is not here: no figures of another one


def test_the_same_reading_gives_the_same_bytes(client: FlaskClient, read: str) -> None:
    first = client.get(f"/instances/{read}/report.pdf").data
    started = time.time()
    while int(time.time()) == int(started):  # times in PDF and fonts have seconds
        time.sleep(0.05)
    assert client.get(f"/instances/{read}/report.pdf").data == first


def test_in_german(client: FlaskClient, read: str) -> None:
    report = text_of(client, read, "de")
    assert "Nicht für den klinischen Gebrauch." in report
    assert "Pleuraverdickung 0." in report


@pytest.mark.parametrize(
    "name", ["Łódź Ωmega Юрий.png", "אברהם.png", "अमिताभ.png", "สมชาย.png", "山田太郎.png", "김철수.png", "አበበ.png"]
)
def test_names_in_any_script(
    client: FlaskClient, context: Context, upload: Upload, predict_all: Callable[[], None], name: str
) -> None:
    study = upload((name, phantom_png()))
    predict_all()
    letters = set(re.sub(r"\W", "", name.removesuffix(".png")))
    assert letters <= set(text_of(client, instance_of(context, study)))


def test_many_heatmaps_and_long_names_stay_on_one_page(client: FlaskClient, context: Context, upload: Upload) -> None:
    class Alarmist(FakeClassifier):
        def _reading(self, shift: float) -> Any:
            return super()._reading(0.3)

    study = upload(("long " * 40 + ".png", phantom_png()))
    predict_with(context, Alarmist())
    report = text_of(client, instance_of(context, study))
    assert "Heatmaps are relative" in report
    assert "Model fake-1." in report


def test_an_unread_image_has_none(client: FlaskClient, context: Context, upload: Upload) -> None:
    study = upload(("film.png", b"no image"))
    answer = client.get(f"/instances/{instance_of(context, study)}/report.pdf")
    assert answer.status_code == 404
    assert "not read (yet)" in answer.text
    assert client.get("/instances/none/report.pdf").status_code == 404


def test_the_study_page_links_to_it(client: FlaskClient, context: Context, read: str) -> None:
    assert (
        f'href="/instances/{read}/report.pdf"'
        in client.get(f"/studies/{context.studies.instance(read, ALL_PROJECTS).study_uid}").text
    )


def reviewed(client: FlaskClient, uid: str, **opinion: Any) -> dict[str, Any]:
    """Saves a review; the answer."""
    revision = client.get(f"/instances/{uid}/review.json").get_json()["revision"]
    asked = {"revision": revision, "verdicts": {}, "added": [], "note": "", "boxes": [], **opinion}
    token = csrf_token(client.get("/").text)
    answer = client.post(f"/instances/{uid}/review", json=asked, headers={"X-CSRFToken": token})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.get_json()
    return said


def test_the_readers_words_and_signature(client: FlaskClient, read: str) -> None:
    assert "Not reviewed by a reader." in text_of(client, read)
    box = {"finding": "Mass", "x": 10, "y": 20, "width": 30, "height": 40}
    verdicts = {"Effusion": "agree", "Hernia": "disagree", "Edema": "unsure"}
    said = reviewed(client, read, verdicts=verdicts, added=["Mass"], note="Second line: left base.", boxes=[box])
    report = text_of(client, read)
    for words in ("not signed.", "Agrees: Effusion.", "Disagrees: Hernia.", "Unsure: Edema.", "Also seen: Mass.",
                  "Second line: left base."):  # fmt: skip
        assert words in report
    token = csrf_token(client.get("/").text)
    headers = {"X-CSRFToken": token}
    signed = client.post(f"/instances/{read}/review/sign", json={"revision": said["revision"]}, headers=headers)
    assert signed.status_code == 200, signed.text
    assert f"Signed by {signed.get_json()['signed_by']}" in text_of(client, read)
    reviewed(client, read, note="Another thought.")
    assert "changed since and not signed again." in text_of(client, read)


def test_a_long_note_is_never_cut_without_a_word(client: FlaskClient, read: str) -> None:
    reviewed(client, read, note="A long thought. " * 400)
    report = text_of(client, read)
    assert "The note goes on in the tool." in report
    assert "Model fake-1." in report
