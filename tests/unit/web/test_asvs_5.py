"""OWASP ASVS 5.0, chapter V5 (File Handling): a test a clause or more, each clause in our own words.

Nothing is left out. 5.2.5 and 5.3.3 speak of what stands in archives, and none is accepted: their tests send some.
5.4.3 speaks of scanning for malware, which this tool does not do, and says so. 5.3.1 speaks of a public folder: there
is none that anything is written to.
"""

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.studies import LEAST_COUNTED_BYTES, require_quota
from diagnosis_tool.domain.worklist import WorklistQuery
from diagnosis_tool.errors import QuotaExceeded
from diagnosis_tool.services import predict_job, submit
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.predict_job import MAX_FILE_BYTES
from diagnosis_tool.services.submit import MAX_BYTES, MAX_FILES
from testing import accounts
from testing.stores import DATABASE
from tests.conftest import phantom_png
from tests.dicom_files import dicom
from tests.integration.test_bad_input import bomb

SECURITY = Path(__file__).resolve().parents[3] / "SECURITY.md"
Upload = Callable[..., str]
Read = Callable[[], None]


def outcomes(client: FlaskClient, study: str) -> list[tuple[str, str]]:
    """(state, words) of each file, in the order in which they were sent."""
    images = client.get(f"/studies/{study}.json").json["instances"]
    return [(image["state"], image["error"] or "") for image in images]


def film_as(kind: str) -> bytes:
    buffer = BytesIO()
    Image.open(BytesIO(phantom_png(1))).save(buffer, kind)
    return buffer.getvalue()


def packed_zip(name: str = "film.png", mode: int = 0) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, phantom_png(1))
    return buffer.getvalue()


def packed_tar(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        archive.addfile(entry, BytesIO())
    return buffer.getvalue()


def test_5_1_1_what_is_accepted_and_how_it_is_made_safe_is_written_down() -> None:
    """Formats, extensions, largest sizes, also unpacked, and what happens with a bad file."""
    text = SECURITY.read_text()
    for limit in (str(MAX_FILES), f"{MAX_BYTES // 10**9} GB", f"{MAX_FILE_BYTES // 10**6} MB"):
        assert limit in text, limit
    assert f"{MAX_PIXELS // 10**6} million pixels" in text
    for word in ("PNG", "JPEG", "DICOM", ".png", ".jpg", ".dcm", "QUOTA_GB", "archive", "malware"):
        assert word in text, word


def test_5_2_1_only_files_of_a_size_that_can_be_handled(
    client: FlaskClient, upload: Upload, predict_all: Read, monkeypatch: pytest.MonkeyPatch, incoming: Path
) -> None:
    """Of one file, of an upload, in number; stopped while it is received, and nothing stays behind."""
    monkeypatch.setattr("diagnosis_tool.web.uploads.MAX_BODY_BYTES", 100_000)
    answer = client.post("/studies", data={"files": (BytesIO(b"x" * 200_000), "a.png")})
    assert answer.status_code == 413
    monkeypatch.undo()
    monkeypatch.setattr(submit, "MAX_FILES", 2)
    answer = client.post("/studies", data={"files": [(BytesIO(b"x"), name) for name in "abc"]})
    assert answer.status_code == 422
    assert list(incoming.iterdir()) == []
    monkeypatch.setattr(predict_job, "MAX_FILE_BYTES", 1000)
    study = upload(("large.png", phantom_png(1)))
    predict_all()
    ((state, words),) = outcomes(client, study)
    assert (state, "larger than any radiograph" in words) == ("refused", True)


def test_5_2_2_what_a_file_is_its_content_says(client: FlaskClient, upload: Upload, predict_all: Read) -> None:
    """A name proves nothing: other formats are refused under any; a film under another is saved as what it is."""
    others = [film_as(kind) for kind in ("GIF", "BMP", "TIFF", "WEBP")]
    others += [
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"MZ\x90",
        b"<!doctype html><script>1</script>",
    ]
    study = upload(*((f"film-{k}.png", data) for k, data in enumerate(others)))
    predict_all()
    assert {state for state, _ in outcomes(client, study)} == {"refused"}
    assert all("not a PNG, JPEG or DICOM" in words for _, words in outcomes(client, study))
    film = phantom_png(1)
    named = upload(("film.html", film), ("film.PNG", film), ("x.exe", dicom()), ("page.html", b"<script>"))
    names = [name for name, _ in saved(client, named)]
    assert names == ["film.html.png", "film.PNG", "x.exe.dcm", "page.html.bin"]


def saved(client: FlaskClient, study: str) -> list[tuple[str, str]]:
    """(name, content type) of each original as a browser would save it."""
    found = []
    for image in client.get(f"/studies/{study}/status.json").json["instances"]:
        with client.get(f"/instances/{image['uid']}/original") as answer:
            disposition = answer.headers["Content-Disposition"]
            assert disposition.startswith("attachment; ")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            found.append((disposition.split("filename=")[1].strip('"'), answer.mimetype))
    return found


def test_5_2_3_nothing_is_unpacked_and_what_is_compressed_within_an_image_is_bounded(
    client: FlaskClient, upload: Upload, predict_all: Read
) -> None:
    """No archive is read. What is packed within an image is refused where it unpacks to more than a film has: the data
    set of a deflated DICOM file, text in a PNG."""
    notes = PngImagePlugin.PngInfo()
    notes.add(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 50_000_000))
    buffer = BytesIO()
    Image.open(BytesIO(phantom_png(1))).save(buffer, "PNG", pnginfo=notes)
    assert len(buffer.getvalue()) < 200_000
    study = upload(
        ("a.zip", packed_zip()), ("a.png.gz", gzip.compress(phantom_png(1))), ("a.tar", packed_tar("film.png")),
        ("notes.png", buffer.getvalue()), ("deflated.dcm", deflated(300_000_000)),
    )  # fmt: skip
    predict_all()
    *archives, notes_png, dicom_file = outcomes(client, study)
    assert all(state == "refused" and "not a PNG" in words for state, words in archives)
    for (state, words), said in ((notes_png, "far more than an image's header"), (dicom_file, "inflates to more than")):
        assert (state, said in words) == ("refused", True), words


