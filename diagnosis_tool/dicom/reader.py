"""DICOM files (CR, DX) to canonical radiographs: what may be read, decoded, as it is to be looked at, upright.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel), C.11.1 (Modality LUT), C.11.2 (VOI LUT); PS3.10 section 7 (file format).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from diagnosis_tool.cxr.jpeg_stream import has_end, is_incomplete
from diagnosis_tool.cxr.turn import Turn
from diagnosis_tool.cxr.types import Radiograph, Remark, ViewPosition
from diagnosis_tool.dicom.admit import damaged, refuse_foreign
from diagnosis_tool.dicom.bounds import refuse_false_frame, words
from diagnosis_tool.dicom.elements import number, term, texts
from diagnosis_tool.dicom.parse import is_bare_data_set, is_dicom, parse
from diagnosis_tool.dicom.pixels import Stored, bits_stored, canonical, lies_high, moved_down
from diagnosis_tool.dicom.subject import subject_of
from diagnosis_tool.dicom.view import VIEW_TAGS, turn_note, turn_of, view_position
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput

__all__ = ["DicomHeader", "is_bare_data_set", "is_dicom", "read_dicom", "read_dicom_header"]

_HEADER: Final = ("Rows", "Columns", "PatientSex", "PatientAge", *VIEW_TAGS)
_NATIVE: Final = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
)  # fmt: skip
_LOSSLESS: Final = (JPEGLossless, JPEGLosslessSV1)
_JPEGS: Final = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)


def read_dicom(data: bytes) -> Radiograph:
    """One grey single-frame chest radiograph, bright = dense: uint8 for up to 8 stored bits, else uint16.

    Raises:
        UnreadableInput: damaged, truncated, or in a transfer syntax that cannot be decoded.
        UnsupportedImage: no radiograph of the chest, several frames, colour, no pixels, over MAX_PIXELS.
    """
    with warnings.catch_warnings(), _damage_is_unreadable():
        warnings.simplefilter("ignore")  # pydicom warns of many small deviations that change no pixel
        parsed = parse(data)
        dataset = parsed.dataset
        refuse_foreign(dataset, is_cut=parsed.is_cut)
        film, turn = canonical(_stored_values(dataset), dataset), turn_of(dataset)
        return Radiograph(
            pixels=turn.apply(film.pixels),
            source_format="DICOM",
            view_position=view_position(dataset),
            pixel_spacing_mm=_pixel_spacing_mm(dataset, turn, film.row_factor),
            bits=bits_stored(dataset),
            subject=subject_of(dataset),
            padded_px=film.padded_px,
            turn=turn,
            notes=tuple(_notes(dataset)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomHeader:
    """What stands beside the pixels. age: as in DICOM ('057Y'), sex: 'M', 'F', 'O'; '' where not stated.

    rows, columns: of the stored pixels, before `turn`.
    """

    rows: int
    columns: int
    view_position: ViewPosition
    sex: str
    age: str
    turn: Turn


def read_dicom_header(path: Path) -> DicomHeader:
    """The header of a DICOM file, without reading its pixels. Raises UnreadableInput for a damaged file."""
    with warnings.catch_warnings(), _damage_is_unreadable():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
        return DicomHeader(
            rows=number(dataset, "Rows", 0),
            columns=number(dataset, "Columns", 0),
            view_position=view_position(dataset),
            sex=term(dataset, "PatientSex"),
            age=term(dataset, "PatientAge"),
            turn=turn_of(dataset),
        )


@contextmanager
def _damage_is_unreadable() -> Iterator[None]:
    try:
        yield
    except (DiagnosisToolError, MemoryError):
        raise
    except Exception as error:  # elements are parsed when they are first used, and damage surfaces as almost anything
        raise damaged() from error


def _refuse_cut_streams(dataset: Dataset) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in _JPEGS:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    # what a decoder does not find in a JPEG stream it makes up
    if not has_end(frame) or is_incomplete(frame):
        raise damaged()
    # each pixel of a lossless one takes a code of its own
    if syntax in _LOSSLESS and 8 * len(frame) < number(dataset, "Rows", 0) * number(dataset, "Columns", 0):
        raise damaged()


def _refuse_too_few_bytes(dataset: Dataset) -> None:
    cells = number(dataset, "Rows", 0) * number(dataset, "Columns", 0)
    if len(dataset.PixelData) * 8 < cells * number(dataset, "BitsAllocated", 16):
        raise damaged()


def _stored_values(dataset: Dataset) -> NDArray[np.generic]:
    syntax = dataset.file_meta.get("TransferSyntaxUID", "none")
    if syntax in _NATIVE:
        _refuse_too_few_bytes(dataset)
    try:
        refuse_false_frame(dataset)
        _refuse_cut_streams(dataset)
        stored = _decoded(dataset)
    except (DiagnosisToolError, MemoryError):
        raise
    except Exception as error:  # decoders surface damage as almost anything
        raise UnreadableInput(
            "The pixels cannot be decoded (transfer syntax %(name)s): the file is damaged or its compression is not "
            "supported. Export it uncompressed.",
            name=words(getattr(syntax, "name", str(syntax))),
        ) from error
    if stored.ndim != 2 or stored.size == 0:
        raise damaged()
    return stored


def _decoded(dataset: Dataset) -> Stored:
    syntax = dataset.file_meta.TransferSyntaxUID
    options: dict[str, Any] = {}
    if syntax in JPEGLSTransferSyntaxes:
        options["decoding_plugin"] = "pyjpegls"  # the only one that refuses a stream that was cut and closed again
    # a JPEG stream holds numbers, and High Bit is nothing to it; all else holds cells of bits
    is_high = lies_high(dataset) and syntax not in (*_JPEGS, *JPEG2000TransferSyntaxes)
    if is_high:
        options["bits_stored"] = number(dataset, "BitsAllocated", 16)
    stored = np.asarray(pixel_array(dataset, **options))
    return moved_down(stored, dataset) if is_high else stored


def _notes(dataset: Dataset) -> Iterator[Remark]:
    if note := turn_note(dataset):
        yield note
    if term(dataset, "BurnedInAnnotation") == "YES":
        yield Remark(
            "Text is burned into the pixels, as the header says: it may name the patient. It was read with them."
        )


_SPACINGS_MM: Final = (0.001, 100.0)
"""A detector's pixels have 0.05 to 0.5 mm; beyond these nothing can be measured, and infinity is no JSON."""


def _pixel_spacing_mm(dataset: Dataset, turn: Turn, row_factor: float) -> tuple[float, float] | None:
    """(row, column) of the pixels that are shown: turned, and made square where Pixel Aspect Ratio said so."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in texts(dataset, name))
        except ValueError:
            continue
        if all(_SPACINGS_MM[0] <= side <= _SPACINGS_MM[1] for side in (row, column)):
            row, column = row / max(row_factor, 1), column * min(row_factor, 1)
            return (column, row) if turn.transposed else (row, column)
    return None
