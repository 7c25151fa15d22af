"""Bytes of any accepted format to a radiograph: the reader is chosen by content, never by name."""

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.dicom.reader import is_dicom, read_dicom


def decode_radiograph(data: bytes) -> Radiograph:
    """A PNG, JPEG or DICOM file's bytes to a canonical radiograph.

    Raises UnreadableInput or UnsupportedImage with a message for the user.
    """
    return read_dicom(data) if is_dicom(data) else read_image_file(data)
