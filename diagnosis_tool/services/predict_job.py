"""A job's prediction in four steps that may overlap: decode, prepare, predict (the model), record (store).

Each step records what goes wrong in it. A failure is never recorded as a prediction.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.cxr.types import Classifier, Prediction, Radiograph
from diagnosis_tool.domain.audit import NotRead
from diagnosis_tool.domain.jobs import Job
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.studies import ImageFacts, Reason
from diagnosis_tool.errors import (
    BrokenOff,
    Busy,
    Conflict,
    DecodersBusy,
    DecodersMissing,
    DiagnosisToolError,
    StorageFull,
    UnreadableInput,
    UnsupportedImage,
)
from diagnosis_tool.services.context import Context

_log = logging.getLogger(__name__)
_THUMBNAIL_PX: Final = 320
MAX_FILE_BYTES: Final = 256_000_000
"""A 16-bit film of the largest size that is read, uncompressed, has 200 MB; a file is decoded in memory."""
_BROKE: Final = gettext_noop(
    "Reading this image broke down. Nothing is known about it; the server's log says more under job %(job)s."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An image ready for the model; its film is let go, for only this is kept while the image waits.

    x_HW: the network's input. seconds: what it took so far.
    """

    job: Job
    x_HW: NDArray[np.uint8]
    facts: ImageFacts
    thumbnail_jpeg: bytes
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A job's film, and the seconds that decoding it took."""

    radiograph: Radiograph
    seconds: float


def is_known(context: Context, classifier: Classifier, job: Job) -> bool:
    """Whether the job's outcome is recorded: its image was predicted before, by the same model run the same way.

    True as well when there is nothing to do for us, as its lease was lost.
    """
    with _unless_lost():
        known = context.predictions.complete_known(job, classifier.identity)
        if known:
            _log.info("job %d: predicted before", job.id)
        return known
    return True


def decode(context: Context, job: Job, became_slow: Callable[[], None] = lambda: None) -> Decoded:
    """The job's film. Records nothing: what this raises is for `prepare`. became_slow: as in Decoder."""
    start = time.perf_counter()
    if job.size_bytes > MAX_FILE_BYTES:
        raise too_large()
    radiograph = context.decoder.decode(context.blobs.read(job.image_sha256), became_slow)
    return Decoded(radiograph=radiograph, seconds=time.perf_counter() - start)


def prepare(
    context: Context, classifier: Classifier, job: Job, decoded: Callable[[], Decoded] | None = None
) -> Prepared | None:
    """The job's image, ready for the model. decoded: gives its film; None for decoding it here and now.

    None when its outcome is recorded: it was refused or broke down; or when it is back in the queue, as decoding it was
    broken off, takes long while others do, or no decoder can be started. Never raises for a bad image or a lost lease.
    """
    with _unless_lost():
        try:
            return _prepared(context, classifier, job, decode(context, job) if decoded is None else decoded())
        except (UnreadableInput, UnsupportedImage) as refusal:
            _refuse(context, job, refusal)
        except DecodersBusy:
            context.jobs.defer(job)
            _log.info("job %d: takes long; it waits until nothing else does", job.id)
        except (BrokenOff, DecodersMissing):
            context.jobs.give_back(job)
        except (StorageFull, Busy):  # the image is not to blame: it waits
            raise
        except Exception:  # noqa: BLE001  whatever broke, the other images go on; the trace is logged
            _broke_down(context, job)
    return None


def _refuse(context: Context, job: Job, refusal: DiagnosisToolError, facts: ImageFacts | None = None) -> None:
    why = NotRead.UNREADABLE if isinstance(refusal, UnreadableInput) else NotRead.UNSUPPORTED
    context.jobs.refuse(job, Reason.of(refusal), why, facts)
    _log.info("job %d: refused", job.id)


def _prepared(context: Context, classifier: Classifier, job: Job, decoded: Decoded) -> Prepared | None:
    start = time.perf_counter()
    radiograph = decoded.radiograph
    facts = ImageFacts.of(radiograph)
    try:
        x_HW = classifier.prepare(radiograph)
    except UnsupportedImage as refusal:  # a film all the same: whose it is stays known
        _refuse(context, job, refusal, facts)
        return None
    return Prepared(
        job=job,
        x_HW=x_HW,
        facts=facts,
        thumbnail_jpeg=thumbnail_jpeg(radiograph),
        seconds=decoded.seconds + time.perf_counter() - start,
    )


def predict(
    context: Context, classifier: Classifier, images: Sequence[Prepared]
) -> tuple[tuple[Prepared, Prediction], ...]:
    """One call of the model for all of them, in their order; nothing when it broke down, which is then recorded.

    Only this needs the model: all else may run beside it.
    """
    start = time.perf_counter()
    try:
        predictions = classifier.predict_prepared(np.stack([image.x_HW for image in images]))
    except Exception:  # noqa: BLE001  whatever broke, the other images go on; the trace is logged
        for image in images:
            with _unless_lost():
                _broke_down(context, image.job)
        return ()
    seconds = (time.perf_counter() - start) / len(images)
    return tuple(
        (replace(image, seconds=image.seconds + seconds), prediction)
        for image, prediction in zip(images, predictions, strict=True)
    )


def record(context: Context, image: Prepared, prediction: Prediction) -> None:
    """Stores the prediction, in one transaction; when that breaks, the image is tried again and at last failed.

    Never raises for a bad image or a lost lease. Raises StorageFull and Busy: the image is not to blame.
    """
    with _unless_lost():
        try:
            context.predictions.complete(
                image.job, prediction, facts=image.facts, thumbnail_jpeg=image.thumbnail_jpeg, seconds=image.seconds
            )
        except (Conflict, StorageFull, Busy):
            raise
        except Exception:  # noqa: BLE001  whatever a file says, it ends no worker; a broken database ends it in the next line
            _broke_down(context, image.job)
            return
        _log.info("job %d: done in %.3f s", image.job.id, image.seconds)


def give_back(context: Context, job: Job) -> None:
    """Puts a claimed job back that was not predicted. Never raises for a lost lease."""
    with _unless_lost():
        context.jobs.give_back(job)


def _broke_down(context: Context, job: Job) -> None:
    _log.exception("job %d: attempt %d broke down", job.id, job.attempt)
    context.jobs.fail(job, Reason(message=_BROKE, values={"job": str(job.id)}))


@contextmanager
def _unless_lost() -> Iterator[None]:
    try:
        yield
    except Conflict as conflict:
        _log.warning("%s Its outcome here was dropped.", conflict)


def too_large() -> UnsupportedImage:
    """The refusal of a file of more than MAX_FILE_BYTES."""
    return UnsupportedImage(
        "The file is larger than any radiograph (limit %(limit)s MB). Send single images, no archives.",
        limit=MAX_FILE_BYTES // 1_000_000,
    )


def thumbnail_jpeg(radiograph: Radiograph) -> bytes:
    """The film within 320 x 320 px as grey JPEG; films of more than 8 bits are shown minimum to maximum."""
    pixels = radiograph.pixels
    image = Image.fromarray(pixels if pixels.dtype == np.uint8 else window_to_uint8(pixels, 0, 100))
    # shrunk by whole pixels first: half the time, and no eye sees it at this size
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BILINEAR, reducing_gap=1.0)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
