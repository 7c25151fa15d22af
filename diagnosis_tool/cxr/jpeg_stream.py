"""Whether a JPEG stream is there to its end: decoders make up what is missing and say nothing of it.

Source: ITU-T T.81 annex B (markers).
"""

from typing import Final

import simplejpeg

_END: Final = b"\xff\xd9"
# SOF0 to SOF2: baseline, extended, progressive; all with Huffman codes
_DCT_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
# any other SOF, and SOS
_TOO_FAR: Final = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xDA})
# Profiles and comments before a frame; a file of nothing else must not keep anybody busy.
_MOST_SEGMENTS: Final = 10_000
# What libjpeg warns of where it makes pixels up; that it skips bytes ('extraneous') costs none.
_MADE_UP: Final = ("premature end", "corrupt jpeg data", "bad huffman")
_HARMLESS: Final = "extraneous"


def has_end(stream: bytes) -> bool:
    """Whether the last marker is EOI, once the 00 and FF that fill up a frame of a DICOM file are taken off."""
    return stream.rstrip(b"\x00\xff").endswith(_END)


def is_incomplete(stream: bytes) -> bool:
    """True where libjpeg runs out of coded data, or finds what is no code, before the last pixel.

    So it is with a stream that was cut, also when it was closed again with EOI. Known of 8 bits baseline, extended and
    progressive; of all else it is False, and another decoder has to tell.
    """
    if not _is_8_bit_dct(stream):
        return False
    try:
        colours = simplejpeg.decode_jpeg_header(stream, strict=False)[2]
        # at full size: it makes too small a room for a stream that cannot be scaled
        simplejpeg.decode_jpeg(stream, "CMYK" if colours in {"CMYK", "YCCK"} else "GRAY", strict=True)
    except KeyError:  # how its colours are stored is not told: its header breaks off
        return True
    except ValueError as error:
        said = str(error).lower()
        return _HARMLESS not in said and any(words in said for words in _MADE_UP)
    return False


def _is_8_bit_dct(stream: bytes) -> bool:
    at = 2
    for _ in range(_MOST_SEGMENTS):
        marker, length = stream[at : at + 2], int.from_bytes(stream[at + 2 : at + 4], "big")
        if len(marker) < 2 or marker[0] != 0xFF or (marker[1] != 0xFF and length < 2):
            return False
        if marker[1] in _DCT_FRAMES:
            return stream[at + 4 : at + 5] == b"\x08"
        if marker[1] in _TOO_FAR:
            return False
        at += 1 if marker[1] == 0xFF else 2 + length  # FF before a marker fills up
    return False
