"""Nothing of a study tells a time before it was received, though a film that others sent before is read at once."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader

from diagnosis_tool.domain.access import Role
from testing import accounts
from testing.stores import DATABASE
from tests.conftest import phantom_png
from tests.unit.web.test_reviews import first

_LONG_AGO = "2001-02-03 04:05:06.000000"
_TOLD_AS = ("2001-02-03", "2001-02-02", "2001-02-04", "2001 04:", "D:200102", "Feb 2001")


@pytest.fixture
def theirs(
    app: Flask, upload: Callable[..., str], predict_all: Callable[[], None], tmp_path: Path
) -> tuple[FlaskClient, str]:
    """(Somebody of another project, their study) of a film that this one sent and had read long ago."""
    upload(("ours.png", phantom_png(1)))
    predict_all()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        for column in ("studies.created_at", "jobs.created_at", "jobs.finished_at", "predictions.created_at"):
            table, name = column.split(".")
            db.execute(f"UPDATE {table} SET {name} = ?", (_LONG_AGO,))
        db.execute("UPDATE worklist SET created_at = ?", (_LONG_AGO,))
        db.commit()
    client = app.test_client(use_cookies=False)
    accounts.carry_token(client, Role.ADMIN, name="Other", projects=("other",))
    answer = client.post("/studies", data={"files": (BytesIO(phantom_png(1)), "theirs.png")})
    predict_all()
    return client, answer.headers["Location"].rsplit("/", 1)[-1]


def test_no_answer_tells_when_others_had_it_read(theirs: tuple[FlaskClient, str], client: FlaskClient) -> None:
    them, study = theirs
    image = first(them, study)
    uid = image.rsplit("/", 1)[-1]
    assert them.post(f"{image}/review/sign", json={"revision": 0}).status_code == 200
    for address in (
        "/", f"/worklist/changes.json?row={study}:0", f"/studies/{study}", f"/studies/{study}.json",
        f"/studies/{study}.csv", f"/studies/{study}/status.json", f"/studies/{study}/cards/{uid}",
        f"/delete?study={study}",
        f"/export/readings.csv?study={study}", f"/export/readings.json?study={study}", "/export/reviews.csv",
        "/export/labels.csv", f"{image}/review.json", f"{image}/priors.json", f"/viewer/?instance={uid}",
        f"/viewer/figures/{uid}.json", f"{image}/report.pdf", f"{image}/thumbnail.jpg", f"{image}/radiograph.png",
        f"{image}/pixels", f"{image}/original", f"{image}/heatmaps/Mass.png",
    ):  # fmt: skip
        with them.get(address) as answer:
            assert answer.status_code == 200, address
            told = f"{answer.headers} {answer.data.decode('latin-1')}"
            assert not any(words in told for words in _TOLD_AS), address
    layout = them.get("/viewer/_dash-layout", headers={"Referer": f"http://localhost/viewer/?instance={uid}"}).text
    assert "read 20" in layout
    assert "2001-0" not in layout
    report = PdfReader(BytesIO(them.get(f"{image}/report.pdf").data))
    assert "read 20" in report.pages[0].extract_text()
    assert "2001-0" not in report.pages[0].extract_text()
    assert report.metadata is not None
    assert report.metadata.creation_date is not None
    assert report.metadata.creation_date.year > 2001
    assert "2001-02-0" in client.get("/").text  # where it was sent then it says so
