"""Deleting studies."""

import logging
from collections.abc import Sequence
from typing import Final

from diagnosis_tool.services.context import Context

_log: Final = logging.getLogger(__name__)


def delete_studies(context: Context, uids: Sequence[str]) -> int:
    """Removes these studies and each file that no other study has; returns how many studies there were.

    Rows go first: what a crash leaves is a file that nobody names, never a row without its file.
    """
    count, orphans = context.studies.delete(uids, row=context.row)
    for sha256 in orphans:
        context.studies.drop_content(sha256, context.blobs.remove)
    _log.info("deleted %d studies and %d files", count, len(orphans))
    return count
