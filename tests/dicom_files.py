"""Makes small DICOM files."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import data_store
import jpeg_ls
import numpy as np
import pydicom
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    generate_uid,
)

from training.phantom import chest_phantom

FILM = chest_phantom(seed=3, height_px=120, width_px=100)
_SAMPLES = (Path(data_store.__file__).parent / "data", Path(pydicom.__file__).parent / "data" / "test_files")


def dicom(pixels: np.ndarray = FILM, **elements: Any) -> bytes:
    """A CR file of these pixels; keyword arguments set or (None) remove elements."""
    return written(dataset(pixels, **elements))


def dataset(pixels: np.ndarray = FILM, **elements: Any) -> Dataset:
    """What `dicom` writes."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "CHEST", "PA"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = ds.BitsAllocated, ds.BitsAllocated - 1, 0
    ds.PixelData = pixels.tobytes()
    with disable_value_validation():  # devices write what the standard forbids
        for name, value in elements.items():
            if value is None or name in ds:  # an element keeps the validation that it was made with
                delattr(ds, name)
            if value is not None:
                setattr(ds, name, value)
    return ds


def written(ds: Dataset) -> bytes:
    buffer = BytesIO()
    with disable_value_validation():
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def with_raw_text(said: bytes, name: str, **elements: Any) -> bytes:
    """A film that holds these very bytes in this element: in no character set, or in another than it states."""
    raw = said + b" " * (len(said) % 2)
    stand_in = "Q" * len(raw)
    return dicom(**{name: stand_in, **elements}).replace(stand_in.encode(), raw)


def coded(code: str, meaning: str, scheme: str = "SCT") -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning
    return item


def compressed(stream: bytes, syntax: UID, shape: tuple[int, int], bits: int, **elements: Any) -> bytes:
    """A film whose pixels are this stream; bits: stored, in cells of 8 or 16."""
    allocated = 8 if bits <= 8 else 16
    ds = dataset(
        np.zeros(shape, np.uint8 if allocated == 8 else np.uint16), BitsStored=bits, HighBit=bits - 1, **elements
    )
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    return written(ds)


def sample_frame(name: str) -> tuple[bytes, UID, tuple[int, int], int]:
    """The first frame of one of pydicom's own test files: stream, transfer syntax, rows and columns, bits stored."""
    ds = dcmread(next(folder / name for folder in _SAMPLES if (folder / name).is_file()))
    frame = get_frame(ds.PixelData, 0, number_of_frames=int(ds.get("NumberOfFrames", 1)))
    return frame, ds.file_meta.TransferSyntaxUID, (ds.Rows, ds.Columns), ds.BitsStored


def jpeg(pixels: np.ndarray = FILM, **options: Any) -> bytes:
    """A JPEG stream of 8 bits."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def jpeg_streams() -> Iterator[tuple[str, tuple[bytes, UID, tuple[int, int], int]]]:
    """One whole stream of each kind of JPEG: its kind, and what `compressed` takes."""
    shape = (FILM.shape[0], FILM.shape[1])
    yield "baseline", (jpeg(quality=90), JPEGBaseline8Bit, shape, 8)
    yield "progressive", (jpeg(quality=90, progressive=True), JPEGBaseline8Bit, shape, 8)
    yield "JPEG-LS, 8 bits", (bytes(jpeg_ls.encode_array(FILM)), JPEGLSLossless, shape, 8)
    deep = FILM.astype(np.uint16) * 16
    yield "JPEG-LS, 12 bits", (bytes(jpeg_ls.encode_array(deep)), JPEGLSLossless, shape, 12)
    yield "12 bits", sample_frame("JPGExtended.dcm")
    yield "lossless, 8 bits", sample_frame("JPGLosslessP14SV1_1s_1f_8b.dcm")
    yield "lossless, 16 bits", sample_frame("JPEG-LL.dcm")
