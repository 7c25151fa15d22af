"""DICOM files (CR, DX) to canonical radiographs: modality LUT, VOI LUT or window, then MONOCHROME1 inverted.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel), C.11.1 (Modality LUT), C.11.2 (VOI LUT); PS3.10 section 7 (file format).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.cxr.types import Radiograph, ViewPosition
from diagnosis_tool.dicom.bounds import cut_long_values, refuse_false_frame, words
from diagnosis_tool.dicom.structure import refuse_overfull
from diagnosis_tool.dicom.subject import subject_of
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput, UnsupportedImage

_PREAMBLE: Final = 128
_MODALITIES: Final = frozenset({"CR", "DX", "RG", "XR"})
# DICOM PS3.16 annex L body part terms that a frontal chest film may carry
_BODY_PARTS: Final = frozenset({"CHEST", "THORAX", "LUNG", "PORT CHEST", "RIB", "RIBS", "TSPINE CHEST"})
_HEADER: Final = ("Rows", "Columns", "ViewPosition", "PatientSex", "PatientAge")
# a film rescaled to fewer whole values than this would lose what distinguishes its tissues
_FEW_LEVELS: Final = 256


def is_dicom(data: bytes) -> bool:
    """True for a DICOM file by its preamble (PS3.10 section 7.1); a bare data set without one is not accepted."""
    return data[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def read_dicom(data: bytes) -> Radiograph:
    """One grey single-frame chest radiograph, bright = dense: uint8 for up to 8 stored bits, else uint16.

    Raises:
        UnreadableInput: damaged, truncated, or in a transfer syntax that cannot be decoded.
        UnsupportedImage: no radiograph of the chest, several frames, colour, no pixels, over MAX_PIXELS.
    """
    with warnings.catch_warnings(), _damage_is_unreadable():
        warnings.simplefilter("ignore")  # pydicom warns of many small deviations that change no pixel
        dataset = _parse(data)
        _refuse_foreign(dataset)
        return Radiograph(
            pixels=_canonical(_stored_values(dataset), dataset),
            source_format="DICOM",
            view_position=_view_position(dataset),
            pixel_spacing_mm=_pixel_spacing_mm(dataset),
            bits=min(max(_number(dataset, "BitsStored", 16), 1), 16),
            subject=subject_of(dataset),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomHeader:
    """What stands beside the pixels. age: as in DICOM ('057Y'), sex: 'M', 'F', 'O'; '' where not stated."""

    rows: int
    columns: int
    view_position: ViewPosition
    sex: str
    age: str


def read_dicom_header(path: Path) -> DicomHeader:
    """The header of a DICOM file, without reading its pixels. Raises UnreadableInput for a damaged file."""
    with warnings.catch_warnings(), _damage_is_unreadable():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
        return DicomHeader(
            rows=_number(dataset, "Rows", 0),
            columns=_number(dataset, "Columns", 0),
            view_position=_view_position(dataset),
            sex=_text(dataset, "PatientSex"),
            age=_text(dataset, "PatientAge"),
        )


def _damaged() -> UnreadableInput:
    return UnreadableInput("The DICOM file is damaged or cut short. Export or send it again.")


@contextmanager
def _damage_is_unreadable() -> Iterator[None]:
    try:
        yield
    except (DiagnosisToolError, MemoryError):
        raise
    except Exception as error:  # elements are parsed when they are first used, and damage surfaces as almost anything
        raise _damaged() from error


def _parse(data: bytes) -> Dataset:
    # a deflated data set inflates without bound before any of its sizes can be looked at
    if DeflatedExplicitVRLittleEndian.encode() in data:
        raise UnsupportedImage("Deflated DICOM files are not read. Export it in another transfer syntax.")
    refuse_overfull(data)
    dataset = dcmread(BytesIO(data))
    cut_long_values(dataset)
    return dataset


def _refuse_foreign(dataset: Dataset) -> None:
    modality = _text(dataset, "Modality")
    if modality and modality not in _MODALITIES:
        raise UnsupportedImage(
            "This is a %(modality)s image, not a radiograph (CR or DX). Nothing was read.", modality=modality
        )
    body_part = _text(dataset, "BodyPartExamined")
    if body_part and body_part not in _BODY_PARTS:
        raise UnsupportedImage("This is a radiograph of %(part)s, not of the chest. Nothing was read.", part=body_part)
    if "PixelData" not in dataset:
        raise UnsupportedImage("The DICOM file holds no image. Send the images of the study, not its reports.")
    if _number(dataset, "NumberOfFrames", 1) > 1:
        raise UnsupportedImage("The DICOM file has several frames. Send single radiographs.")
    colour = _text(dataset, "PhotometricInterpretation")
    if _number(dataset, "SamplesPerPixel", 1) != 1 or colour not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnsupportedImage("This is a colour image, not a radiograph. Nothing was read.")
    rows, columns = _number(dataset, "Rows", 0), _number(dataset, "Columns", 0)
    if rows * columns > MAX_PIXELS:
        raise UnsupportedImage(
            "The image has %(width)s x %(height)s pixels, more than a radiograph has (limit %(limit)s million). "
            "Export it at its original size.",
            width=columns,
            height=rows,
            limit=MAX_PIXELS // 1_000_000,
        )


def _stored_values(dataset: Dataset) -> NDArray[np.generic]:
    try:
        refuse_false_frame(dataset)
        stored = np.asarray(pixel_array(dataset))
    except (DiagnosisToolError, MemoryError):
        raise
    except Exception as error:  # decoders surface damage as almost anything
        syntax = dataset.file_meta.get("TransferSyntaxUID", "none")
        name = words(getattr(syntax, "name", str(syntax)))
        raise UnreadableInput(
            "The pixels cannot be decoded (transfer syntax %(name)s): the file is damaged or its compression is not "
            "supported. Export it uncompressed.",
            name=name,
        ) from error
    if stored.ndim != 2 or stored.size == 0:
        raise _damaged()
    return stored


def _canonical(stored_HW: NDArray[np.generic], dataset: Dataset) -> NDArray[np.uint8] | NDArray[np.uint16]:
    grey_HW = np.asarray(_windowed(apply_modality_lut(stored_HW, dataset), dataset), dtype=np.float64)
    low, high = float(grey_HW.min()), float(grey_HW.max())
    bits = _number(dataset, "BitsStored", 16)
    if _text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        grey_HW = high + low - grey_HW  # after the window, which is stated for the values before inversion
    full = 255 if bits <= 8 else 65535
    if low < 0 or high > full:  # signed or rescaled values: keep their steps where they fit
        grey_HW = (grey_HW - low) * min(1.0, full / max(high - low, 1.0))
    elif 0 < high - low < _FEW_LEVELS and np.any(grey_HW % 1):  # a fractional slope: rounding would drop its steps
        grey_HW = (grey_HW - low) * (full / (high - low))
    rounded = np.rint(grey_HW, out=grey_HW)  # in place: of the largest film it is 800 MB
    return rounded.astype(np.uint8) if bits <= 8 else rounded.astype(np.uint16)


def _windowed(values_HW: NDArray[np.generic], dataset: Dataset) -> NDArray[np.generic]:
    try:
        return np.asarray(apply_voi_lut(values_HW, dataset, index=0))
    except (ValueError, KeyError, AttributeError, IndexError, NotImplementedError, TypeError):
        # an impossible window (width 0 is common) is as if absent: preprocess() windows by percentiles anyway
        return values_HW


def _view_position(dataset: Dataset) -> ViewPosition:
    view = _text(dataset, "ViewPosition")
    if view in {"LATERAL", "LL", "RL", "LLO", "LAT"}:
        return ViewPosition.LL
    return ViewPosition(view) if view in {"PA", "AP"} else ViewPosition.UNKNOWN


def _pixel_spacing_mm(dataset: Dataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in dataset.get(name) or ())
        except (ValueError, TypeError):
            continue
        if row > 0 and column > 0:
            return row, column
    return None


def _text(dataset: Dataset, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else words(str(value).strip().upper())


def _number(dataset: Dataset, name: str, default: int) -> int:
    value = dataset.get(name)
    return default if value in (None, "") else int(value)
