"""What leaves the tool, and what is deleted from it."""

import csv
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.errors import NotFound, RequestRefused
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.export import write_training_set
from diagnosis_tool.services.predict_job import prepare
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all as predict_with
from tests.unit.web.conftest import SignedInBrowser
from tests.unit.web.test_reviews import first
from training.datasets.own import read_own

Upload = Callable[..., str]
ReadAll = Callable[[], None]
DISAGREE = {"verdicts": {"Mass": "disagree"}, "added": ["Fracture"], "note": '=1+1, "quoted"\nline'}


def table(client: FlaskClient | SignedInBrowser, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith("attachment")
    return list(csv.DictReader(StringIO(answer.data.decode("utf-8-sig"))))


def test_page_csv_and_json_print_the_same_digits(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("Röntgen.png", phantom_png(1)), ("=cmd.png", b"no film"))
    predict_all()
    read, refused = table(client, f"/studies/{uid}.csv")
    findings = client.get(f"/studies/{uid}.json").json["instances"][0]["findings"]
    page = client.get(f"/studies/{uid}").text
    for finding in findings:
        printed = wording.probability(finding["probability"])
        assert read[finding["finding"]] == finding["shown"] == printed
        if float(printed) >= 0.5 and finding["finding"] != "No Finding":
            assert f"{wording.finding_name(finding['finding'])} {printed}" in page
    assert read["file"] == "Röntgen.png"
    assert refused["file"] == "'=cmd.png"  # a spreadsheet must not run it
    assert (refused["state"], refused["Mass"]) == ("refused", "")
    assert refused["error"]


def test_the_chosen_studies_are_exported_in_their_order(
    client: FlaskClient, upload: Upload, predict_all: ReadAll
) -> None:
    one, two, _ = (upload((f"{k}.png", phantom_png(k))) for k in range(3))
    predict_all()
    query = f"?study={two}&study={one}"
    assert [line["study"] for line in table(client, f"/export/readings.csv{query}")] == [two, one]
    assert [study["uid"] for study in client.get(f"/export/readings.json{query}").json] == [two, one]
    assert client.get("/export/readings.csv").status_code == 422
    assert client.get("/export/readings.csv?study=none").status_code == 404
    assert client.get("/export/readings.csv?" + "&".join(f"study={k}" for k in range(201))).status_code == 422


def test_reviews_as_a_table(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png(1)))
    other = upload(("b.png", phantom_png(2)))
    predict_all()
    for study in (uid, other):
        client.post(f"{first(client, study)}/review", json={"revision": 0, **DISAGREE})
    lines = table(client, f"/export/reviews.csv?study={uid}")
    assert {line["study"] for line in lines} == {uid}
    assert len(table(client, "/export/reviews.csv")) == 2 * len(lines) == 2 * 16
    mass = next(line for line in lines if line["finding"] == "Mass")
    assert (mass["verdict"], mass["added"], mass["model"], mass["state"]) == ("disagree", "0", "below", "draft")
    assert mass["note"] == '\'=1+1, "quoted"\nline'
    added = next(line for line in lines if line["finding"] == "Fracture")
    assert (added["added"], added["probability"]) == ("1", "")


def test_signed_reviews_become_a_data_set_that_training_reads(
    client: FlaskClient, context: Context, upload: Upload, predict_all: ReadAll, tmp_path: Path
) -> None:
    decided = upload(("00000013_004.png", phantom_png(1)))
    signed_only = upload(("b.dcm", dicom(PatientID="P1", PatientAge="057Y", PatientSex="F")))
    unsure = upload(("c.png", phantom_png(3)))
    draft = upload(("d.png", phantom_png(4)))
    predict_all()
    names = [f["finding"] for f in client.get(f"/studies/{decided}.json").json["instances"][0]["findings"]]
    verdicts = dict.fromkeys(names, "agree") | {"Atelectasis": "disagree"}
    for study, opinion in (
        (decided, {"verdicts": verdicts}),
        (signed_only, {}),
        (unsure, {"verdicts": {**verdicts, "Mass": "unsure"}}),
        (draft, {"verdicts": verdicts}),
    ):
        address = first(client, study)
        assert client.post(f"{address}/review", json={"revision": 0, **opinion}).status_code == 200
        if study != draft:
            client.post(f"{address}/review/sign", json={"revision": 1})

    made = write_training_set(context, tmp_path / "set", silence_agrees=False)
    assert (len(made.images), made.left_out) == (1, 2)
    made = write_training_set(context, tmp_path / "all", silence_agrees=True)
    assert (len(made.images), made.left_out) == (2, 1)
    with pytest.raises(RequestRefused, match="not empty"):
        write_training_set(context, tmp_path / "all", silence_agrees=True)
    assert made.labels_csv == client.get("/export/labels.csv?silence=agrees").text

    dataset = read_own(tmp_path / "all")
    assert [output.name for output in dataset.outputs] == names
    own, nih = sorted(dataset.records, key=lambda record: record.patient, reverse=True)
    labels = dict(zip(names, nih.labels, strict=True))
    assert labels["Atelectasis"] == 1  # far below its operating point, and the reader disagreed
    assert labels["Pneumothorax"] == 1
    assert labels["Cardiomegaly"] == labels["No Finding"] == 0
    assert nih.patient == "nih:13"  # so that NIH's test list holds for it
    assert (own.patient, own.age_years, own.sex) == ("own:P1", 57, "F")
    assert nih.path.read_bytes() == phantom_png(1)


