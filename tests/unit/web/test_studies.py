import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, MultiDict

from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.domain.access import ALL_PROJECTS, Projects, Role
from diagnosis_tool.errors import StorageFull, UploadRefused
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.settings import Settings
from diagnosis_tool.storage.blobs import BlobStore, PendingBlob
from diagnosis_tool.web import uploads
from testing import accounts
from tests.conftest import phantom_png
from tests.stores import send

Upload = Callable[..., str]
ReadAll = Callable[[], None]


def test_an_empty_worklist_says_what_to_do(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "No study yet" in page
    assert "Research use only, not a medical device." in page


def test_files_keep_their_order_and_names(client: FlaskClient, upload: Upload) -> None:
    names = [f"{k}.png" for k in (3, 1, 2, 11, 10)]
    study = client.get(f"/studies/{upload(*[(n, n.encode()) for n in names])}.json").json
    assert [i["file"] for i in study["instances"]] == names
    assert [i["state"] for i in study["instances"]] == ["queued"] * 5


def test_json_before_and_after_reading(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png(1)), ("b.png", b"no image"))
    before = client.get(f"/studies/{uid}.json").json
    assert list(before) == ["uid", "created_at", "instances"]
    assert before["instances"][0] == {
        "file": "a.png",
        "sha256": before["instances"][0]["sha256"],
        "state": "queued",
        "error": None,
        "findings": [],
        "top4": [],
        "heatmaps": {},
        "bundle": None,
    }
    predict_all()
    done, refused = client.get(f"/studies/{uid}.json").json["instances"]
    assert (done["state"], refused["state"]) == ("done", "refused")
    assert [f["finding"] for f in done["findings"]] == list(NIH_OUTPUTS)
    assert done["findings"][0]["probability"] != round(done["findings"][0]["probability"], 4)
    assert done["top4"] == ["Pneumothorax", "Pneumonia", "Pleural_Thickening", "Nodule"]
    assert list(done["heatmaps"]) == done["top4"]
    assert all(client.get(url).status_code == 200 for url in done["heatmaps"].values())
    assert done["bundle"] == "fake-1"
    assert refused["error"]
    assert refused["findings"] == []
    assert refused["bundle"] is None


def test_study_page_has_a_card_for_every_outcome(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png(1)), ("<b>.png", b"no image"), ("zero.png", b""))
    waiting = client.get(f"/studies/{uid}").text
    assert waiting.count("Waiting to be read. Nothing is known") == 3
    assert 'class="chart"' not in waiting
    predict_all()
    page = client.get(f"/studies/{uid}").text
    assert page.count('class="chart"') == 1
    assert page.count('class="map') >= 4
    assert "Above the operating point: Pneumothorax 0.6" in page
    assert "Refused: This is not a PNG" in page
    assert "Refused: The file is empty" in page
    assert "<b>" not in page.replace("<b>0.", "")  # the file's name was escaped
    assert "&lt;b&gt;.png" in page


def test_status_and_cards_follow_the_reading(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png(1)), ("b.png", b"no image"))
    status = client.get(f"/studies/{uid}/status.json").json
    assert status["finished"] == 0
    assert [i["state"] for i in status["instances"]] == ["queued", "queued"]
    predict_all()
    status = client.get(f"/studies/{uid}/status.json").json
    assert status["finished"] == 2
    assert status["summary"] == "All 2 finished: 1 read, 1 refused"
    card = client.get(f"/studies/{uid}/cards/{status['instances'][0]['uid']}").text
    assert card.strip().startswith("<article")
    assert client.get(f"/studies/{uid}/cards/unknown").status_code == 404