def deflated(size_bytes: int) -> bytes:
    """A small DICOM file in the deflated syntax that inflates to so much."""
    data = dicom()
    film = dcmread(BytesIO(data))
    film.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = BytesIO()
    film.file_meta.FileMetaInformationGroupLength = 0
    write_file_meta_info(buffer, film.file_meta)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = (
        packer.compress(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100") + packer.compress(bytes(size_bytes)) + packer.flush()
    )
    return data[:128] + b"DICM" + buffer.getvalue() + body


def test_5_2_4_each_user_has_a_quota(app: Flask, context: Context, incoming: Path) -> None:
    """What one keeps counts, in bytes; another's room is their own; what is deleted is free again."""
    key = "diagnosis_tool.context"
    app.extensions[key] = replace(app.extensions[key], quota_bytes=120_000)
    one, other = app.test_client(use_cookies=False), app.test_client(use_cookies=False)
    accounts.carry_token(one, accounts.Role.ADMIN, name="one")
    accounts.carry_token(other, accounts.Role.TECHNICIAN, name="other")

    def send(client: FlaskClient) -> int:
        return client.post("/studies", data={"files": (BytesIO(b"x" * 50_000), "a.png")}).status_code

    assert [send(one), send(one), send(one)] == [303, 303, 507]
    refused = one.post("/studies", data={"files": (BytesIO(b"x" * 50_000), "a.png")})
    assert "Nothing was stored" in refused.text
    assert "Delete studies" in refused.text
    assert send(other) == 303
    assert list(incoming.iterdir()) == []
    for row in context.worklist.page(WorklistQuery(), ALL_PROJECTS, limit=9).rows:
        one.post("/delete", data={"study": row.uid})
    assert send(one) == 303


def test_5_2_4_two_uploads_at_once_do_not_pass_it_together(app: Flask, context: Context) -> None:
    """The last look is under the database's write lock, however far both uploads have come."""
    limited = replace(context, quota_bytes=100_000)
    pending = []
    for _ in range(2):
        blob = limited.blobs.pending()
        blob.write(b"x" * 60_000)
        require_quota(limited.studies.bytes_of_user(1), blob.size_bytes, limited.quota_bytes)  # both are let in
        pending.append(submit.Upload(file_name="a.png", blob=blob))
    submit.submit_study(limited, pending[:1], user_id=1)
    with pytest.raises(QuotaExceeded):
        submit.submit_study(limited, pending[1:], user_id=1)
    assert context.blobs.waiting() == 0


def test_5_2_4_many_small_files_do_not_pass_it(app: Flask, context: Context) -> None:
    """A file of a byte costs rows and a block: it counts as that much, so a quota bounds the number of files, too."""
    limited = replace(context, quota_bytes=10 * LEAST_COUNTED_BYTES)

    def send(count: int) -> None:
        pending = []
        for _ in range(count):
            blob = limited.blobs.pending()
            blob.write(b"x")
            pending.append(submit.Upload(file_name="a.png", blob=blob))
        submit.submit_study(limited, pending, user_id=1)

    with pytest.raises(QuotaExceeded):
        send(11)
    send(6)
    with pytest.raises(QuotaExceeded):
        send(5)
    send(4)


def test_5_2_5_links_in_archives_lead_nowhere(client: FlaskClient, upload: Upload, predict_all: Read) -> None:
    """No archive is accepted, so none with a link in it."""
    study = upload(
        ("link.zip", packed_zip("link", stat.S_IFLNK | 0o777)), ("link.tar", packed_tar("link", tarfile.SYMTYPE))
    )
    predict_all()
    assert [state for state, _ in outcomes(client, study)] == ["refused", "refused"]


def test_5_2_6_too_many_pixels_are_refused_before_any_is_decoded(
    client: FlaskClient, upload: Upload, predict_all: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the header promises: the decoders are never asked."""

    def decode(*_: object, **__: object) -> None:
        raise AssertionError

    header = dicom(Rows=60_000, Columns=60_000)
    buffer = BytesIO()
    Image.new("L", (10, 10)).save(buffer, "JPEG")
    size = re.search(rb"\xff\xc0\x00\x0b\x08(....)", buffer.getvalue(), re.DOTALL)
    assert size is not None
    wide = buffer.getvalue().replace(size[1], b"\xff\x00\xff\x00")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    monkeypatch.setattr("diagnosis_tool.dicom.reader.pixel_array", decode)
    study = upload(("bomb.png", bomb(11_000)), ("wide.jpg", wide), ("huge.dcm", header))
    predict_all()
    for state, words in outcomes(client, study):
        assert state == "refused"
        assert f"{MAX_PIXELS // 10**6} million" in words


def test_5_3_1_nothing_that_was_sent_is_ever_run(
    app: Flask, client: FlaskClient, upload: Upload, tmp_path: Path
) -> None:
    """Files lie outside what is served as files, without extension or execute bit, and come back as attachments."""
    study = upload(("run.py", b"#!/usr/bin/python3\nprint(1)"), ("page.html", b"<script>alert(1)</script>"))
    stored = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert len(stored) == 2
    assert all(re.fullmatch(r"[0-9a-f]{64}", path.name) and not path.stat().st_mode & 0o111 for path in stored)
    assert app.static_folder is not None
    assert not any(path.is_relative_to(app.static_folder) for path in stored)
    assert [kind for _, kind in saved(client, study)] == ["application/octet-stream"] * 2


def test_5_3_2_paths_are_made_by_the_tool_alone(client: FlaskClient, upload: Upload, tmp_path: Path) -> None:
    """A file's name becomes no path, whatever stands in it; and an address that is no uid opens no file."""
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "blobs")}
    for name in ("../../evil.png", "/etc/cron.d/evil", "..\\..\\evil.png", "evil\0.png", "C:\\evil.png"):
        upload((name, phantom_png(1)))
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "blobs")}
    assert {path.name for path in after - before} <= {"audit_head", f"{DATABASE}-wal", f"{DATABASE}-shm"}
    for address in (
        "instances/..%2F..%2Fsecret_key/original",
        "static/../../secret_key",
        "models/..%2F../MODEL_CARD.md",
    ):
        assert client.get(f"/{address}").status_code in {403, 404}


