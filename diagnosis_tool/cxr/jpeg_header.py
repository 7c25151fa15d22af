"""What a JPEG stream says of itself, read without a decoder: decoders make room for what it says, or never return.

Source: ITU-T T.81 annex B (markers), T.87 annex C (JPEG-LS).
"""

import re
from dataclasses import dataclass
from typing import Final

from diagnosis_tool.errors import UnreadableInput, UnsupportedImage

MAX_SCANS: Final = 100
"""libjpeg's own scripts of progressive files have up to 10; each scan goes over all of the image again."""
_MOST_SEGMENTS: Final = 10_000
_FRAMES: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, and JPEG-LS's SOF55."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
_SCAN, _END = 0xDA, 0xD9
_NEXT_MARKER: Final = re.compile(rb"\xff+([\xc0-\xcf\xd8-\xfe])")
"""Within a scan FF is followed by 00, by less than 80 in JPEG-LS, or by a restart marker; anything else ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """A stream's only frame."""

    height_px: int
    width_px: int
    precision_bits: int
    components: int


def jpeg_header(stream: bytes) -> JpegHeader:
    """The frame of a stream of any kind of JPEG (baseline to lossless, JPEG-LS).

    Raises:
        UnreadableInput: it has no frame or several, or one without height.
        UnsupportedImage: it has more than MAX_SCANS scans.
    """
    header, scans, at = None, 0, 0
    for _ in range(_MOST_SEGMENTS):
        found = _NEXT_MARKER.search(stream, at)
        if found is None or found[1][0] == _END:
            break
        marker, at = found[1][0], found.end()
        if marker in _ALONE:
            continue
        if marker in _FRAMES:
            if header is not None:
                raise _damaged()
            header = _frame(stream[at + 2 : at + 8])
        elif marker == _SCAN:
            scans += 1
        at += max(2, int.from_bytes(stream[at : at + 2], "big"))
    else:
        raise _damaged()
    if header is None or header.height_px == 0 or header.width_px == 0:
        raise _damaged()
    if scans > MAX_SCANS:
        raise UnsupportedImage(
            "The JPEG image is stored in more than %(limit)s passes, which no export does. Export it again.",
            limit=MAX_SCANS,
        )
    return header


def _frame(data: bytes) -> JpegHeader:
    if len(data) < 6:
        raise _damaged()
    return JpegHeader(
        precision_bits=data[0],
        height_px=int.from_bytes(data[1:3], "big"),
        width_px=int.from_bytes(data[3:5], "big"),
        components=data[5],
    )


def _damaged() -> UnreadableInput:
    return UnreadableInput("The JPEG image's header is damaged. Export or copy it again.")
