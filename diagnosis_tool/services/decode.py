"""Bytes of any accepted format to a radiograph: chooses the reader by content, never by name."""

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.types import Radiograph


def decode_radiograph(data: bytes) -> Radiograph:
    """PNG or JPEG bytes to a canonical radiograph.

    Raises UnreadableInput or UnsupportedImage with a message for the user.
    """
    return read_image_file(data)
