import gzip
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import images
from tests import predicting
from tests.conftest import phantom_png
from tests.dicom_files import FILM, dicom
from tests.fakes.classifier import FakeClassifier
from tests.unit.web.conftest import SignedInBrowser

NAME = "Jürgen's film 1.png"


@pytest.fixture
def instance(client: FlaskClient, upload: Callable[..., str], predict_all: Callable[[], None]) -> str:
    """The address of an image that was read."""
    uid = upload((NAME, phantom_png(3)))
    predict_all()
    status = client.get(f"/studies/{uid}/status.json").json
    return f"/instances/{status['instances'][0]['uid']}"


def picture(client: FlaskClient, url: str) -> Image.Image:
    answer = client.get(url)
    assert answer.status_code == 200
    return Image.open(BytesIO(answer.data))


def test_thumbnail_and_film(client: FlaskClient, instance: str) -> None:
    assert picture(client, f"{instance}/thumbnail.jpg").format == "JPEG"
    film = picture(client, f"{instance}/radiograph.png")
    assert np.array_equal(np.asarray(film), np.asarray(Image.open(BytesIO(phantom_png(3)))))


def test_heatmap_lies_over_the_film_or_is_saved_with_it(client: FlaskClient, instance: str) -> None:
    overlay = picture(client, f"{instance}/heatmaps/Pleural_Thickening.png")
    assert overlay.mode == "RGBA"
    answer = client.get(f"{instance}/heatmaps/No Finding.png?blend=1")
    blend = Image.open(BytesIO(answer.data))
    assert (blend.mode, blend.size) == ("RGB", (256, 256))
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert "No Finding-heatmap.png" in disposition
    assert disposition.isascii()


def test_original_is_the_file_itself_and_never_rendered(client: FlaskClient, instance: str) -> None:
    answer = client.get(f"{instance}/original", buffered=True)
    assert answer.data == phantom_png(3)
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "J%C3%BCrgen" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    "path", ["thumbnail.jpg", "radiograph.png", "pixels", "original", "heatmaps/Mass.png", "heatmaps/Mass.png?blend=1"]
)
def test_pictures_are_cached_privately(client: FlaskClient, instance: str, path: str) -> None:
    first = client.get(f"{instance}/{path}", buffered=True)
    assert "private" in first.headers["Cache-Control"]
    assert "public" not in first.headers["Cache-Control"]
    again = client.get(f"{instance}/{path}", headers={"If-None-Match": first.headers["ETag"]}, buffered=True)
    assert again.status_code == 304
    assert again.data == b""


def test_different_maps_have_different_tags(client: FlaskClient, instance: str) -> None:
    tags = {client.get(f"{instance}/heatmaps/{name}.png").headers["ETag"] for name in ("Mass", "Nodule", "No Finding")}
    tags.add(client.get(f"{instance}/heatmaps/Mass.png?blend=1").headers["ETag"])
    assert len(tags) == 4


@pytest.mark.parametrize("path", ["heatmaps/Gout.png", "heatmaps/Gout.png?blend=1", "other.png"])
def test_what_does_not_exist_is_not_found(client: FlaskClient, instance: str, path: str) -> None:
    assert client.get(f"{instance}/{path}").status_code == 404


def test_an_image_not_read_has_no_pictures(client: FlaskClient, upload: Callable[..., str]) -> None:
    uid = upload(("a.png", phantom_png(4)))
    instance = client.get(f"/studies/{uid}/status.json").json["instances"][0]["uid"]
    for path in ("thumbnail.jpg", "radiograph.png", "pixels", "heatmaps/Mass.png", "heatmaps/Mass.png?blend=1"):
        answer = client.get(f"/instances/{instance}/{path}")
        assert answer.status_code == 404
        assert answer.headers["Cache-Control"] == "no-store"  # it may come yet
    assert client.get(f"/instances/{instance}/original", buffered=True).status_code == 200
    assert client.get(f"/viewer/figures/{instance}.json").status_code == 404