def test_the_browsers_empty_input_is_no_file(client: FlaskClient, incoming: Path) -> None:
    answer = client.post("/studies", data={"files": (BytesIO(b""), "")}, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "No file was sent" in answer.text
    assert not list(incoming.iterdir())


def test_files_of_another_field_are_not_taken(client: FlaskClient, incoming: Path) -> None:
    answer = client.post("/studies", data={"other": (BytesIO(b"x"), "a.png")})
    assert answer.status_code == 422
    assert not list(incoming.iterdir())


def test_a_file_without_a_name_is_kept(client: FlaskClient, upload: Upload) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\ndata\r\n--x--\r\n'
    answer = client.post("/studies", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 303
    study = client.get(answer.headers["Location"] + ".json").json
    assert [i["file"] for i in study["instances"]] == ["unnamed"]


@pytest.mark.parametrize("count", [201, 1100])
def test_too_many_files_are_refused_as_a_whole(client: FlaskClient, incoming: Path, count: int) -> None:
    files = MultiDict([("files", FileStorage(BytesIO(b"x"), f"{k}.png")) for k in range(count)])
    answer = client.post("/studies", data=files, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    assert "More than 200 files" in answer.json["error"]
    assert not list(incoming.iterdir())
    assert "No study yet" in client.get("/").text


def test_too_many_bytes_are_refused_with_words(
    client: FlaskClient, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BODY_BYTES", 1000)
    answer = client.post("/studies", data={"files": (BytesIO(b"x" * 2000), "a.png")})
    assert answer.status_code == 413
    assert "2 GB" in answer.text
    assert not list(incoming.iterdir())


def test_a_broken_body_stores_nothing(client: FlaskClient, incoming: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\ndata'
    answer = client.post("/studies", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 422
    assert not list(incoming.iterdir())


def test_a_full_disk_while_receiving(client: FlaskClient, incoming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: PendingBlob, data: bytes) -> int:
        raise StorageFull("The server's disk is full. Nothing was stored.")

    monkeypatch.setattr(PendingBlob, "write", write)
    answer = client.post("/studies", data={"files": (BytesIO(b"x"), "a.png")})
    assert answer.status_code == 507
    assert "disk is full" in answer.text
    assert not list(incoming.iterdir())


def test_a_full_disk_while_committing(client: FlaskClient, incoming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(self: BlobStore, *blobs: PendingBlob) -> tuple[str, ...]:
        raise StorageFull("The server's disk is full. Nothing was stored.")

    monkeypatch.setattr(BlobStore, "commit", commit)
    files = [(BytesIO(b"x"), "a.png"), (BytesIO(b"y"), "b.png")]
    assert client.post("/studies", data={"files": files}).status_code == 507
    assert not list(incoming.iterdir())
    assert "No study yet" in client.get("/").text


def test_parts_are_written_straight_to_the_blob_store(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = PendingBlob.write

    def watched(self: PendingBlob, data: bytes) -> int:
        sizes.append(len(data))
        return write(self, data)

    monkeypatch.setattr(PendingBlob, "write", watched)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head + b"x" * 5_000_000 + b"\r\n--x--\r\n"
    assert client.post("/studies", data=body, content_type="multipart/form-data; boundary=x").status_code == 303
    assert sum(sizes) == 5_000_000  # each byte once
    assert max(sizes) <= 1 << 17  # and never many at a time


def test_files_in_another_field_are_not_lost_without_a_word(client: FlaskClient, incoming: Path) -> None:
    data = {"file": (BytesIO(b"x"), "a.png"), "files": (BytesIO(b"y"), "b.png")}
    answer = client.post("/studies", data=data)
    assert answer.status_code == 422
    assert "&#39;file&#39;; send all in &#39;files&#39;" in answer.text
    assert not list(incoming.iterdir())
    assert "No study yet" in client.get("/").text


def test_what_a_crash_left_is_swept_when_the_app_starts(app: Flask, incoming: Path, tmp_path: Path) -> None:
    old, new = incoming / "old", incoming / "new"
    for file in (old, new):
        file.write_bytes(b"x")
    os.utime(old, (0, 0))
    create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(tmp_path)}))
    assert [file.name for file in incoming.iterdir()] == ["new"]


@pytest.mark.parametrize("page", ["/studies/{}", "/studies/{}/status.json"])
def test_a_page_that_is_open_is_read_before_another_batch(
    client: FlaskClient, upload: Upload, context: Context, page: str
) -> None:
    upload(*[(f"{k}.png", b"batch") for k in range(30)])
    watched = upload(*[(f"{k}.png", b"watched") for k in range(6)])
    assert client.get(page.format(watched)).status_code == 200
    for is_watched in (True, False):
        jobs = context.jobs.claim("w", 4)
        assert [browse.get_instance(context, job.instance_uid).study_uid == watched for job in jobs] == [is_watched] * 4


def test_scripts_that_ask_do_not_change_the_order(client: FlaskClient, upload: Upload, context: Context) -> None:
    batch = upload(("a.png", b"batch"))
    client.get(f"/studies/{upload(('b.png', b'other'))}.json")
    (job,) = context.jobs.claim("w", 1)
    assert browse.get_instance(context, job.instance_uid).study_uid == batch


@pytest.fixture
def of_two(app: Flask) -> FlaskClient:
    """The script of somebody who belongs to two projects."""
    script = app.test_client(use_cookies=False)
    accounts.carry_token(script, Role.TECHNICIAN, name="Both", projects=("default", "ward7"))
    return script


def project_of(context: Context, uid: str) -> str:
    return next(
        project.name
        for user in context.users.all(ALL_PROJECTS)
        for project in user.projects
        if context.studies.named([uid], Projects(frozenset({project.id})))
    )


def test_an_upload_goes_to_the_project_that_it_names(of_two: FlaskClient, context: Context) -> None:
    for name in ("ward7", "default"):
        answer = of_two.post("/studies", data={"files": (BytesIO(b"x"), "a.png"), "project": name})
        assert project_of(context, answer.headers["Location"].rsplit("/", 1)[-1]) == name


@pytest.mark.parametrize(
    "named", [{}, {"project": ""}, {"project": ["default", "ward7"]}, {"project": "ward8"}], ids=str
)
def test_which_of_several_projects_is_never_guessed(
    app: Flask, of_two: FlaskClient, context: Context, incoming: Path, named: dict[str, object]
) -> None:
    browser = app.test_client()
    accounts.sign_in(browser, Role.TECHNICIAN, name="Both", projects=("default", "ward7"))
    token = accounts.csrf_token(browser.get("/").text)
    for client, form in ((of_two, named), (browser, {**named, "csrf_token": token})):
        data = {"files": (BytesIO(b"x"), "a.png"), **form}
        answer = client.post("/studies", data=data, headers={"Accept": "application/json"})
        assert answer.status_code == 422
        assert "Nothing was stored" in answer.json["error"]
        assert "ward" in answer.json["error"]
    assert list(incoming.iterdir()) == []
    assert "No study yet" in of_two.get("/").text


def test_who_has_one_project_needs_to_name_none(app: Flask, context: Context) -> None:
    script = app.test_client(use_cookies=False)
    accounts.carry_token(script, Role.TECHNICIAN, name="One", projects=("ward9",))
    answer = script.post("/studies", data={"files": (BytesIO(b"x"), "a.png")})
    assert project_of(context, answer.headers["Location"].rsplit("/", 1)[-1]) == "ward9"
    assert 'id="project"' not in script.get("/").text


def test_who_has_no_project_is_told(app: Flask) -> None:
    script = app.test_client(use_cookies=False)
    accounts.carry_token(script, Role.TECHNICIAN, name="None", projects=())
    answer = script.post("/studies", data={"files": (BytesIO(b"x"), "a.png")})
    assert answer.status_code == 422
    assert "belong to no project" in answer.text


def test_no_store_guesses_a_project_either(context: Context) -> None:
    accounts.account(context, name=accounts.LOCAL_READER, projects=("default", "ward7"))
    with pytest.raises(UploadRefused, match="which project"):
        send(context, b"x")
