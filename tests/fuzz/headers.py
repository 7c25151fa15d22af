"""DICOM headers by grammar: a sound film's elements, some of them with values that somebody may write."""

import struct
from collections.abc import Mapping
from typing import Final

import pydicom
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from pydicom.datadict import dictionary_VR, tag_for_keyword

from tests.dicom_files import dicom
from tests.fuzz.samples import FILM

NAMES: Final = (
    "SpecificCharacterSet", "SOPClassUID", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate",
    "ContentTime", "SeriesDate", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC", "Modality",
    "PresentationIntentType", "ConversionType", "StudyDescription", "SeriesDescription", "ProtocolName",
    "AnatomicRegionSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "BodyPartExamined", "ViewPosition", "ViewCodeSequence", "PatientOrientation", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "ImagerPixelSpacing", "PixelAspectRatio", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "BurnedInAnnotation", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence", "VOILUTSequence",
    "PresentationLUTShape", "PixelData",
)  # fmt: skip
_WORDS: Final = (
    "", " ", "\\", "\\\\", "CHEST", "PA", "L\\F", "R\\H", "A\\F", "YES", "NO", "INVERSE", "IDENTITY", "MONOCHROME1",
    "MONOCHROME2", "RGB", "SIGMOID", "LINEAR_EXACT", "00010101", "99991231", "20260230", "19000229", "235959.999999",
    "246060", "00010101000000+1400", "99991231235959-1200", "20200101000000.000000+9999", "+1400", "-9999", "057Y",
    "999Y", "-01D", "000W", "M", "NaN", "Infinity", "-1e400", "1e-320", "1E308", "0", "-0", "-1", "65536", "2147483648",
    "0.1\\0.2", "1\\2\\3", "9" * 400, "ISO_IR 192", "ISO_IR 100", "\\ISO 2022 IR 87", "ISO 2022 IR 149\\GB18030", "odd",
    "x" * 70_000, "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "\u202ename", "\x1b$B;3ED\x1b(B", "\0", "a\nb", "A^B^C^D",
)  # fmt: skip


@st.composite
def headers(draw: DrawFn) -> bytes:
    """A file in explicit VR little endian."""
    changed: dict[int, tuple[str, bytes | None]] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5)):
        tag, vr = int(tag_for_keyword(name) or 0), dictionary_VR(tag_for_keyword(name)).split(" ")[0]
        if draw(st.integers(0, 9)) == 0:
            changed[tag] = (vr, None)
            continue
        if draw(st.integers(0, 19)) == 0:
            vr = draw(st.sampled_from(("UN", "OB", "LT", "SQ", "US", "FD", "AT", "ZZ")))
        changed[tag] = (vr, draw(_values(vr)))
    return film_with(changed)


def film_with(changed: Mapping[int, tuple[str, bytes | None]]) -> bytes:
    """A sound film's file, these elements (by tag: VR, value) in it, or not where there is no value."""
    sound = dicom(FILM)
    film = pydicom.dcmread(_stream(sound))
    raw = {int(element.tag): (element.VR, _plain(element)) for element in film} | dict(changed)
    return sound[: _meta_end(sound)] + b"".join(
        _element(tag, vr, value) for tag, (vr, value) in sorted(raw.items()) if value is not None
    )


def _values(vr: str) -> st.SearchStrategy[bytes]:
    words = st.one_of(
        st.sampled_from(_WORDS).map(lambda text: text.encode("utf-8")),
        st.text(max_size=20).map(lambda text: text.encode("utf-8")),
        st.binary(max_size=20),
    )
    if vr in {"US", "SS"}:
        edges = (0, 1, 2, 7, 8, 11, 12, 15, 16, 17, 32, 64, 72, 80, 255, 32768, 65535)
        return st.one_of(st.lists(st.sampled_from(edges), min_size=1, max_size=3).map(_numbers), st.binary(max_size=5))
    if vr == "SQ":
        return st.one_of(st.lists(st.sampled_from(_ITEMS), max_size=3).map(b"".join), st.binary(max_size=30))
    return words


def _numbers(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def _element(tag: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in {"OB", "OW", "SQ", "UN", "UT", "UC", "UR"}:
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value) & 0xFFFF) + value


def _item(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body


_ITEMS: Final = (
    _item(),
    _item(_element(0x00080100, "SH", b"39607008"), _element(0x00080102, "SH", b"SCT")),
    _item(
        _element(0x00080100, "SH", b"R-10236"), _element(0x00080102, "SH", b"SRT"), _element(0x00080104, "LO", b"\xff")
    ),
    _item(_element(0x00283002, "US", _numbers([2, 0, 16])), _element(0x00283006, "US", _numbers([0, 65535]))),
    _item(_element(0x00283002, "US", _numbers([0, 65535, 8])), _element(0x00283006, "US", b"\1")),
    _item(_element(0x00283002, "US", _numbers([4096, 0, 12])), _element(0x00283006, "OW", b"\0\1" * 4096)),
)


def _plain(element: pydicom.DataElement) -> bytes:
    if element.VR in {"US", "SS"}:
        return _numbers([int(element.value)])
    return bytes(element.value) if isinstance(element.value, bytes) else str(element.value).encode()


def _meta_end(data: bytes) -> int:
    return 132 + 12 + int(pydicom.dcmread(_stream(data)).file_meta.FileMetaInformationGroupLength)


def _stream(data: bytes) -> "pydicom.filebase.DicomBytesIO":
    return pydicom.filebase.DicomBytesIO(data)
