"""Elements of a DICOM data set as text, numbers and codes. A damaged or missing one is '' or the default."""

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from diagnosis_tool.dicom import bounds

READ: Final = (
    "SpecificCharacterSet", "SOPClassUID", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate",
    "ContentTime", "SeriesDate", "SeriesTime", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC", "Modality",
    "PresentationIntentType", "ConversionType", "StudyDescription", "SeriesDescription", "ProtocolName",
    "PerformedProcedureStepDescription", "RequestedProcedureDescription", "AnatomicRegionSequence", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "AnatomicalOrientationType", "BodyPartExamined",
    "ViewPosition", "ViewCodeSequence", "PatientOrientation", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing",
    "PixelAspectRatio", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "BurnedInAnnotation", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence", "VOILUTSequence",
    "PresentationLUTShape", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData",
)  # fmt: skip
"""All that is ever looked at: a file may hold millions of others, and each one that is parsed costs memory."""

_SNOMED: Final = frozenset({"SCT", "SRT", "SNM3", "99SDM"})


def text(dataset: Dataset, name: str) -> str:
    """The element's first 64 letters (bounds.words), without blanks around them; '' where it says nothing."""
    with suppress(Exception):  # elements are parsed when they are first used, and damage surfaces as almost anything
        value = dataset.get(name)
        return "" if value is None else bounds.words(str(value).strip())
    return ""


def term(dataset: Dataset, name: str) -> str:
    """A coded string (VR CS): `text` in capitals.

    ASCII by the standard, so pydicom decodes nothing else; devices write their own script, as other texts of the file.
    """
    said = text(dataset, name)
    if not said.isascii():
        with suppress(UnicodeError, LookupError):
            return _in_own_script(said.encode("latin-1"), dataset).upper()
    return said.upper()


def _in_own_script(said: bytes, dataset: Dataset) -> str:
    with suppress(UnicodeDecodeError):
        return said.decode("utf-8")
    stated = dataset.original_character_set
    return said.decode(stated if isinstance(stated, str) else stated[0])


def texts(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Each of an element's values, cut and stripped as by `text`."""
    with suppress(Exception):
        value = dataset.get(name)
        several = value if isinstance(value, (MultiValue, list)) else () if value is None else (value,)
        return tuple(bounds.words(str(one).strip()) for one in several[: bounds.MAX_WORDS])
    return ()


def number(dataset: Dataset, name: str, default: int) -> int:
    """The element's whole number. Raises what a damaged one raises: it decides how pixels are read."""
    value = dataset.get(name)
    return default if value in (None, "") else int(value)


def codes(dataset: Dataset, name: str) -> Iterator[tuple[str, str]]:
    """(code, meaning) of each item of a code sequence; the code is '' where it is of no SNOMED scheme.

    Source: PS3.3 table 8.8-1; PS3.16 section 8 (SRT, SNM3 and 99SDM are old designators of SNOMED RT codes).
    """
    items: Sequence | None = None
    with suppress(Exception):
        items = dataset.get(name)
    for item in list(items or ())[: bounds.MAX_WORDS]:
        is_known = term(item, "CodingSchemeDesignator") in _SNOMED
        yield term(item, "CodeValue") if is_known else "", text(item, "CodeMeaning")


def words(said: str) -> tuple[str, ...]:
    """Its words in capitals without accents: 'Tórax_PA' is TORAX and PA."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", said) if not unicodedata.combining(c)).upper()
    return tuple("".join(c if c.isalpha() else " " for c in plain).split())
