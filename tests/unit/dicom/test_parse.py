"""File formats around a data set: deflated, without preamble, broken off."""

import zlib

import numpy as np
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from diagnosis_tool.dicom import parse
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from tests.dicom_files import FILM, dataset, dicom, written

DEEP = FILM.astype(np.uint16) * 16


def deflated() -> bytes:
    ds = dataset(FILM)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return written(ds)


def test_a_deflated_film_is_the_film() -> None:
    film = decode_radiograph(deflated())
    np.testing.assert_array_equal(film.pixels, FILM)
    assert len(deflated()) < len(dicom())


def test_a_deflated_file_inflates_to_a_film_and_no_further() -> None:
    film = deflated()
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = film[: film.index(b"1.2.840.10008.1.2.1.99") + 22]
    bomb = head + packer.compress(bytes(300_000_000)) + packer.flush()
    with pytest.raises(UnsupportedImage, match="inflates to more than any radiograph"):
        decode_radiograph(bomb)


@pytest.mark.parametrize("part", [0.5, 0.9, 0.999])
def test_a_deflated_file_that_breaks_off_is_damaged(part: float) -> None:
    film = deflated()
    with pytest.raises(UnreadableInput, match="damaged or cut short"):
        decode_radiograph(film[: int(len(film) * part)])


def test_that_uid_anywhere_else_is_a_text_as_any_other() -> None:
    film = decode_radiograph(dicom(FILM, StudyDescription=str(DeflatedExplicitVRLittleEndian)))
    np.testing.assert_array_equal(film.pixels, FILM)


def bare(*, implicit: bool, little: bool) -> bytes:
    """The data set alone."""
    deep = DEEP if little else DEEP.astype(">u2")
    ds = dataset(deep, PixelPaddingValue=0)
    ds["PixelData"].VR = "OW"
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = implicit, little
    write_dataset(out, ds)
    return bytes(out.getvalue())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_plain_encodings(syntax: UID) -> None:
    meta = dataset().file_meta
    meta.TransferSyntaxUID = syntax
    head = DicomBytesIO()
    write_file_meta_info(head, meta)
    body = bare(implicit=syntax.is_implicit_VR, little=syntax.is_little_endian)
    film = decode_radiograph(b"\0" * 128 + b"DICM" + bytes(head.getvalue()) + body)
    np.testing.assert_array_equal(film.pixels, np.where(DEEP == 0, DEEP[DEEP > 0].min(), DEEP))


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_data_set_without_a_file_header_is_told_what_it_is(*, implicit: bool, little: bool) -> None:
    with pytest.raises(UnreadableInput, match="DICOM without a file header"):
        decode_radiograph(bare(implicit=implicit, little=little))


def test_a_file_whose_preamble_was_cut_off_is_told_what_it_is() -> None:
    with pytest.raises(UnreadableInput, match="DICOM without a file header"):
        decode_radiograph(dicom()[132:])


@pytest.mark.parametrize("data", [b"\x08\0" + b"\xff" * 40, b"\2\0\0\0", b"\0\x08abcdefgh" * 4, bytes(200)])
def test_what_only_begins_like_one_is_no_image(data: bytes) -> None:
    assert not parse.is_bare_data_set(data)
    with pytest.raises(UnreadableInput, match="not a PNG, JPEG or DICOM"):
        decode_radiograph(data)
