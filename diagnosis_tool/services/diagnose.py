"""Reading one image: decode, ask the model (or find what it said before), store all that the pages need."""

import logging
import time
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.cxr.types import Classifier, Radiograph, Reading
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.domain.jobs import Job
from diagnosis_tool.errors import Conflict, UnreadableInput, UnsupportedImage
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.jobs import FinishedReading

_log = logging.getLogger(__name__)
_THUMBNAIL_PX: Final = 320
MAX_FILE_BYTES: Final = 256_000_000
"""A 16-bit film of the largest size that is read, uncompressed, has 200 MB; a file is decoded in memory."""
_BROKE: Final = "Reading this image broke down. Nothing is known about it; the server's log says more under job {job}."


def diagnose(context: Context, classifier: Classifier, job: Job) -> None:
    """Reads the job's image and records the outcome. Never raises for a bad image or a lost lease.

    An image that cannot or must not be read is refused with the reason; anything else that goes wrong is logged and
    the job tried again, then marked failed. A failure is never recorded as an answer.
    """
    try:
        try:
            finished = _read(context, classifier, job)
        except (UnreadableInput, UnsupportedImage) as refusal:
            context.jobs.refuse(job, str(refusal))
            _log.info("job %d: refused", job.id)
        except Exception:  # noqa: BLE001  whatever broke, the other images go on; the trace is logged
            _log.exception("job %d: attempt %d broke down", job.id, job.attempt)
            context.jobs.fail(job, _BROKE.format(job=job.id))
        else:
            context.jobs.complete(job, finished)
            _log.info("job %d: done in %.3f s", job.id, finished.seconds)
    except Conflict as conflict:
        _log.warning("%s Its outcome here was dropped.", conflict)


def _read(context: Context, classifier: Classifier, job: Job) -> FinishedReading:
    start = time.perf_counter()
    if job.size_bytes > MAX_FILE_BYTES:
        raise too_large()
    radiograph = decode_radiograph(context.blobs.read(job.image_sha256))
    known = context.studies.find_prediction(job.image_sha256, classifier.identity)
    reading = Reading(identity=known.identity, outputs=known.outputs) if known else classifier.read(radiograph)
    return FinishedReading(
        reading=reading,
        width_px=radiograph.width_px,
        height_px=radiograph.height_px,
        thumbnail_jpeg=thumbnail_jpeg(radiograph),
        seconds=time.perf_counter() - start,
    )


def too_large() -> UnsupportedImage:
    """The refusal of a file of more than MAX_FILE_BYTES."""
    return UnsupportedImage(
        f"The file is larger than any radiograph (limit {MAX_FILE_BYTES / 1e6:.0f} MB). "
        "Send single images, no archives."
    )


def thumbnail_jpeg(radiograph: Radiograph) -> bytes:
    """The film within 320 x 320 px as grey JPEG; films of more than 8 bits are shown minimum to maximum."""
    pixels = radiograph.pixels
    image = Image.fromarray(pixels if pixels.dtype == np.uint8 else window_to_uint8(pixels, 0, 100))
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BILINEAR)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
