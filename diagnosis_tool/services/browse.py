"""Reading what is stored: studies, instances, and pictures made from them. Changes nothing."""

from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image

from diagnosis_tool.cxr import heatmap
from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.domain.studies import Instance, Prediction, Study, StudyProgress, StudySummary
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context

# What a browser can show of a 16-bit film: all of its grey values, minimum to maximum.
_SHOWN_PERCENTILES = (0.0, 100.0)


def get_study(context: Context, uid: str) -> Study:
    """The study with its instances and predictions. Raises NotFound."""
    return context.studies.study(uid)


def get_progress(context: Context, uid: str) -> StudyProgress:
    """How far the reading of a study is, without its predictions: cheap to ask each second. Raises NotFound."""
    return context.studies.progress(uid)


def list_studies(context: Context, *, limit: int, offset: int = 0) -> tuple[StudySummary, ...]:
    """The newest studies first."""
    return context.studies.summaries(limit=limit, offset=offset)


def get_instance(context: Context, uid: str) -> Instance:
    """One instance with its prediction, if it has one. Raises NotFound."""
    return context.studies.instance(uid)


def open_original(context: Context, uid: str) -> tuple[Instance, BinaryIO]:
    """The file exactly as it was sent; the caller closes it. Raises NotFound."""
    instance = get_instance(context, uid)
    return instance, context.blobs.open(instance.sha256)


def thumbnail_jpeg(context: Context, uid: str) -> bytes:
    """The thumbnail that the worker made. Raises NotFound while there is none."""
    return context.studies.thumbnail(uid)


def radiograph_png(context: Context, uid: str) -> bytes:
    """The film as an 8-bit grey PNG at full size, whatever the original's format. Raises NotFound if unreadable."""
    return _png(Image.fromarray(_film(context, get_instance(context, uid))))


def heatmap_png(context: Context, uid: str, finding: str, *, side_px: int = 256) -> bytes:
    """The finding's heatmap as a transparent RGBA PNG of side_px x side_px, to be stretched over the film.

    Raises NotFound while the image is not read, or when the model has no such output.
    """
    return _png(heatmap.overlay(_prediction(context, uid).heatmap(finding), side_px, side_px))


def heatmap_blend_png(context: Context, uid: str, finding: str) -> bytes:
    """The film at full size with the finding's heatmap over it, RGB: for downloading. Raises NotFound."""
    instance = get_instance(context, uid)
    if instance.prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    return _png(heatmap.blend(_film(context, instance), instance.prediction.heatmap(finding)))


def _prediction(context: Context, uid: str) -> Prediction:
    prediction = get_instance(context, uid).prediction
    if prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    return prediction


def _film(context: Context, instance: Instance) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if instance.width_px is None:
        raise NotFound("This file has no picture: it is not read (yet), or could not be.")
    pixels = decode_radiograph(context.blobs.read(instance.sha256)).pixels
    # an 8-bit film is shown as it is
    return pixels if pixels.dtype == np.uint8 else window_to_uint8(pixels, *_SHOWN_PERCENTILES)  # type: ignore[return-value]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # level 1: a third larger than level 6, five times faster
    return buffer.getvalue()
