"""Data folders as an installation has them, made in milliseconds: the migrations run once a process."""

import tempfile
from functools import cache
from pathlib import Path

from diagnosis_tool import resources
from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.wiring import make_context, migrate_database

DATABASE = "diagnosis_tool.sqlite"


@cache
def migrated_database() -> bytes:
    """The file of an empty database of the newest schema."""
    with tempfile.TemporaryDirectory() as folder:
        migrate_database(Path(folder) / DATABASE, resources.migrations_dir())
        return (Path(folder) / DATABASE).read_bytes()


def open_store(data_dir: Path) -> Context:
    """The stores of this data folder; an empty database is put there when there is none."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not (data_dir / DATABASE).exists():
        (data_dir / DATABASE).write_bytes(migrated_database())
    return make_context(
        data_dir=data_dir, database_file=data_dir / DATABASE, projects=ALL_PROJECTS, decoder=HereDecoder()
    )