def test_5_3_3_paths_within_archives_are_never_followed(client: FlaskClient, upload: Upload, tmp_path: Path) -> None:
    """Nothing unpacks, so no name in an archive can point elsewhere."""
    upload(("slip.zip", packed_zip("../../../evil.png")), ("slip.tar", packed_tar("../../../evil.png")))
    assert not list(tmp_path.parent.rglob("*evil*"))


def test_5_4_1_the_name_of_a_download_is_the_tools_choice(
    client: FlaskClient, upload: Upload, predict_all: Read
) -> None:
    """Whatever is saved comes with a name in Content-Disposition; none is taken from the address."""
    study = upload(("film.png", phantom_png(1)))
    predict_all()
    image = client.get(f"/studies/{study}/status.json").json["instances"][0]["uid"]
    for address, name in (
        (f"/instances/{image}/original", "film.png"),
        (f"/instances/{image}/report.pdf", "film-report.pdf"),
        (f"/instances/{image}/heatmaps/Mass.png?blend=1", "film-Mass-heatmap.png"),
        (f"/studies/{study}.csv", "study-"),
        (f"/export/readings.csv?study={study}", "readings-"),
        (f"/export/readings.json?study={study}", "readings-"),
        ("/export/reviews.csv", "reviews-"),
    ):
        mark = "&" if "?" in address else "?"
        with client.get(f"{address}{mark}filename=evil.exe&name=evil.exe&download=evil.exe") as answer:
            assert answer.status_code == 200, address
            assert name in answer.headers["Content-Disposition"]
            assert "evil" not in answer.headers["Content-Disposition"]


