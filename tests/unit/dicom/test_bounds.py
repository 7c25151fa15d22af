"""What is refused before any decoder runs, at once and in words; what is lawful passes."""

import struct
import time
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, RLELossless

from diagnosis_tool.cxr.jpeg_header import MAX_SCANS
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.dicom.structure import MAX_DEPTH, MAX_ELEMENTS, MAX_FRAGMENTS, walk
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from tests import hostile_files as made
from tests.dicom_files import FILM, dicom, written

REFUSED = [(name, data, words) for name, data, words in made.FILES if words]


@pytest.mark.parametrize(("name", "data", "words"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_it_is_refused_in_words_before_it_costs_anything(name: str, data: bytes, words: str) -> None:
    start = time.process_time()
    with pytest.raises((UnreadableInput, UnsupportedImage), match=words) as refused:
        decode_radiograph(data)
    assert time.process_time() - start < 5
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        dicom(),
        made.many_elements(MAX_ELEMENTS // 2),
        made.deep(MAX_DEPTH - 2, lengths=True),
        made.deep(MAX_DEPTH - 2, lengths=False),
        made.compressed(made.encoded("JPEG", quality=100), JPEGBaseline8Bit),
        made.compressed(made.encoded("JPEG2000", no_jp2=True), JPEG2000),
        made.compressed(made.encoded("JPEG2000"), JPEG2000),
        made.many_fragments(MAX_FRAGMENTS // 2),
        made.lying_table(struct.pack("<L", 0)),
    ],
    ids=["plain", "elements", "deep", "deep, open", "jpeg", "j2k", "jp2", "fragments", "table"],
)
def test_what_is_lawful_passes(data: bytes) -> None:
    assert np.abs(decode_radiograph(data).pixels.astype(int) - FILM).mean() < 4


def test_rle_as_pydicom_writes_it_passes() -> None:
    for film in (FILM, FILM.astype(np.uint16) * 200, np.random.default_rng(0).integers(0, 65536, (70, 90), np.uint16)):
        ds = dcmread(BytesIO(dicom(film)))
        ds.compress(RLELossless)
        np.testing.assert_array_equal(decode_radiograph(written(ds)).pixels, film)


def test_as_many_scans_as_any_export_has_pass() -> None:
    assert decode_radiograph(made.jpeg_of_scans(MAX_SCANS)).pixels.shape == FILM.shape


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_walked(order: str) -> None:
    level = struct.pack(f"{order}HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    level += struct.pack(f"{order}HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    walk(level * MAX_DEPTH, 0, implicit=False, big=order == ">")
    with pytest.raises(UnsupportedImage, match="far more parts"):
        walk(level * (MAX_DEPTH + 2), 0, implicit=False, big=order == ">")


@pytest.mark.parametrize("name", ["name.dcm", "before-time.dcm", "after-time.dcm"])
def test_a_film_with_odd_words_is_a_film(name: str) -> None:
    (data,) = [data for own, data, _ in made.FILES if own == name]
    subject = decode_radiograph(data).subject
    assert subject.acquired_at is None
    assert len(subject.patient_name or "") <= 255
