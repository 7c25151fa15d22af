"""Which DICOM files may be read at all: by their headers, before any pixel is decoded.

Source: DICOM PS3.3 C.7.3.1 (Modality), C.8.11.1 (Presentation Intent Type), C.7.6.3 (Image Pixel); PS3.4 B.5 (storage).
"""

from typing import Final

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.dicom.body_part import refuse_other_parts, states_chest
from diagnosis_tool.dicom.elements import number, term
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput, UnsupportedImage

_MODALITIES: Final = frozenset({"CR", "DX", "RG", "XR"})
_FILMS: Final = frozenset({ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation})
# of a secondary capture: a drawing, a scanned document, a synthetic image
_NO_CAPTURED_FILM: Final = frozenset({"DRW", "SD", "SYN"})


def damaged() -> UnreadableInput:
    """What is said of a file that breaks off or contradicts itself."""
    return UnreadableInput("The DICOM file is damaged or cut short. Export or send it again.")


def refuse_foreign(dataset: Dataset, *, is_cut: bool) -> None:
    """Raises for what is no single grey radiograph of the chest that is made to be looked at.

    is_cut: the file breaks off in the middle of an element.

    Raises:
        UnreadableInput: the file is cut, or says too little to tell what it is.
        UnsupportedImage: it is something else, or of another part of the body.
    """
    modality, sop_class = term(dataset, "Modality"), _sop_class(dataset)
    if "PixelData" not in dataset:
        raise _without_pixels(dataset, sop_class, is_cut=is_cut)
    if modality and modality not in _MODALITIES:
        raise UnsupportedImage(
            "This is a %(modality)s image, not a radiograph (CR or DX). Nothing was read.", modality=modality
        )
    _refuse_sop_class(dataset, sop_class)
    if not modality:
        raise UnsupportedImage(
            "The DICOM file does not say what made the image (Modality is missing), so it may be no radiograph. "
            "Nothing was read. Send the original."
        )
    if term(dataset, "PresentationIntentType") == "FOR PROCESSING":
        raise _for_processing()
    refuse_other_parts(dataset)
    _refuse_pixels(dataset)


def _sop_class(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    return UID(
        term(dataset, "SOPClassUID") or term(meta, "MediaStorageSOPClassUID"), IGNORE
    )  # warnings would be logged


def _without_pixels(dataset: Dataset, sop_class: UID, *, is_cut: bool) -> DiagnosisToolError:
    is_film = sop_class in _FILMS or sop_class == SecondaryCaptureImageStorage
    if is_cut or (not len(dataset) and not sop_class) or (is_film and "Rows" not in dataset):
        return damaged()
    if is_film:
        return UnsupportedImage(
            "The DICOM file's header describes an image, but the file holds no image: it was cut short, or only its "
            "header was sent. Export or send it again."
        )
    return UnsupportedImage("The DICOM file holds no image. Send the images of the study, not its reports.")


def _refuse_sop_class(dataset: Dataset, sop_class: UID) -> None:
    if sop_class in _FILMS:
        return
    if not sop_class:
        raise UnsupportedImage(
            "The DICOM file does not say what it is (its SOP class is missing), so it may be no radiograph. "
            "Nothing was read. Send the original."
        )
    if sop_class == DigitalXRayImageStorageForProcessing:
        raise _for_processing()
    if sop_class != SecondaryCaptureImageStorage:
        raise UnsupportedImage(
            "This is of the kind '%(kind)s', not a radiograph (CR or DX for presentation). Nothing was read.",
            kind=sop_class.name[:64],
        )
    # public collections and digitised films come as secondary captures; so do screen shots, doses and reports
    is_film = term(dataset, "Modality") in _MODALITIES and states_chest(dataset)
    if not is_film or term(dataset, "ConversionType") in _NO_CAPTURED_FILM:
        raise UnsupportedImage(
            "This is a secondary capture that does not say by its modality (CR or DX) and body part (CHEST) that it "
            "is a radiograph of the chest. Nothing was read. Send the original."
        )


def _for_processing() -> UnsupportedImage:
    return UnsupportedImage(
        "These are raw values for further processing (FOR PROCESSING), not a film to look at. Nothing was read. "
        "Send the image for presentation."
    )


def _refuse_pixels(dataset: Dataset) -> None:
    if number(dataset, "NumberOfFrames", 1) > 1:
        raise UnsupportedImage("The DICOM file has several frames. Send single radiographs.")
    colour = term(dataset, "PhotometricInterpretation")
    if not colour:
        raise UnsupportedImage(
            "The DICOM file does not say whether large values are bright or dark (Photometric Interpretation is "
            "missing). Nothing was read. Export the image again."
        )
    if number(dataset, "SamplesPerPixel", 1) != 1 or colour not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnsupportedImage("This is a colour image, not a radiograph. Nothing was read.")
    rows, columns = number(dataset, "Rows", 0), number(dataset, "Columns", 0)
    if rows * columns > MAX_PIXELS:
        raise UnsupportedImage(
            "The image has %(width)s x %(height)s pixels, more than a radiograph has (limit %(limit)s million). "
            "Export it at its original size.",
            width=columns,
            height=rows,
            limit=MAX_PIXELS // 1_000_000,
        )
