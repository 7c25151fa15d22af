"""Bytes to a DICOM data set: what the file format (PS3.10 section 7) and deflating (PS3.5 A.5) wrap around it."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.dicom.admit import damaged
from diagnosis_tool.dicom.bounds import cut_long_values
from diagnosis_tool.dicom.elements import READ
from diagnosis_tool.dicom.structure import refuse_overfull, walk
from diagnosis_tool.errors import UnsupportedImage

_PREAMBLE: Final = 128
_DATA_SET: Final = _PREAMBLE + 4
# a film of 16 bits at the largest size that is read, and room for all that stands beside it
_MAX_INFLATED_BYTES: Final = 2 * MAX_PIXELS + 56_000_000
_UNDEFINED: Final = 0xFFFFFFFF
_TEXTS: Final = (
    "PatientName",
    "PatientID",
    "BodyPartExamined",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
)
# The first element of a data set is of group 2 or 8 and is short.
_BARE_FIRST: Final = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_VRS_OF_FIRST: Final = frozenset({b"UL", b"OB", b"CS", b"UI", b"SH", b"LO", b"DA", b"TM", b"DT", b"ST", b"UN"})
_LAST_FIRST: Final = 0x0100
_LONGEST_FIRST: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A data set, only elements of READ in it. is_cut: the file breaks off in the middle of an element."""

    dataset: Dataset
    is_cut: bool


def is_dicom(data: bytes) -> bool:
    """True for a DICOM file by its preamble (PS3.10 section 7.1)."""
    return data[_PREAMBLE:_DATA_SET] == b"DICM"


def is_bare_data_set(data: bytes) -> bool:
    """True for what looks like a DICOM data set without preamble and 'DICM', as some archives and tools pass it on."""
    group, element, value = data[:2], data[2:4], data[4:8]
    if is_dicom(data) or group not in _BARE_FIRST or len(data) < 16:
        return False
    number, length = struct.unpack(">HI" if group[0] == 0 else "<HI", element + value)
    return number <= _LAST_FIRST and (value[:2] in _VRS_OF_FIRST or 0 < length <= _LONGEST_FIRST)


def parse(data: bytes) -> Parsed:
    """The data set of a DICOM file, whatever its transfer syntax. Raises UnsupportedImage, and whatever damage raises.

    A deflated one inflates to as much as the largest film has; more is refused before it is there.
    """
    meta, end = _file_meta(data)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        content = _inflated(memoryview(data)[end:])
        walk(content, 0, implicit=False)
        inflated = BytesIO(content)
        elements = read_dataset(inflated, False, True, specific_tags=[Tag(name) for name in READ])
        return _parsed(FileDataset(inflated, elements, data[:_PREAMBLE], meta, False, True))
    refuse_overfull(data)
    stream = BytesIO(data)
    dataset = dcmread(stream, specific_tags=list(READ))
    if len(dataset):
        return _parsed(dataset, is_cut=stream.tell() > len(data))
    # pydicom lets go of all elements where encapsulated pixels break off: what stands before them is still there
    stream.seek(0)
    return _parsed(dcmread(stream, specific_tags=list(READ), stop_before_pixels=True), is_cut=stream.tell() < len(data))


def _file_meta(data: bytes) -> tuple[FileMetaDataset, int]:
    """The elements of group 2, which are in explicit VR little endian whatever follows, and where they end."""
    stream = BytesIO(data)
    stream.seek(_DATA_SET)
    elements = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    return FileMetaDataset(elements), stream.tell()


def _inflated(deflated: memoryview) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflating.decompress(deflated, _MAX_INFLATED_BYTES)
    if inflating.unconsumed_tail:
        raise UnsupportedImage(
            "The deflated DICOM file inflates to more than any radiograph (limit %(limit)s MB). Nothing was read.",
            limit=_MAX_INFLATED_BYTES // 1_000_000,
        )
    if not inflating.eof:
        raise damaged()
    return inflated


def _parsed(dataset: Dataset, *, is_cut: bool = False) -> Parsed:
    for tag in tuple(dataset.keys()):
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.length != _UNDEFINED and len(raw.value or b"") < raw.length:
            is_cut = True
    cut_long_values(dataset)
    _assume_utf8(dataset)
    return Parsed(dataset=dataset, is_cut=is_cut)


def _assume_utf8(dataset: Dataset) -> None:
    """Without Specific Character Set only ASCII is allowed; who breaks that today writes UTF-8, which shows itself."""
    if dataset.get("SpecificCharacterSet"):
        return
    raw = [dataset.get_item(name) for name in _TEXTS if name in dataset]
    said = b" ".join(one.value for one in raw if isinstance(one, RawDataElement) and isinstance(one.value, bytes))
    if said.isascii():
        return
    try:
        said.decode("utf-8")
    except UnicodeDecodeError:
        return
    implicit, little_endian = dataset.original_encoding
    dataset.set_original_encoding(implicit, little_endian, "utf8")
