"""Receiving multipart uploads: each file part is written straight into the blob store's waiting area, once."""

from typing import IO, Any, Final, cast

from flask import Request
from werkzeug.datastructures import FileStorage

from diagnosis_tool.errors import UploadRefused
from diagnosis_tool.front.headers import SMALL_BODY_BYTES
from diagnosis_tool.services.submit import MAX_BYTES, MAX_FILES, Upload
from diagnosis_tool.storage.blobs import PendingBlob
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.endpoints import is_public

FIELD: Final = "files"
ENDPOINT: Final = "studies.create"
MAX_BODY_BYTES: Final = MAX_BYTES + 1_000_000
"""The files and the multipart lines between them."""
MAX_OTHER_BODY_BYTES: Final = 1_000_000
"""For every other route: the viewer's callbacks send a few hundred bytes. For those that need no sign-in: 64 kB."""
_MAX_PARTS: Final = MAX_FILES + 100
_MAX_TEXT_BYTES: Final = 200_000
"""Of each part that is no file, all of which are held in memory: without these two, 500 MB of them were."""


class UploadRequest(Request):
    """A request whose uploaded files never pass through temporary files or memory.

    Whatever was received and not committed by the time the request ends is removed, whichever way it ends.
    """

    def __init__(self, environ: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(environ, *args, **kwargs)
        self.max_form_parts, self.max_form_memory_size = _MAX_PARTS, _MAX_TEXT_BYTES
        self._received: list[PendingBlob] = []

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.endpoint != ENDPOINT:
            return super()._get_file_stream(total_content_length, content_type, filename, content_length)
        # each part costs a file here, whatever it is called; a browser sends one without a name for an empty file input
        if len(self._received) >= (MAX_FILES if filename else MAX_FILES + 1):
            raise UploadRefused(
                "More than %(most)s files were sent; send them in parts. Nothing was stored.", most=MAX_FILES
            )
        blob = current_context().blobs.pending()
        self._received.append(blob)
        return cast(IO[bytes], blob)

    @property
    def max_content_length(self) -> int | None:
        """An upload may be large, nothing else, and least of all what strangers send.

        Only a multipart form's files pass through without being held: a form of another kind is no upload.
        """
        if self.endpoint == ENDPOINT and self.mimetype == "multipart/form-data":
            return MAX_BODY_BYTES
        return SMALL_BODY_BYTES if is_public(self.endpoint) else MAX_OTHER_BODY_BYTES

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        raise NotImplementedError("the endpoint decides")

    def close(self) -> None:
        """Removes what was received and not committed."""
        super().close()
        for blob in self._received:
            blob.close()


def received_uploads(request: Request) -> list[Upload]:
    """The files of the field `files` in the order they were sent.

    What a browser sends for an empty file input (no name, no bytes) is left out; an empty file with a name stays: it
    gets a line that says so.

    Raises UploadRefused for files in another field: they would be lost without a word.
    """
    if others := sorted(set(request.files) - {FIELD}):
        raise UploadRefused(
            "Files came in the form field '%(other)s'; send all in '%(field)s'. Nothing was stored.",
            other=others[0],
            field=FIELD,
        )
    parts = request.files.getlist(FIELD)
    uploads = [Upload(file_name=part.filename or "", blob=_blob(part)) for part in parts]
    return [upload for upload in uploads if upload.file_name or upload.blob.size_bytes]


def _blob(part: FileStorage) -> PendingBlob:
    return cast(PendingBlob, part.stream)  # UploadRequest made it