def test_deleting_asks_first_and_leaves_nothing_behind(
    browser: SignedInBrowser, context: Context, upload: Upload, predict_all: ReadAll, tmp_path: Path
) -> None:
    shared = phantom_png(1)
    doomed = upload(("a.png", shared), ("b.png", phantom_png(2)))
    kept = upload(("c.png", shared))
    predict_all()
    instances = [i["uid"] for i in browser.get(f"/studies/{doomed}/status.json").json["instances"]]
    browser.post(f"/instances/{instances[0]}/review", json={"revision": 0})
    asked = browser.get(f"/delete?study={doomed}").text
    assert "Delete 1 study?" in asked
    assert browser.get(f"/studies/{doomed}").status_code == 200
    assert browser.client.post("/delete", data={"study": doomed}).status_code == 400  # without the token
    assert browser.post("/delete", data={"study": doomed}).status_code == 303
    page = browser.get(f"/studies/{doomed}")
    assert page.status_code == 404
    assert "may have been deleted" in page.text
    for address in (f"/instances/{instances[0]}/review.json", f"/instances/{instances[1]}/original"):
        assert browser.get(address).status_code == 404
    files = [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]
    assert len(files) == 1  # what another study has, too
    assert browser.get(f"/studies/{kept}.json").json["instances"][0]["state"] == "done"
    assert browser.get("/worklist/changes.json", query_string={"row": f"{doomed}:9"}).json["gone"] == [doomed]
    assert context.studies.delete([doomed], ALL_PROJECTS) == 0
    again = upload(("again.png", phantom_png(2)))
    predict_all()
    assert browser.get(f"/studies/{again}.json").json["instances"][0]["state"] == "done"


def test_a_worker_loses_what_is_deleted_under_it(context: Context, upload: Upload) -> None:
    uid = upload(("a.png", phantom_png()))
    (job,) = context.jobs.claim("w", 1)
    context.studies.delete([uid], ALL_PROJECTS)
    assert prepare(context, FakeClassifier(), job) is None
    with pytest.raises(NotFound):
        browse.get_study(context, uid)


def test_a_failed_image_is_tried_again(browser: SignedInBrowser, context: Context, upload: Upload) -> None:
    uid = upload(("a.png", phantom_png()))
    predict_with(context, FakeClassifier(RuntimeError("boom")))
    address = first(browser, uid)
    assert "Try again" in browser.get(f"/studies/{uid}").text
    assert uid in browser.get("/?state=failed").text
    assert "none above" not in browser.get("/").text
    answer = browser.client.post(f"{address}/retry", data={"csrf_token": browser.token})
    assert answer.headers["Location"] == f"/studies/{uid}"
    assert browser.post(f"{address}/retry").status_code == 409  # it waits already
    predict_with(context, FakeClassifier())
    assert browser.get(f"/studies/{uid}.json").json["instances"][0]["state"] == "done"
    assert browser.post("/instances/none/retry").status_code == 404


def test_an_image_one_pixel_wide_is_refused_with_its_size_known(
    browser: SignedInBrowser, upload: Upload, predict_all: ReadAll
) -> None:
    buffer = BytesIO()
    Image.new("L", (1, 300), 7).save(buffer, "PNG")
    uid = upload(("line.png", buffer.getvalue()))
    predict_all()
    page = browser.get(f"/studies/{uid}").text
    assert "Refused:" in page
    assert "1 × 300 px" in page
