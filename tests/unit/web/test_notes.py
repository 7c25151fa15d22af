"""What who looks at a film must know of how it was read stands wherever it is shown, in the reader's language."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from pypdf import PdfReader

from diagnosis_tool.domain.access import PERMISSIONS, Role
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.database import open_database, write_transaction
from diagnosis_tool.viewer import callbacks
from testing.stores import DATABASE
from tests.conftest import phantom_png
from tests.dicom_files import FILM, dicom

MIRRORED = dicom(PatientOrientation=["R", "F"], BurnedInAnnotation="YES")
WORDS = r"The film is stored mirrored (Patient Orientation R\F) and was mirrored left to right."
Upload = Callable[..., str]
ReadAll = Callable[[], None]


@pytest.fixture
def study(upload: Upload, predict_all: ReadAll) -> str:
    uid = upload(("mirrored.dcm", MIRRORED), ("plain.png", phantom_png(1)))
    predict_all()
    return uid


def uids(client: FlaskClient, study: str) -> list[str]:
    page = client.get(f"/studies/{study}").text
    return [part.split('"')[0] for part in page.split('id="image-')[1:]]


def film_of(client: FlaskClient, uid: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(client.get(f"/instances/{uid}/radiograph.png").data)))


def test_page_viewer_and_report_say_it(client: FlaskClient, study: str, context: Context) -> None:
    page = client.get(f"/studies/{study}").text
    assert page.count("film-note") == 2
    assert WORDS in page
    german = client.get(f"/studies/{study}", headers={"Accept-Language": "de"}).text
    assert "wurde von links nach rechts gespiegelt" in german
    assert "Text eingebrannt" in german
    uid, plain = uids(client, study)
    viewer, _ = callbacks.content(context, f"?instance={uid}", PERMISSIONS[Role.ADMIN])
    assert WORDS in str(viewer).replace("\\\\", "\\")
    report = PdfReader(BytesIO(client.get(f"/instances/{uid}/report.pdf").data)).pages[0].extract_text()
    assert "mirrored left to right" in report.replace("\n", " ")
    notes = [instance.get("notes") for instance in client.get(f"/studies/{study}.json").json["instances"]]
    assert notes == [[WORDS, notes[0][1]], None]
    assert "film-note" not in client.get(f"/studies/{study}/cards/{plain}").text


def test_the_film_is_shown_as_it_was_predicted(client: FlaskClient, study: str) -> None:
    uid = uids(client, study)[0]
    np.testing.assert_array_equal(film_of(client, uid), np.fliplr(FILM))
    pixels = client.get(f"/instances/{uid}/pixels")
    np.testing.assert_array_equal(np.frombuffer(pixels.data, np.uint8).reshape(FILM.shape), np.fliplr(FILM))


def test_a_film_that_an_earlier_release_read_stays_as_it_was(client: FlaskClient, study: str, tmp_path: Path) -> None:
    """Its heatmaps were made of the film as it is stored: turned under them they would lie on the other side."""
    uid = uids(client, study)[0]
    etag = client.get(f"/instances/{uid}/pixels").headers["ETag"]
    with write_transaction(open_database(tmp_path / DATABASE)) as db:
        db.exec_driver_sql("UPDATE instances SET notes = NULL")
    np.testing.assert_array_equal(film_of(client, uid), FILM)
    assert client.get(f"/instances/{uid}/pixels").headers["ETag"] != etag
    assert "film-note" not in client.get(f"/studies/{study}").text


def test_the_same_file_again_is_shown_as_it_was_predicted(
    client: FlaskClient, study: str, tmp_path: Path, upload: Upload, predict_all: ReadAll
) -> None:
    with write_transaction(open_database(tmp_path / DATABASE)) as db:
        db.exec_driver_sql("UPDATE instances SET notes = NULL")
    again = upload(("again.dcm", MIRRORED))
    predict_all()
    np.testing.assert_array_equal(film_of(client, uids(client, again)[0]), FILM)
