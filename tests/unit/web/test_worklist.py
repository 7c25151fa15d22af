"""The worklist: pages, filters, what is live on it."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from io import BytesIO
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient

from diagnosis_tool.domain.access import Role
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.unit.web.conftest import SignedInBrowser

Upload = Callable[..., str]
ReadAll = Callable[[], None]


def listed(page: str) -> list[str]:
    """The uids of the rows, from top to bottom."""
    return re.findall(r'data-row="(\w+):', page)


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else None


def test_pages_forward_and_back_miss_no_study_and_show_none_twice(
    client: FlaskClient, upload: Upload, predict_all: ReadAll
) -> None:
    uids = [upload((f"{k}.png", b"no image")) for k in range(102)]
    predict_all()
    address: str | None = "/"
    pages = []
    while address is not None:
        pages.append(client.get(address).text)
        address = link(pages[-1], "next")
    assert [listed(page) for page in pages] == [uids[:51:-1], uids[51:1:-1], uids[1::-1]]
    assert "<img" not in pages[0]  # a refused file has no thumbnail: none is asked for
    assert link(pages[0], "prev") is None
    back = client.get(str(link(pages[2], "prev"))).text
    assert listed(back) == listed(pages[1])
    assert listed(client.get(str(link(back, "prev"))).text) == listed(pages[0])
    assert listed(client.get("/?sort=oldest").text) == uids[:50]


@pytest.mark.parametrize(
    "query", ["page=2", "after=x", "before=99999999999999999999_1", "after=1e400_1", "from=2026-99-01", "reader=x",
              "reader=99999999999999999999", "state=odd", "sort=odd", "finding=Gout", "q=%22%27)(%2A", "q=%00",
              "to=9999-12-31", "from=0001-01-01"]
)  # fmt: skip
def test_any_address_is_answered(client: FlaskClient, upload: Upload, query: str) -> None:
    upload(("a.png", b"no image"))
    assert client.get(f"/?{query}").status_code == 200


def test_filters(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    read = upload(("film.png", phantom_png(1)))
    refused = upload(("notes.txt", b"text"))
    both = upload(("film.png", phantom_png(1)), ("notes.txt", b"text"))
    predict_all()
    new = upload(("late.png", phantom_png(2)))

    def found(query: str) -> list[str]:
        return listed(client.get(f"/?{query}").text)

    assert found("state=new") == [new]
    assert found("state=read") == [both, read]
    assert found("state=refused") == [both, refused]  # also where other images were read
    assert found("state=failed") == []
    assert found("finding=Pneumothorax") == [both, read]
    assert found("finding=Pneumothorax&sort=oldest") == [read, both]
    assert found("finding=Pneumothorax&state=refused") == [both]
    assert found("finding=Atelectasis") == []  # its probability is far below its operating point
    assert found("reader=1") == [new, both, refused, read]
    assert found("reader=2") == []
    day, one = date.today(), timedelta(days=1)
    assert found(f"from={day}&to={day}") == [new, both, refused, read]
    assert found(f"from={day + one}") == found(f"to={day - one}") == []
    assert "No study matches" in client.get("/?reader=2").text


@pytest.mark.parametrize("words", ["mül", "MUELLER-7", "müller an", "山田", "anna", "muller", "山"])
def test_search_finds_patients_in_any_script_by_the_beginning_of_words(
    client: FlaskClient, upload: Upload, predict_all: ReadAll, words: str
) -> None:
    name = "Müller^Anna=山田^太郎"
    wanted = upload(("1.dcm", dicom(PatientName=name, PatientID="MUELLER-7", SpecificCharacterSet="ISO_IR 192")))
    other = upload(("2.png", phantom_png(2)))
    predict_all()
    page = client.get("/", query_string={"q": words}).text
    assert listed(page) == [wanted]
    assert "Müller Anna (山田 太郎)" in page
    assert listed(client.get("/?q=2+png").text) == [other]
    assert listed(client.get("/?q=!!").text) == []


def test_a_patient_named_at_the_upload_counts_where_the_file_names_none(
    client: FlaskClient, predict_all: ReadAll
) -> None:
    files = [(BytesIO(phantom_png()), "a.png"), (BytesIO(dicom(PatientID="own")), "b.dcm")]
    client.post("/studies", data={"files": files, "patient": " pseudonym\u202e 4 "})
    predict_all()
    assert listed(client.get("/?q=pseudonym").text)
    page = client.get("/?q=own").text
    assert "pseudonym 4" in page
    assert "and 1 more" in page
    answer = client.post("/studies", data={"files": (BytesIO(b"x"), "a.png"), "patient": "x" * 65})
    assert answer.status_code == 422
    assert "at most 64" in answer.text


def test_a_row_tells_view_age_sex_and_the_strongest_finding(
    client: FlaskClient, upload: Upload, predict_all: ReadAll
) -> None:
    upload(("1.dcm", dicom(PatientAge="057Y", PatientSex="F", ViewPosition="AP")))
    before = client.get("/").text
    assert "not known yet" in before
    predict_all()
    page = client.get("/").text
    assert "57 F" in page
    assert ">AP<" in page
    assert "Pneumothorax <b>0.6" in page
    assert "read by model" in page
    filtered = client.get("/?finding=Nodule").text
    assert "Nodule <b>0.5" in filtered  # what was asked for, not the strongest


def test_names_are_escaped(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    upload(("1.dcm", dicom(PatientName="<script>x</script>")))
    predict_all()
    assert "<script>x" not in client.get("/").text


def test_a_failure_or_refusal_never_looks_like_a_negative_reading(
    client: FlaskClient, upload: Upload, predict_all: ReadAll
) -> None:
    upload(("a.png", b"no film"))
    predict_all()
    page = client.get("/").text
    assert "nothing was read" in page
    assert "none above" not in page


def test_changed_rows_are_told_and_gone_ones(client: FlaskClient, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png()))
    shown = re.findall(r'data-row="([^"]+)"', client.get("/").text)
    same = client.get("/worklist/changes.json", query_string={"row": shown}).json
    assert (same["rows"], same["gone"], same["newest"]) == ({}, [], uid)
    predict_all()
    changed = client.get("/worklist/changes.json", query_string={"row": [*shown, "gone:1"]}).json
    assert list(changed["rows"]) == [uid]
    assert "read by model" in changed["rows"][uid]
    assert changed["gone"] == ["gone"]
    assert client.get("/worklist/changes.json?row=x").json["rows"] == {}
    newer = upload(("b.png", phantom_png()))
    assert client.get("/worklist/changes.json").json["newest"] == newer


def test_urgent_first_is_by_probability_over_the_operating_point(
    client: FlaskClient, upload: Upload, predict_all: ReadAll
) -> None:
    dark = upload(("dark.png", phantom_png(5)))
    unread = upload(("x.txt", b"x"))
    predict_all()
    assert listed(client.get("/?sort=urgent").text) == [dark, unread]
    assert [unquote(u) for u in listed(client.get("/?sort=urgent&state=read").text)] == [dark]


def test_the_reader_of_a_row_is_who_reviewed_it(browser: SignedInBrowser, upload: Upload, predict_all: ReadAll) -> None:
    uid = upload(("a.png", phantom_png()))
    predict_all()
    instance = browser.get(f"/studies/{uid}/status.json").json["instances"][0]["uid"]
    second = browser.sign_in(Role.RADIOLOGIST, "Dr. Second")
    assert browser.post(f"/instances/{instance}/review", json={"revision": 0}).status_code == 200
    page = browser.get("/").text
    assert "<bdi>Dr. Second</bdi>" in page
    assert listed(browser.get("/?state=reviewed").text) == [uid]
    assert browser.post(f"/instances/{instance}/review/sign", json={"revision": 1}).status_code == 200
    assert listed(browser.get(f"/?state=signed&reader={second.id}").text) == [uid]
