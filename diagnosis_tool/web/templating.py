"""What every template may use besides its arguments."""

from datetime import datetime

from flask import Flask

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.services.submit import MAX_BYTES, MAX_FILES


def install(app: Flask) -> None:
    """Registers the filters and globals."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(local_time=local_time, megabytes=megabytes)
    app.jinja_env.globals.update(wording=wording, InstanceState=InstanceState, MAX_FILES=MAX_FILES, MAX_BYTES=MAX_BYTES)


def local_time(moment: datetime) -> str:
    """In the server's time zone, to the minute."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def megabytes(size_bytes: int) -> str:
    """For example '1.4 MB'; at least 0.1 unless the file is empty."""
    return f"{max(size_bytes / 1e6, 0.1 if size_bytes else 0):.1f} MB"
