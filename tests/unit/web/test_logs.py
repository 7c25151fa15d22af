"""No patient in the logs: marked names go through every path, then all that was logged is searched for the marks."""

import json
import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from diagnosis_tool import logs
from diagnosis_tool.domain.access import Projects
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services.context import Context
from tests import predicting
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.fakes.classifier import FakeClassifier

MARK = "MUSTERMANN"


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """All that any logger says, down to DEBUG, in both forms as processes write them."""
    handlers = [(kind(), StringIO()) for kind in (logs._Text, logs._Json)]
    root, made, level = logging.getLogger(), [], logging.getLogger().level
    for formatter, stream in handlers:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        root.addHandler(handler)
        made.append(handler)
    quiet = {name: logging.getLogger(name).level for name in logs._QUIET}
    root.setLevel(logging.DEBUG)
    for name, least in logs._QUIET.items():
        logging.getLogger(name).setLevel(least)
    yield lambda: "".join(stream.getvalue() for _, stream in handlers)
    for handler in made:
        root.removeHandler(handler)
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def marked_files() -> list[tuple[BytesIO, str]]:
    """Films and what is refused; each names the patient wherever it can."""
    tags = {
        "PatientName": f"{MARK}^Erika", "PatientID": MARK, "InstitutionName": MARK, "PatientComments": MARK,
        "AccessionNumber": MARK, "ReferringPhysicianName": MARK, "StudyDescription": MARK,
    }  # fmt: skip
    odd = {"PatientBirthDate": MARK, "PatientAge": MARK, "AcquisitionDate": MARK, "ImagerPixelSpacing": [1, 1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contents = [
            phantom_png(1), dicom(**tags), dicom(**tags, Modality=MARK), dicom(**tags, BodyPartExamined=MARK),
            dicom(**tags, **odd), dicom(**tags)[:600], dicom(**tags, PixelData=MARK.encode()), MARK.encode(), b"",
            phantom_png(1)[:3000],
        ]  # fmt: skip
    return [(BytesIO(data), f"{MARK}-{k}.dcm") for k, data in enumerate(contents)]


def go_everywhere(client: FlaskClient, context: Context) -> str:
    """Uploads, reads, looks, searches, reviews, exports, deletes; what is refused and what breaks, too."""
    form = {"files": marked_files(), "patient": MARK}
    study = client.post("/studies", data=form).headers["Location"].rsplit("/", 1)[-1]
    predicting.predict_all(context, FakeClassifier())
    images = [image["uid"] for image in client.get(f"/studies/{study}/status.json").json["instances"]]
    for image in images:
        for part in ("radiograph.png", "pixels", "heatmaps/Mass.png", f"heatmaps/{MARK}.png", "report.pdf", "original"):
            client.get(f"/instances/{image}/{part}").close()
        client.post(f"/instances/{image}/retry")
        client.post(f"/instances/{image}/review", json={"revision": 0, "note": MARK, "added": [MARK]})
        client.post(f"/instances/{image}/review", json={"revision": 0, "note": MARK, "verdicts": {}})
        client.post(f"/instances/{image}/review", json={"revision": MARK, "verdicts": {MARK: MARK}})
    for address in (
        f"/?q={MARK}", f'/?q="{MARK}*', f"/?finding={MARK}&reader={MARK}&from={MARK}", f"/studies/{study}",
        f"/studies/{study}.json", f"/studies/{study}.csv", f"/export/readings.csv?study={study}", "/export/reviews.csv",
        "/export/labels.csv", f"/studies/{MARK}", f"/{MARK}", f"/instances/{MARK}/pixels", f"/language/{MARK}",
        f"/models/{MARK}", f"/viewer/?instance={MARK}", f"/worklist/changes.json?row={MARK}:1", f"/static/{MARK}",
    ):  # fmt: skip
        client.get(address, headers={"X-Request-ID": MARK, "User-Agent": MARK, "Referer": f"/?q={MARK}"}).close()
    client.post("/studies", data={"files": [], "patient": MARK * 10})
    client.post("/studies", data={MARK: (BytesIO(b"x"), MARK)})
    client.post(f"/studies?{MARK}", data=MARK, content_type=f"multipart/form-data; boundary={MARK}")
    client.post("/viewer/_dash-update-component", json={"output": MARK, "inputs": [MARK]})
    client.get("/", headers={"Host": f"{MARK}.example"})
    client.post("/sign-in", data={"name": MARK, "password": MARK})
    client.get("/", headers={"Authorization": f"Bearer {MARK}"})
    client.post("/delete", data={"study": [study, MARK]})
    return study


def test_no_path_logs_a_patient(client: FlaskClient, context: Context, logged: Callable[[], str]) -> None:
    study = go_everywhere(client, context)
    assert logged().count("refused") > 3
    assert "POST /studies 303" in logged()
    assert MARK not in logged()
    assert MARK not in "".join(repr(line) for line in context.audit.lines())
    assert study in "".join(repr(line) for line in context.audit.lines())


def test_what_breaks_logs_its_place_and_not_its_words(
    client: FlaskClient, context: Context, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_store: object, uid: str, _projects: Projects) -> str:
        try:
            raise ValueError(f"could not convert {uid}")
        except ValueError as error:
            raise RuntimeError(uid) from error

    with monkeypatch.context() as patch:
        patch.setattr("diagnosis_tool.storage.studies.StudyStore.study", breaks)
        assert client.get(f"/studies/{MARK}").status_code == 500
    client.post("/studies", data={"files": marked_files()[:2]})
    predicting.predict_all(context, FakeClassifier(error=RuntimeError(MARK)))

    def sql(*_: object, **__: object) -> None:
        raise OperationalError("SELECT :q", {"q": MARK}, sqlite3.OperationalError(f'no such column: "{MARK}"'))

    def full(*_: object) -> None:
        raise StorageFull("full %(name)s", name=MARK)

    with monkeypatch.context() as patch:
        patch.setattr("diagnosis_tool.storage.worklist_pages.WorklistStore.page", sql)
        assert client.get("/").status_code == 500
        patch.setattr("diagnosis_tool.storage.audit.AuditLog.record", full)
        client.get(f"/studies/{MARK}")
    for kind in ("RuntimeError", "ValueError", "OperationalError", "in breaks", "attempt 3 broke down", "StorageFull"):
        assert kind in logged(), kind
    assert MARK not in logged()


def test_other_libraries_words_are_cut(logged: Callable[[], str]) -> None:
    logging.getLogger("py.warnings").warning("/x/valuerep.py:440: UserWarning: Invalid value '%s'\n  code", MARK)
    logging.getLogger("gunicorn.error").error("Error handling request /?q=%s", MARK)
    logging.getLogger("pydicom").error(MARK)
    logging.getLogger("fpdf").warning(MARK)
    assert "valuerep.py:440: UserWarning" in logged()
    assert "Error handling request /" in logged()
    assert MARK not in logged()


def test_words_that_can_quote_nothing_are_kept() -> None:
    def line(error: BaseException) -> str:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "broke", None, (type(error), error, None))
        return logs._Text().format(record)

    assert "No space left" in line(OSError(28, "No space left on device", MARK))
    assert MARK not in line(OSError(28, "No space left on device", MARK))
    with sqlite3.connect(":memory:") as db, pytest.raises(sqlite3.IntegrityError) as found:
        db.execute("CREATE TABLE t (a PRIMARY KEY)").execute("INSERT INTO t VALUES (?), (?)", (MARK, MARK))
    db.close()
    assert "UNIQUE constraint failed: t.a" in line(found.value)


def test_each_line_is_an_object_with_the_requests_id(client: FlaskClient, logged: Callable[[], str]) -> None:
    given = client.get("/", headers={"X-Request-ID": "feedbeef" * 2}).headers["X-Request-ID"]
    lines = [json.loads(line) for line in logged().splitlines() if line.startswith("{")]
    said = [line for line in lines if line["logger"] == "diagnosis_tool.requests"]
    assert said[0]["request_id"] == given != "feedbeef" * 2
    assert said[0]["message"].startswith("GET / 200 in ")
    assert {"time", "level", "logger", "message"} <= set(said[0])


def test_a_line_break_makes_no_second_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "one\n2026-11-21 INFO forged: two", None, None)
    assert len(logs._Text().format(record).splitlines()) == 1
    assert len(logs._Json().format(record).splitlines()) == 1