NAMES = (
    'a";x="b.png',
    "a\r\nSet-Cookie: x=1.png",
    "胸部 Übersicht.png",
    "gnp.\u202eexe.png",
    "a;b=c.png",
    "%0d%0a.png",
)
DISPOSITION = re.compile(
    r"attachment; (filename=([\w.%-]+|\"([^\"\\]|\\.)*\"))?(; )?(filename\*=UTF-8''[\w.%~!#$&+^`|-]+)?"
)


def test_5_4_2_names_in_headers_are_encoded(client: FlaskClient, context: Context) -> None:
    """As RFC 6266 and RFC 8187 have it: no name ends the header, adds a parameter or turns the direction of writing."""
    for name in NAMES:
        blob = context.blobs.pending()
        blob.write(phantom_png(1))
        study = context.studies.study(
            submit.submit_study(context, [submit.Upload(file_name=name, blob=blob)], user_id=1), ALL_PROJECTS
        )
        with client.get(f"/instances/{study.instances[0].uid}/original") as answer:
            assert "Set-Cookie" not in answer.headers
            disposition = answer.headers["Content-Disposition"]
        assert disposition.isascii()
        assert not re.search(r"[\r\n]|%E2%80%AE", disposition)
        assert DISPOSITION.fullmatch(disposition), disposition


def test_5_4_3_that_nothing_is_scanned_for_malware_is_said() -> None:
    """Not done: images are decoded, never opened by another program, and originals go back only as attachments."""
    assert "not scanned for malware" in SECURITY.read_text()


def test_each_clause_of_the_chapter_has_a_test() -> None:
    """13 clauses in four sections, as ASVS 5.0.0 numbers them."""
    clauses = {f"5_{section}_{n}" for section, most in ((1, 1), (2, 6), (3, 3), (4, 3)) for n in range(1, most + 1)}
    assert {name[5:10] for name in globals() if name.startswith("test_5_")} == clauses
