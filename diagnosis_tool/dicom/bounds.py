"""Cheap checks in front of decoders: a decoder makes room for what a compressed stream says, whatever the tags say.

What gets past them meets the limits of the process that decodes (diagnosis_tool.decoding).
Source: DICOM PS3.5 annex A.4 (encapsulation), annex G (RLE); ITU-T T.800 annex A (JPEG 2000), T.81 and T.87 (JPEG).
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_fragments
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from diagnosis_tool.cxr.jpeg_header import jpeg_header
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage

MAX_WORDS: Final = 64
"""Letters of a file's own words that are kept, as in an error: most of DICOM's short texts may have as many."""
_SHORT_VALUE_BYTES: Final = 1 << 16
"""Explicit VR cannot write a longer value of these representations; implicit VR can."""
_SHORT_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"})
_MAX_TILES: Final = 10_000
"""Of a JPEG 2000 stream: 100 million pixels in tiles of 100 x 100. Each costs a decoder kilobytes before it is seen."""
_MAX_LAYERS: Final = 1_000
_RLE_HEADER: Final = struct.Struct("<16L")
_RLE_SLACK: Final = 128
"""Bytes that a segment's padding may unpack to beyond its pixels."""


def words(text: str) -> str:
    """A file's own words, cut to MAX_WORDS letters."""
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"


def cut_long_values(dataset: Dataset) -> None:
    """Cuts values that no standard file has so long, before anything is made of them."""
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and len(raw.value or b"") > _SHORT_VALUE_BYTES and _vr(raw) in _SHORT_VRS:
            short = (raw.value or b"")[:_SHORT_VALUE_BYTES]
            dataset[tag] = raw._replace(value=short, length=len(short))


def _vr(raw: RawDataElement) -> str:
    try:
        return str(dictionary_VR(raw.tag))
    except KeyError:
        return raw.VR or "UN"


def refuse_false_frame(dataset: Dataset) -> None:
    """Compares the only frame with the data set's own tags, and how it is packed with what a frame can be.

    Raises UnreadableInput for what does not fit, UnsupportedImage for pixels of neither 8 nor 16 bits.
    """
    bits = int(dataset.BitsAllocated)
    if bits not in {8, 16}:
        raise UnsupportedImage(
            "The DICOM file stores %(bits)s bits a pixel; radiographs have 8 or 16. Export it again.", bits=bits
        )
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    frame = _frame(dataset)
    size = (int(dataset.Rows), int(dataset.Columns))
    if syntax == RLELossless:
        _refuse_false_rle(frame, size[0] * size[1], bits // 8)
    elif syntax in JPEG2000TransferSyntaxes:  # the high-throughput ones among them
        _refuse_other(_jpeg2000_header(frame), size, bits)
    elif syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        header = jpeg_header(frame)
        stated = _Stated(
            size=(header.height_px, header.width_px), bits=header.precision_bits, components=header.components
        )
        _refuse_other(stated, size, bits)


def _damaged() -> UnreadableInput:
    return UnreadableInput("The DICOM file is damaged or cut short. Export or send it again.")


def _frame(dataset: Dataset) -> bytes:
    """All fragments together: there is one frame. Its place may be stated, but only where it is: at the start."""
    fragments = list(generate_fragments(dataset.PixelData))  # dicom.structure has bounded how many there are
    if not fragments or fragments[0] not in (b"", b"\0\0\0\0"):
        raise _damaged()
    frame = fragments[1] if len(fragments) == 2 else b"".join(fragments[1:])
    if "ExtendedOffsetTable" in dataset:
        lengths = dataset.get("ExtendedOffsetTableLengths") or b""
        (length,) = struct.unpack("<Q", lengths) if len(lengths) == 8 else (-1,)
        if dataset.ExtendedOffsetTable != bytes(8) or not len(frame) - 1 <= length <= len(frame):
            raise _damaged()
    return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What a stream says of itself. size: rows, columns. bits: of a sample."""

    size: tuple[int, int]
    bits: int
    components: int


def _refuse_other(stated: _Stated, size: tuple[int, int], bits: int) -> None:
    # fewer bits than are stored are common (12 in 16); another number of bytes never is
    if (stated.size, stated.components, 8 * -(-stated.bits // 8)) != (size, 1, bits):
        raise UnreadableInput(
            "The compressed image has another size, depth or number of channels than the file's header says. "
            "Export it uncompressed."
        )


def _jpeg2000_header(frame: bytes) -> _Stated:
    at = frame.find(b"\xff\x4f\xff\x51", 0, 1 << 16)  # boxes of a JP2 file may stand before it
    fields = struct.Struct(">HHHLLLLLLLLH")
    if at < 0 or at + 2 + fields.size + 3 > len(frame):
        raise _damaged()
    _, _, _, right, bottom, left, top, tile_width, tile_height, _, _, components = fields.unpack_from(frame, at + 2)
    depth, dx, dy = frame[at + 2 + fields.size : at + 5 + fields.size]
    if 0 in {tile_width, tile_height, dx, dy} or right <= left or bottom <= top:
        raise _damaged()
    tiles = -(-(right - left) // tile_width) * -(-(bottom - top) // tile_height)
    style = frame.find(b"\xff\x52", at)
    layers = int.from_bytes(frame[style + 6 : style + 8], "big") if style >= 0 else 1
    if tiles > _MAX_TILES or layers > _MAX_LAYERS or (dx, dy) != (1, 1):
        raise _damaged()
    return _Stated(size=(bottom - top, right - left), bits=(depth & 0x7F) + 1, components=components)


def _refuse_false_rle(frame: bytes, pixels: int, segments: int) -> None:
    if len(frame) < _RLE_HEADER.size:
        raise _damaged()
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    starts = [*offsets[:segments], len(frame)]
    longest = _RLE_HEADER.size + segments * (2 * pixels + _RLE_SLACK)  # a run of one byte takes two
    if count != segments or len(frame) > longest or starts[0] < _RLE_HEADER.size or starts != sorted(starts):
        raise _damaged()
    for start, end in pairwise(starts):
        if _unpacked_bytes(frame, start, end, pixels + _RLE_SLACK) > pixels + _RLE_SLACK:
            raise _damaged()


def _unpacked_bytes(frame: bytes, at: int, end: int, most: int) -> int:
    """To how many bytes a segment unpacks; no further than beyond `most`."""
    total = 0
    while at < end and total <= most:
        head = frame[at]
        if head > 128:
            total += 257 - head
            at += 2
        elif head < 128:
            total += head + 1
            at += head + 2
        else:
            at += 1
    return total
