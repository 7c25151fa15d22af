"""Files: a film, or a refusal in words, whatever their bytes; and what was made of one is stored and shown.

Bytes with edits go to the process that decodes, as an installation has it: what native code does to itself ends it, not
the test. Headers go the whole way, through upload, worker and pages.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import strategies as st

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.domain.studies import ImageFacts
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from diagnosis_tool.services.predict_job import thumbnail_jpeg
from tests import predicting
from tests.fakes.classifier import FakeClassifier
from tests.fuzz.headers import film_with, headers
from tests.fuzz.mutations import mutated
from tests.fuzz.running import BOTH, fuzz, words
from tests.fuzz.samples import dicom_samples, dicom_streams, jpeg_samples, jpeg_segments, png_chunks, png_samples
from tests.fuzz.test_requests import Reader

_MOST_WORDS: Final = 1000


class Decoding:
    """What is promised of decoding any bytes. fake: prepares what came of them."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.fake = FakeClassifier()

    def promise(self, data: bytes) -> None:
        """Anything but these two errors is raised on: RuntimeError is what a decoder's own fault becomes."""
        try:
            film = self.pool.decode(data)
            check(film)
            self.fake.prepare(film)
        except (UnreadableInput, UnsupportedImage) as refusal:
            words(refusal, _MOST_WORDS)


def check(film: Radiograph) -> None:
    """What a film is made of can be stored and shown."""
    assert film.pixels.ndim == 2
    assert film.pixels.size > 0
    assert film.pixels.dtype in (np.uint8, np.uint16)
    said = repr(ImageFacts.of(film))
    assert len(said) < 5 * _MOST_WORDS
    said.encode()
    assert len(thumbnail_jpeg(film)) < 200_000


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    with Pool(warm=1) as pool:
        yield Decoding(pool)


@BOTH
def test_any_dicom_bytes_are_a_film_or_refused(box: bool, decoding: Decoding) -> None:
    fuzz(st.one_of(dicom_streams(), mutated(dicom_samples())), decoding.promise, box=box, smoke=40)


@BOTH
def test_any_png_is_a_film_or_refused(box: bool, decoding: Decoding) -> None:
    fuzz(st.one_of(png_chunks(), mutated(png_samples())), decoding.promise, box=box, smoke=40)


@BOTH
def test_any_jpeg_is_a_film_or_refused(box: bool, decoding: Decoding) -> None:
    fuzz(st.one_of(jpeg_segments(), mutated(jpeg_samples())), decoding.promise, box=box, smoke=40)


def test_the_grammar_begins_with_a_film_that_is_read(tmp_path: Path) -> None:
    assert Uploading(tmp_path).promise(film_with({})) == "done"


@BOTH
def test_any_dicom_header_is_read_stored_and_shown(box: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    uploading = Uploading(tmp_path_factory.mktemp("headers"))
    fuzz(headers(), uploading.promise, box=box, smoke=5)


class Uploading(Reader):
    """Sends files, has them read in this process, opens the pages. What a file says is on every one of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fake = FakeClassifier()

    def promise(self, data: bytes) -> str:
        study = self.uploaded(data)
        predicting.predict_all(self.context, self.fake)
        (image,) = self.json(f"{study}.json")["instances"]
        assert image["state"] in {"done", "refused"}, image
        assert len(image["error"] or "") < _MOST_WORDS
        uid = self.json(f"{study}/status.json")["instances"][0]["uid"]
        address = f"/instances/{uid}"
        pages = [study, f"{study}.json", f"{study}.csv", "/", f"{address}/priors.json", f"{address}/pixels"]
        if image["state"] == "done":
            pages += [f"{address}/report.pdf", f"{address}/thumbnail.jpg", f"/viewer/?instance={uid}"]
        for page in pages:
            with self.browser.get(page) as answer:
                assert answer.status_code < 500, page
                assert answer.status_code == 200 or page.endswith("/pixels"), page
        self.browser.post("/delete", data={"study": study.rsplit("/", 1)[-1]})
        return str(image["state"])

    def uploaded(self, data: bytes) -> str:
        answer = self.browser.post("/studies", data={"files": [(BytesIO(data), "film.dcm")]})
        assert answer.status_code == 303, answer.text[:500]
        return answer.headers["Location"]
