"""What every template may use besides its arguments."""

from datetime import datetime

from flask import Flask

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.worklist import Sort, StudyState
from diagnosis_tool.services.submit import MAX_BYTES, MAX_FILES
from diagnosis_tool.web.auth import may, signed_in_user
from diagnosis_tool.web.worklist import page_address


def install(app: Flask) -> None:
    """Registers the filters and globals."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(local_time=local_time, megabytes=megabytes)
    app.jinja_env.globals.update(
        page_address=page_address,
        may=may,
        signed_in_user=signed_in_user,
        wording=wording,
        Sort=Sort,
        StudyState=StudyState,
        MAX_FILES=MAX_FILES,
        MAX_BYTES=MAX_BYTES,
    )


def local_time(moment: datetime) -> str:
    """In the server's time zone, to the minute."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def megabytes(size_bytes: int) -> str:
    """For example '1.4 MB'; at least 0.1 unless the file is empty."""
    return f"{max(size_bytes / 1e6, 0.1 if size_bytes else 0):.1f} MB"
