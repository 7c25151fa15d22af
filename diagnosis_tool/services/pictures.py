"""Pictures of an image: the film, its heatmaps, and what its file is called. Changes nothing."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr import heatmap
from diagnosis_tool.cxr.image_file import JPEG_SIGNATURE, PNG_SIGNATURE
from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.cxr.types import Prediction, Radiograph
from diagnosis_tool.dicom.reader import is_dicom
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context

# What a browser can show of a 16-bit film: all of its grey values, minimum to maximum.
_SHOWN_PERCENTILES = (0.0, 100.0)
_HEAD_BYTES: Final = 132
_KINDS: Final[tuple[tuple[Callable[[bytes], bool], tuple[str, ...]], ...]] = (
    (lambda head: head.startswith(PNG_SIGNATURE), (".png",)),
    (lambda head: head.startswith(JPEG_SIGNATURE), (".jpg", ".jpeg", ".jpe")),
    (is_dicom, (".dcm", ".dicom", ".dic")),
)
_OTHER: Final = (".bin",)


def original_name(name: str, file: BinaryIO) -> str:
    """What the original is to be saved as: the sender's name for it, ending as its content says.

    Anything can be sent under any name, also a page called film.html; saved, it must not open as what it is called.
    """
    # the file's own position must stay at 0: gunicorn sends on from there, whatever Python's buffer has been rewound to
    head = os.pread(file.fileno(), _HEAD_BYTES, 0)
    suffixes = next((suffixes for is_one, suffixes in _KINDS if is_one(head)), _OTHER)
    return name if PurePath(name).suffix.lower() in suffixes else f"{name}{suffixes[0]}"


def radiograph_png(context: Context, instance: Instance) -> bytes:
    """The film as an 8-bit grey PNG at full size, whatever the original's format. Raises NotFound if unreadable."""
    return _png(Image.fromarray(_shown(radiograph(context, instance))))


def radiograph(context: Context, instance: Instance) -> Radiograph:
    """The film with all its grey values, decoded anew, the way up and round that it was read.

    Raises NotFound while it is not read, or when it cannot be; DecodersBusy when it takes long and others do.
    """
    if instance.width_px is None:
        raise NotFound("This file has no picture: it is not read (yet), or could not be.")
    film = context.decoder.decode(context.blobs.read(instance.sha256))
    return film if instance.notes is not None else film.as_stored()  # what was predicted of it holds for that


def film_tag(instance: Instance) -> str:
    """Names what `radiograph` gives: another reading of the same file, as later releases make it, has another name."""
    return instance.sha256 if instance.notes is None else f"{instance.sha256}-2"


def heatmap_png(instance: Instance, finding: str, *, side_px: int = 256) -> bytes:
    """The finding's heatmap as a transparent RGBA PNG of side_px x side_px, to be stretched over the film.

    Raises NotFound while the image is not read, or when the model has no such output.
    """
    return _png(heatmap.overlay(_prediction(instance).heatmap(finding), side_px, side_px))


def heatmap_blend_png(context: Context, instance: Instance, finding: str) -> bytes:
    """The film at full size with the finding's heatmap over it, RGB: for downloading. Raises NotFound."""
    found = _prediction(instance).heatmap(finding)
    return _png(heatmap.blend(_shown(radiograph(context, instance)), found))


def _prediction(instance: Instance) -> Prediction:
    if instance.prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    return instance.prediction


def _shown(film: Radiograph) -> NDArray[np.uint8]:
    # an 8-bit film is shown as it is
    pixels = film.pixels
    return pixels if pixels.dtype == np.uint8 else window_to_uint8(pixels, *_SHOWN_PERCENTILES)  # type: ignore[return-value]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # level 1: a third larger than level 6, five times faster
    return buffer.getvalue()
