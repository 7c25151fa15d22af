"""Compressed pixels that break off are refused, whoever would have made up the rest."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from diagnosis_tool.cxr.jpeg_stream import has_end
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import UnreadableInput
from tests.dicom_files import FILM, compressed, dicom, jpeg_streams, written

END = b"\xff\xd9"
STREAMS = dict(jpeg_streams())
Stream = tuple[bytes, UID, tuple[int, int], int]
each_kind = pytest.mark.parametrize("kind", STREAMS)


def cut(stream: bytes, part: float) -> bytes:
    return stream[: int(len(stream) * part)]


def refused(data: bytes) -> bool:
    try:
        decode_radiograph(data)
    except UnreadableInput:
        return True
    return False


@each_kind
def test_a_whole_stream_is_read_also_when_it_is_filled_up(kind: str) -> None:
    stream, *rest = STREAMS[kind]
    whole = decode_radiograph(compressed(stream, *rest)).pixels
    for filling in (b"\0", b"\0\0\0", b"\xff", b"\xff\0"):
        filled = decode_radiograph(compressed(stream.rstrip(b"\0\xff") + filling, *rest)).pixels
        np.testing.assert_array_equal(filled, whole)


@each_kind
@pytest.mark.parametrize("part", [0.05, 0.1, 0.5, 0.99])
def test_a_cut_stream_is_refused(kind: str, part: float) -> None:
    stream, *rest = STREAMS[kind]
    assert refused(compressed(cut(stream.rstrip(b"\0\xff")[:-2], part), *rest))


@pytest.mark.parametrize("kind", [kind for kind in STREAMS if "lossless" not in kind and kind != "12 bits"])
@pytest.mark.parametrize("part", [0.05, 0.1, 0.5, 0.99])
def test_a_stream_that_was_closed_again_is_refused_where_a_decoder_tells(kind: str, part: float) -> None:
    stream, *rest = STREAMS[kind]
    assert refused(compressed(cut(stream, part) + END, *rest))


def test_less_than_a_bit_a_pixel_is_no_lossless_stream() -> None:
    """libjpeg makes up what a closed stream lacks: this much can be told without it."""
    for kind in ("lossless, 8 bits", "lossless, 16 bits"):
        stream, *rest = STREAMS[kind]
        assert refused(compressed(cut(stream, 0.05) + END, *rest))


@pytest.mark.parametrize("part", [0.05, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_other_codes_are_refused_too(syntax: UID, part: float) -> None:
    if syntax == JPEG2000Lossless:
        buffer = BytesIO()
        Image.fromarray(FILM).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
        stream = buffer.getvalue()
    else:
        ds = dcmread(BytesIO(dicom()))
        ds.compress(RLELossless)
        stream = next(generate_frames(ds.PixelData, number_of_frames=1))
    shape = (FILM.shape[0], FILM.shape[1])
    np.testing.assert_array_equal(decode_radiograph(compressed(stream, syntax, shape, 8)).pixels, FILM)
    assert refused(compressed(cut(stream, part), syntax, shape, 8))


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_too_few_bytes_without_compression(part: float) -> None:
    ds = dcmread(BytesIO(dicom()))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    ds.PixelData = cut(ds.PixelData, part) + b"\0" * (int(len(ds.PixelData) * part) % 2)
    with pytest.raises(UnreadableInput, match="damaged or cut short"):
        decode_radiograph(written(ds))


def test_the_end_is_looked_for_behind_the_filling_only() -> None:
    assert has_end(b"\xff\xd8..\xff\xd9")
    assert has_end(b"\xff\xd8..\xff\xd9" + b"\0\xff" * 1000)
    assert not has_end(b"\xff\xd8..\xff\xd9.")
    assert not has_end(b"\xff\xd9\xd9\xff\0")
    assert not has_end(b"")
