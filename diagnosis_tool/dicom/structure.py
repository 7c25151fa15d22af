"""How a DICOM file is put together, looked at without making anything of it: a parser makes objects of every element.

Source: DICOM PS3.5 section 7 (data set encoding), annex A.4 (encapsulated pixel data); PS3.10 section 7 (file meta).
"""

import struct
from typing import Final

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from diagnosis_tool.errors import UnsupportedImage

MAX_ELEMENTS: Final = 50_000
"""In all levels together. Radiographs have some hundreds; a parser takes 450 bytes and 10 µs for each."""
MAX_DEPTH: Final = 16
"""Of sequences in sequences. Structured reports go deeper, radiographs do not."""
MAX_FRAGMENTS: Final = 20_000
"""That one film's compressed pixels are cut into; writers that cut at all do it at 64 kB or more."""
_META: Final = 132
_UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a length of 32 bits."""
_PIXELS: Final = (0x7FE0, 0x0010)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_ENDLESS: Final = float("inf")


def refuse_overfull(data: bytes) -> None:
    """Looks at a file with preamble. Raises UnsupportedImage for more elements, levels or fragments than a film has."""
    at = _META
    syntax = b""
    while at + 8 <= len(data) and data[at : at + 2] == b"\2\0":  # the meta information: explicit, little-endian
        length, value = _explicit(data, at, "<")
        if data[at + 2 : at + 4] == b"\x10\0":
            syntax = data[value : value + min(length, 64)].rstrip(b"\0 ")
        at = value + length
    walk(data, at, implicit=syntax == ImplicitVRLittleEndian.encode(), big=syntax == ExplicitVRBigEndian.encode())


def walk(data: bytes, at: int, *, implicit: bool, big: bool = False) -> None:
    """As `refuse_overfull`, of a data set that begins at this offset. Damage is left to whoever parses it."""
    order = ">" if big else "<"
    tag_of = struct.Struct(f"{order}HH").unpack_from
    length_of = struct.Struct(f"{order}L").unpack_from
    ends: list[float] = []  # of the sequences and items that are open
    count, size = 0, len(data)
    while at + 8 <= size:
        while ends and at >= ends[-1]:
            ends.pop()
        count += 1
        if count > MAX_ELEMENTS or len(ends) > 2 * MAX_DEPTH:
            raise _overfull()
        group, element = tag_of(data, at)
        if group == 0xFFFE:
            (length,) = length_of(data, at + 4)
            at += 8
            if element == _ITEM:
                ends.append(_ENDLESS if length == _UNDEFINED else at + length)
            elif ends and ends[-1] == _ENDLESS:
                ends.pop()
            continue
        vr = b"" if implicit else data[at + 4 : at + 6]
        if implicit or not b"AA" <= vr <= b"ZZ":
            (length,), value, vr = length_of(data, at + 4), at + 8, b""
        else:
            length, value = _explicit(data, at, order)
        if length == _UNDEFINED and ((group, element) == _PIXELS or vr in {b"OB", b"OW"}):
            at = _past_fragments(data, value, order)
        elif vr == b"SQ" or length == _UNDEFINED or (vr in {b"", b"UN"} and _is_item(data, value, order)):
            ends.append(_ENDLESS if length == _UNDEFINED else value + length)
            at = value
        else:
            at = value + length


def _explicit(data: bytes, at: int, order: str) -> tuple[int, int]:
    """(length, offset of the value) of an element with explicit VR."""
    if data[at + 4 : at + 6] in _LONG:
        if at + 12 > len(data):
            return 0, len(data)
        return struct.unpack_from(f"{order}L", data, at + 8)[0], at + 12
    return struct.unpack_from(f"{order}H", data, at + 6)[0], at + 8


def _is_item(data: bytes, at: int, order: str) -> bool:
    return data[at : at + 4] == struct.pack(f"{order}HH", 0xFFFE, _ITEM)


def _past_fragments(data: bytes, at: int, order: str) -> int:
    header = struct.Struct(f"{order}HHL")
    for _ in range(MAX_FRAGMENTS + 2):  # the offset table and the end count, too
        if at + 8 > len(data):
            return len(data)
        group, element, length = header.unpack_from(data, at)
        at += 8
        if (group, element) != (0xFFFE, _ITEM):
            return at
        at += length
    raise _overfull()


def _overfull() -> UnsupportedImage:
    return UnsupportedImage(
        "The DICOM file is made of far more parts than a radiograph has. Export it again, without private elements."
    )
