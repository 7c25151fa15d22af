"""What may be read, and with which words all else is refused."""

from typing import Any

import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from diagnosis_tool.dicom.reader import read_dicom
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput, UnsupportedImage
from tests.dicom_files import coded, dataset, dicom, written
from tests.unit.dicom.refusals import refusal

CAPTURED = {"SOPClassUID": SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    "elements",
    [
        {"SOPClassUID": DigitalXRayImageStorageForPresentation, "PresentationIntentType": "FOR PRESENTATION"},
        {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"},
        CAPTURED,
        {**CAPTURED, "ConversionType": "WSD", "Modality": "DX"},
        {**CAPTURED, "BodyPartExamined": None, "AnatomicRegionSequence": [coded("51185008", "Chest")]},
    ],
)
def test_films_are_read(elements: dict[str, Any]) -> None:
    assert refusal(**elements) == ""


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"}, "FOR PROCESSING"),
        ({"SOPClassUID": DigitalMammographyXRayImageStorageForPresentation, "Modality": "DX"}, "Mammography"),
        ({"SOPClassUID": "1.2.3.4"}, "'1.2.3.4'"),
        ({"Modality": None}, "Modality is missing"),
        ({"Modality": ""}, "Modality is missing"),
        ({"Modality": "CT"}, "CT image"),
        ({**CAPTURED, "Modality": None}, "secondary capture"),
        ({**CAPTURED, "Modality": "OT"}, "OT image"),
        ({**CAPTURED, "BodyPartExamined": None}, "secondary capture"),
        ({**CAPTURED, "BodyPartExamined": "", "StudyDescription": "CHEST"}, "secondary capture"),
        ({**CAPTURED, "ConversionType": "SD"}, "secondary capture"),
        ({"PhotometricInterpretation": None}, "Photometric Interpretation is missing"),
        ({"PhotometricInterpretation": ""}, "Photometric Interpretation is missing"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"NumberOfFrames": 2}, "several frames"),
    ],
)
def test_all_else_is_refused_with_its_reason(elements: dict[str, Any], words: str) -> None:
    assert words in refusal(**elements)


def test_a_class_that_is_nowhere() -> None:
    film = dicom()
    whole = dataset()
    classless = film.replace(str(whole.SOPClassUID).encode(), b"\0" * len(str(whole.SOPClassUID)))
    with pytest.raises(UnsupportedImage, match="SOP class is missing"):
        read_dicom(classless)


def test_a_report_holds_no_image() -> None:
    ds = dataset(SOPClassUID=BasicTextSRStorage, Modality="SR", PixelData=None)
    ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    with pytest.raises(UnsupportedImage, match="Send the images of the study"):
        read_dicom(written(ds))


def test_a_header_alone_is_said_to_be_that() -> None:
    with pytest.raises(UnsupportedImage, match="holds no image: it was cut short, or only its header was sent"):
        read_dicom(dicom(PixelData=None))


@pytest.mark.parametrize("kept_bytes", [300, 340, 420, 480, 520, 560])
def test_a_header_that_breaks_off_is_called_damaged(kept_bytes: int) -> None:
    film = dicom(PatientName="Y" * 30, PatientID="X" * 40)
    assert kept_bytes < film.index(b"\xe0\x7f\x10\x00")
    with pytest.raises(UnreadableInput, match="damaged or cut short"):
        read_dicom(film[:kept_bytes])


def test_encapsulated_pixels_that_break_off_are_called_damaged() -> None:
    from tests.dicom_files import compressed, jpeg_streams

    for _, stream in list(jpeg_streams())[:3]:
        film = compressed(*stream)
        for part in (0.5, 0.9, 0.999):
            with pytest.raises(DiagnosisToolError, match="damaged or cut short"):
                read_dicom(film[: int(len(film) * part)])
