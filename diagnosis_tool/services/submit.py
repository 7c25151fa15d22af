"""Taking files in: every file of an upload gets a row and a job; nothing is decoded here."""

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from diagnosis_tool.errors import UploadRefused
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.blobs import PendingBlob
from diagnosis_tool.storage.studies import NewInstance

_log: Final = logging.getLogger(__name__)
MAX_FILES: Final = 200
MAX_BYTES: Final = 2_000_000_000
MAX_PATIENT: Final = 64
"""As DICOM's Patient ID, value representation LO."""
_MAX_NAME: Final = 255
_Owner = tuple[int, int | None]
"""Who sends it, and into which project."""
_NAMELESS: Final = "unnamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file of an upload: its name as sent, and its bytes, already written to the blob store's waiting area."""

    file_name: str
    blob: PendingBlob


def submit_study(
    context: Context,
    uploads: Sequence[Upload],
    *,
    user_id: int,
    patient: str = "",
    project_id: int | None = None,
) -> str:
    """Stores the files and queues one job a file; the study's uid. The blobs are durable before the rows are committed.

    patient: id or pseudonym of whom all images are, where the files do not say. project_id: whose study it is; may be
    left out for a user of one project.

    Raises:
        UploadRefused: no file, more than MAX_FILES, a patient longer than MAX_PATIENT, no project of several.
        QuotaExceeded: the user keeps too much already; nothing is stored.
        StorageFull: no room; nothing is stored.
    """
    try:
        return _store(context, uploads, (user_id, project_id), clean_text(patient))
    finally:  # what was committed stays; what was not leaves nothing behind
        for upload in uploads:
            upload.blob.close()


def _store(context: Context, uploads: Sequence[Upload], owner: _Owner, patient: str) -> str:
    if not uploads:
        raise UploadRefused("No file was sent. Choose one or more radiographs (PNG, JPEG or DICOM).")
    if len(uploads) > MAX_FILES:
        raise UploadRefused(
            "%(n)s files were sent; at most %(most)s fit in one upload. Send them in parts.",
            n=len(uploads),
            most=MAX_FILES,
        )
    if len(patient) > MAX_PATIENT:
        raise UploadRefused(
            "The patient's id has %(n)s letters; at most %(most)s fit. Shorten it.", n=len(patient), most=MAX_PATIENT
        )
    hashes = tuple(upload.blob.sha256 for upload in uploads)
    try:
        return _commit(context, uploads, hashes, owner, patient)
    except BaseException:
        _take_back(context, hashes)
        raise


def _commit(context: Context, uploads: Sequence[Upload], hashes: Sequence[str], owner: _Owner, patient: str) -> str:
    context.blobs.commit(*(upload.blob for upload in uploads))
    instances = [
        NewInstance(
            uid=context.new_uid(),
            file_name=clean_file_name(upload.file_name),
            sha256=sha256,
            size_bytes=upload.blob.size_bytes,
        )
        for upload, sha256 in zip(uploads, hashes, strict=True)
    ]
    uid = context.new_uid()
    context.studies.add(
        uid=uid,
        created_at=context.now(),
        user_id=owner[0],
        project_id=owner[1],
        instances=instances,
        patient=patient or None,
        quota_bytes=context.quota_bytes,
        row=context.row,
    )
    return uid


def _take_back(context: Context, hashes: Sequence[str]) -> None:
    """Removes what was made durable and no row came to name, so that an upload that failed takes no room."""
    for sha256 in set(hashes):
        try:
            context.studies.drop_content(sha256)
        except Exception:  # noqa: BLE001  what the sender is told is why it was not stored
            _log.exception(
                "a file that nobody names was left behind; `diagnosis-tool check --remove-orphans` removes it"
            )


def clean_text(text: str) -> str:
    """Without control characters and what changes the direction of writing, and without blanks around it."""
    return "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}).strip()


def clean_file_name(name: str) -> str:
    """A name for display: the last path component, without control characters, at most 255 characters.

    It never becomes a path; the blob is named by its content.
    """
    shown = clean_text(name.replace("\\", "/").rsplit("/", 1)[-1])
    if len(shown) > _MAX_NAME:
        shown = shown[: _MAX_NAME - 1] + "…"
    return shown if shown.strip(".") else _NAMELESS
