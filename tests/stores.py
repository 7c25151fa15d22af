"""Data folders for tests, as an installation has them; made in milliseconds."""

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from diagnosis_tool import resources
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import Upload, submit_study
from diagnosis_tool.services.wiring import make_context, migrate_database

DATABASE = "diagnosis_tool.sqlite"


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        migrate_database(Path(folder) / DATABASE, resources.migrations_dir())
        return (Path(folder) / DATABASE).read_bytes()


def open_store(data_dir: Path) -> Context:
    """The stores of this data folder; an empty database is put there when there is none."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not (data_dir / DATABASE).exists():
        (data_dir / DATABASE).write_bytes(_migrated())
    return make_context(data_dir=data_dir, database_file=data_dir / DATABASE)


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
        return submit_study(context, uploads, user_id=1, patient=patient).uid


def rows(data_dir: Path) -> list[str]:
    """All that the database holds, a line a row."""
    with closing(sqlite3.connect(data_dir / DATABASE)) as db:
        return list(db.iterdump())
