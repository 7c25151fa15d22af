"""The report: the same numbers as everywhere, the same bytes each time, names in any script."""

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
from diagnosis_tool.services.context import Context
from tests.conftest import phantom_png
from tests.fakes.classifier import FakeClassifier
from tests.reading import read_all as read_with

Upload = Callable[..., str]


def instance_of(context: Context, study: str) -> str:
    return context.studies.study(study).instances[0].uid


def text_of(client: FlaskClient, uid: str, language: str = "en") -> str:
    """What a reader of the report sees, in one line."""
    answer = client.get(f"/instances/{uid}/report.pdf", headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/pdf"
    pages = PdfReader(BytesIO(answer.data)).pages
    assert len(pages) == 1
    return " ".join(pages[0].extract_text().split())


@pytest.fixture
def read(client: FlaskClient, context: Context, upload: Upload, read_all: Callable[[], None]) -> str:
    """An image that was read."""
    study = upload(("film.png", phantom_png()))
    read_all()
    return instance_of(context, study)


def test_every_probability_is_the_same_in_report_chart_page_and_json(
    client: FlaskClient, context: Context, read: str
) -> None:
    study = context.studies.instance(read).study_uid
    report = text_of(client, read)
    page = client.get(f"/studies/{study}").text
    (instance,) = client.get(f"/studies/{study}.json").get_json()["instances"]
    (numbers,) = [t for t in client.get(f"/viewer/figures/{read}.json").get_json()["data"] if t["name"] == "number"]
    (bars,) = [t for t in client.get(f"/viewer/figures/{read}.json").get_json()["data"] if t["name"] == "probability"]
    charted = {custom[0]: shown.strip() for custom, shown in zip(bars["customdata"], numbers["text"], strict=True)}
    assert len(instance["findings"]) == len(NIH_OUTPUTS)
    for finding in instance["findings"]:
        shown = wording.probability(finding["probability"])
        name = wording.finding_name(finding["finding"])
        assert re.search(rf"{name} {re.escape(shown)} (above|below) 0\.50", report), name
        assert charted[finding["finding"]] == shown
        if finding["finding"] in instance["top4"]:
            assert f"<span>{name}</span> <b>{shown}</b>" in page


def test_it_names_what_is_above_and_shows_its_heatmaps(client: FlaskClient, context: Context, read: str) -> None:
    prediction = context.studies.instance(read).prediction
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
    client: FlaskClient, context: Context, upload: Upload, read_all: Callable[[], None], name: str
) -> None:
    study = upload((name, phantom_png()))
    read_all()
    letters = set(re.sub(r"\W", "", name.removesuffix(".png")))
    assert letters <= set(text_of(client, instance_of(context, study)))


def test_many_heatmaps_and_long_names_stay_on_one_page(client: FlaskClient, context: Context, upload: Upload) -> None:
    class Alarmist(FakeClassifier):
        def _reading(self, shift: float) -> Any:
            return super()._reading(0.3)

    study = upload(("long " * 40 + ".png", phantom_png()))
    read_with(context, Alarmist())
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
        in client.get(f"/studies/{context.studies.instance(read).study_uid}").text
    )