def test_heatmaps_drawn_otherwise_are_fetched_again(
    client: FlaskClient, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = client.get(f"{instance}/heatmaps/Mass.png").headers["ETag"]
    assert client.get(f"{instance}/heatmaps/Mass.png", headers={"If-None-Match": tag}).status_code == 304
    monkeypatch.setattr(images, "_COLOURS", "other")
    assert client.get(f"{instance}/heatmaps/Mass.png", headers={"If-None-Match": tag}).status_code == 200


def first_instance(client: FlaskClient, study: str) -> str:
    return f"/instances/{client.get(f'/studies/{study}/status.json').json['instances'][0]['uid']}"


@pytest.mark.parametrize("packed", [True, False])
def test_pixels_are_the_films_own(client: FlaskClient, instance: str, packed: bool) -> None:
    answer = client.get(f"{instance}/pixels", headers={"Accept-Encoding": "gzip"} if packed else {})
    assert answer.headers.get("Content-Encoding") == ("gzip" if packed else None)
    assert "Accept-Encoding" in answer.headers["Vary"]
    data = gzip.decompress(answer.data) if packed else answer.data
    film = np.asarray(Image.open(BytesIO(phantom_png(3))))
    assert answer.headers["X-Bits-Allocated"] == "8"
    assert (answer.headers["X-Rows"], answer.headers["X-Columns"]) == tuple(map(str, film.shape))
    assert np.array_equal(np.frombuffer(data, np.uint8).reshape(film.shape), film)
    assert "X-Pixel-Spacing-Mm" not in answer.headers
    assert answer.headers["X-View-Position"] == "unknown"


def test_pixels_above_8_bits_keep_all_their_greys(
    client: FlaskClient, upload: Callable[..., str], predict_all: Callable[[], None]
) -> None:
    deep = FILM.astype(np.uint16) * 16 + 7
    data = dicom(deep, BitsStored=12, HighBit=11, PixelSpacing=[0.2, 0.25])
    uid = upload(("deep.dcm", data))
    predict_all()
    answer = client.get(f"{first_instance(client, uid)}/pixels")
    assert (answer.headers["X-Bits-Allocated"], answer.headers["X-Bits-Stored"]) == ("16", "12")
    assert answer.headers["X-Pixel-Spacing-Mm"] == "0.2,0.25"
    assert answer.headers["X-View-Position"] == "PA"
    shown = np.frombuffer(answer.data, "<u2").reshape(deep.shape)
    assert len(np.unique(shown)) == len(np.unique(deep)) > 200  # as 8 bits they would be fewer
    assert np.array_equal(shown, deep)


def test_what_is_looked_at_is_read_first(client: FlaskClient, upload: Callable[..., str], context: Context) -> None:
    uid = upload(*((f"{k}.png", phantom_png(k)) for k in range(6)))
    uids = [i["uid"] for i in client.get(f"/studies/{uid}/status.json").json["instances"]]
    assert client.post(f"/instances/{uids[5]}/attend").status_code == 204
    assert [job.instance_uid for job in context.jobs.claim("w", 1)] == [uids[5]]
    assert client.post("/instances/none/attend").status_code == 404


def test_a_failed_image_is_read_again_when_asked(
    client: FlaskClient, upload: Callable[..., str], context: Context, predict_all: Callable[[], None]
) -> None:
    address = first_instance(client, upload(("a.png", phantom_png(7))))
    assert client.post(f"{address}/retry").status_code == 409
    predicting.predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    assert context.studies.instance(address.rsplit("/", 1)[1], ALL_PROJECTS).state is InstanceState.FAILED
    assert client.post(f"{address}/retry").status_code == 204
    predict_all()
    assert context.studies.instance(address.rsplit("/", 1)[1], ALL_PROJECTS).state is InstanceState.DONE


def test_what_is_of_patients_is_kept_by_no_browser_and_pictures_for_one_sign_in_alone(
    browser: SignedInBrowser, instance: str
) -> None:
    uid = instance.rsplit("/", 1)[-1]
    study = browser.get(f"{instance}/priors.json").json["instances"][0]["study_uid"]
    for address in ("/", f"/studies/{study}", f"/studies/{study}.json", f"/studies/{study}/status.json",
                    f"/studies/{study}.csv", "/export/reviews.csv", f"{instance}/review.json", f"{instance}/report.pdf",
                    f"/viewer/?instance={uid}", f"/viewer/figures/{uid}.json", "/account"):  # fmt: skip
        assert browser.get(address).headers["Cache-Control"] == "no-store", address
    for part in ("thumbnail.jpg", "radiograph.png", "pixels", "original", "heatmaps/Mass.png"):
        answer = browser.get(f"{instance}/{part}", buffered=True)
        assert "max-age" in answer.headers["Cache-Control"]
        assert "Cookie" in answer.headers["Vary"], part
