"""Films and studies for tests of the stores, and all that a database holds."""

import sqlite3
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from testing.stores import DATABASE


def film(seed: int, side_px: int = 80) -> bytes:
    """A small grey PNG that counts as readable, another for each seed."""
    buffer = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side_px, side_px), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def send(context: Context, *files: bytes, patient: str = "") -> str:
    """Uploads the files as one study, as the web process does; returns its uid."""
    with ExitStack() as received:  # as the request does: what was not committed is removed
        uploads = []
        for number, data in enumerate(files):
            blob = received.enter_context(context.blobs.pending())
            blob.write(data)
            uploads.append(Upload(file_name=f"{number}.png", blob=blob))
        return submit_study(context, uploads, user_id=1, patient=patient)


def rows(data_dir: Path) -> list[str]:
    """All that the database holds, a line a row."""
    with closing(sqlite3.connect(data_dir / DATABASE)) as db:
        return list(db.iterdump())
