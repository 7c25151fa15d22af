"""Reading what is stored: studies, instances, and pictures made from them. Changes nothing."""

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import PurePath
from typing import BinaryIO, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr import heatmap
from diagnosis_tool.cxr.findings import anatomical_rank
from diagnosis_tool.cxr.image_file import JPEG_SIGNATURE, PNG_SIGNATURE
from diagnosis_tool.cxr.preprocess import window_to_uint8
from diagnosis_tool.cxr.types import Prediction, Radiograph
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.dicom.reader import is_dicom
from diagnosis_tool.domain.studies import Instance, Study, StudyProgress
from diagnosis_tool.domain.worklist import WorklistPage, WorklistQuery, WorklistRow
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context

# What a browser can show of a 16-bit film: all of its grey values, minimum to maximum.
_SHOWN_PERCENTILES = (0.0, 100.0)
MAX_PRIORS: Final = 200
_HEAD_BYTES: Final = 132
_KINDS: Final[tuple[tuple[Callable[[bytes], bool], tuple[str, ...]], ...]] = (
    (lambda head: head.startswith(PNG_SIGNATURE), (".png",)),
    (lambda head: head.startswith(JPEG_SIGNATURE), (".jpg", ".jpeg", ".jpe")),
    (is_dicom, (".dcm", ".dicom", ".dic")),
)
_OTHER: Final = (".bin",)
_Found = TypeVar("_Found")


def get_study(context: Context, uid: str) -> Study:
    """The study with its instances and predictions, noted on the trail. Raises NotFound."""
    study = _found(context, context.studies.study, uid)
    context.trail.seen.setdefault(study.uid)
    return study


def get_progress(context: Context, uid: str) -> StudyProgress:
    """How far the reading of a study is, without its predictions: cheap to ask each second. Raises NotFound."""
    return context.studies.progress(uid)


def worklist(context: Context, query: WorklistQuery, *, limit: int) -> WorklistPage:
    """One page of the worklist."""
    return context.worklist.page(query, limit=limit)


def worklist_rows(context: Context, uids: Sequence[str], finding: str | None = None) -> tuple[WorklistRow, ...]:
    """The rows of these studies; strongest: this finding, where one is given."""
    return context.worklist.rows(uids, finding)


def worklist_versions(context: Context, uids: Sequence[str]) -> dict[str, int]:
    """The version of each of these studies' rows; those that are gone have none."""
    return context.worklist.versions(uids)


def newest_study(context: Context) -> str | None:
    """The uid of the study that came last."""
    return context.worklist.newest()


def known_findings(context: Context) -> tuple[str, ...]:
    """The findings that the worklist can be filtered for, in anatomical order: those above anywhere."""
    return tuple(sorted(context.worklist.findings(), key=anatomical_rank))


def priors(context: Context, instance_uid: str) -> tuple[Instance, ...]:
    """All images of the instance's patient, oldest first, with their predictions, itself among them; noted as read.

    Itself alone where no patient is known. At most MAX_PRIORS, the latest. Raises NotFound.
    """
    instances = _found(context, lambda uid: context.studies.of_patient(uid, limit=MAX_PRIORS), instance_uid)
    for instance in instances:
        context.trail.seen.setdefault(instance.study_uid, instance.uid)
    return instances


def neighbours(context: Context, study_uid: str) -> tuple[str | None, str | None]:
    """First images of the studies uploaded just before this one and just after; None where there is none."""
    return context.studies.neighbours(study_uid)


def get_instance(context: Context, uid: str) -> Instance:
    """One instance with its prediction, if it has one, noted on the trail. Raises NotFound."""
    instance = _found(context, context.studies.instance, uid)
    context.trail.seen.setdefault(instance.study_uid, instance.uid)
    return instance


def get_chosen(context: Context, uids: Sequence[str]) -> list[str]:
    """Those of the studies that there are, noted on the trail."""
    there = context.worklist.versions(uids)
    context.trail.seen.update(dict.fromkeys(there))
    context.trail.missed.extend(set(uids) - there.keys())
    return [uid for uid in uids if uid in there]


def _found(context: Context, find: Callable[[str], _Found], uid: str) -> _Found:
    try:
        return find(uid)
    except NotFound:
        context.trail.missed.append(uid)
        raise


def open_original(context: Context, uid: str) -> tuple[Instance, BinaryIO]:
    """The file exactly as it was sent; the caller closes it. Raises NotFound."""
    instance = get_instance(context, uid)
    return instance, context.blobs.open(instance.sha256)


def original_name(instance: Instance, file: BinaryIO) -> str:
    """What the original is to be saved as: the sender's name, ending as its content says.

    Anything can be sent under any name, also a page called film.html; saved, it must not open as what it is called.
    """
    # the file's own position must stay at 0: gunicorn sends on from there, whatever Python's buffer has been rewound to
    head = os.pread(file.fileno(), _HEAD_BYTES, 0)
    suffixes = next((suffixes for is_one, suffixes in _KINDS if is_one(head)), _OTHER)
    name = instance.file_name
    return name if PurePath(name).suffix.lower() in suffixes else f"{name}{suffixes[0]}"


def thumbnail_jpeg(context: Context, uid: str) -> bytes:
    """The thumbnail that the worker made. Raises NotFound while there is none."""
    return context.studies.thumbnail(uid)


def radiograph_png(context: Context, uid: str) -> bytes:
    """The film as an 8-bit grey PNG at full size, whatever the original's format. Raises NotFound if unreadable."""
    return _png(Image.fromarray(_shown(radiograph(context, uid))))


def radiograph(context: Context, uid: str) -> Radiograph:
    """The film with all its grey values, decoded anew. Raises NotFound while it is not read, or when it cannot be."""
    instance = get_instance(context, uid)
    if instance.width_px is None:
        raise NotFound("This file has no picture: it is not read (yet), or could not be.")
    return decode_radiograph(context.blobs.read(instance.sha256))


def heatmap_png(context: Context, uid: str, finding: str, *, side_px: int = 256) -> bytes:
    """The finding's heatmap as a transparent RGBA PNG of side_px x side_px, to be stretched over the film.

    Raises NotFound while the image is not read, or when the model has no such output.
    """
    return _png(heatmap.overlay(_prediction(context, uid).heatmap(finding), side_px, side_px))


def heatmap_blend_png(context: Context, uid: str, finding: str) -> bytes:
    """The film at full size with the finding's heatmap over it, RGB: for downloading. Raises NotFound."""
    found = _prediction(context, uid).heatmap(finding)
    return _png(heatmap.blend(_shown(radiograph(context, uid)), found))


def _prediction(context: Context, uid: str) -> Prediction:
    prediction = get_instance(context, uid).prediction
    if prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    return prediction


def _shown(film: Radiograph) -> NDArray[np.uint8]:
    # an 8-bit film is shown as it is
    pixels = film.pixels
    return pixels if pixels.dtype == np.uint8 else window_to_uint8(pixels, *_SHOWN_PERCENTILES)  # type: ignore[return-value]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # level 1: a third larger than level 6, five times faster
    return buffer.getvalue()
