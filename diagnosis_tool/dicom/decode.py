"""Bytes of any accepted format to a radiograph: the reader is chosen by content, never by name."""

import importlib
from base64 import b64decode
from collections.abc import Callable
from typing import Final

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.dicom.reader import is_bare_data_set, is_dicom, read_dicom
from diagnosis_tool.errors import UnreadableInput

_DOT: Final = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
"""A PNG of one pixel."""
_LATE: Final = ("pydicom.pixels.decoders", "pydicom.overlays", "jpeg_ls", "libjpeg", "openjpeg")
"""What is imported when it is needed first."""


def decode_radiograph(data: bytes) -> Radiograph:
    """A PNG, JPEG or DICOM file's bytes to a canonical radiograph.

    Raises UnreadableInput or UnsupportedImage with a message for the user.
    """
    if is_dicom(data):
        return read_dicom(data)
    if is_bare_data_set(data):  # its encoding could only be guessed
        raise UnreadableInput(
            "This is DICOM without a file header (no preamble and no 'DICM'), so nothing says how it is encoded. "
            "Export it as a DICOM file (PS3.10)."
        )
    return read_image_file(data)


class HereDecoder:
    """Decodes in this process: for files that are known, as those of tests. A Decoder (cxr.types)."""

    def decode(self, data: bytes, became_slow: Callable[[], None] = lambda: None) -> Radiograph:
        """As decode_radiograph."""
        return decode_radiograph(data)

    def break_off(self) -> None:
        """Nothing: what is decoded here cannot be ended from outside."""


def warm() -> None:
    """Loads what the first file of each kind would have to wait for."""
    decode_radiograph(_DOT)
    for module in _LATE:
        importlib.import_module(module)
