"""Why films are refused."""

from typing import Any

from diagnosis_tool.dicom.reader import read_dicom
from diagnosis_tool.errors import UnsupportedImage
from tests.dicom_files import dicom


def refusal(**elements: Any) -> str:
    """Why a film with these elements is refused; '' when it is read."""
    try:
        read_dicom(dicom(**elements))
    except UnsupportedImage as error:
        return str(error)
    return ""
