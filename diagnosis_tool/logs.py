"""What the processes log: one line an event, as text or JSON, with the request's id and never with a patient's.

Our own messages carry internal ids only. What others say may quote the input they met (a DICOM value, a file's name,
SQL parameters), so of exceptions and warnings the kind and the place are logged, and of their words only those that
cannot hold any.
"""

import json
import logging
import os
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from diagnosis_tool.errors import DiagnosisToolError

_request: Final[ContextVar[str]] = ContextVar("request_id", default="")
_QUIET: Final = {
    "alembic": logging.WARNING,
    "fontTools": logging.WARNING,
    "fpdf": logging.ERROR,  # it names the letters that a font lacks
    "pydicom": logging.CRITICAL,  # it quotes values, which may name a patient
    "PIL": logging.WARNING,
}
_WORDS_OF_SQLITE: Final = (  # a plain SQLITE_ERROR quotes the query
    "SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_CONSTRAINT", "SQLITE_CORRUPT", "SQLITE_FULL", "SQLITE_IOERR",
    "SQLITE_LOCKED", "SQLITE_READONLY",
)  # fmt: skip


class LogFormat(StrEnum):
    """TEXT for people, JSON (an object a line) for what gathers logs."""

    TEXT = "text"
    JSON = "json"


def configure(chosen: LogFormat, level: int = logging.INFO) -> None:
    """Sends everything that this process logs to standard error, in this format. For the start of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if chosen is LogFormat.JSON else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    logging.captureWarnings(True)


def configure_from_env() -> None:
    """configure by LOG_FORMAT; a value that makes no sense is told by Settings, with all the others."""
    configure(LogFormat.JSON if os.environ.get("LOG_FORMAT") == LogFormat.JSON else LogFormat.TEXT)


def about_request(request_id: str) -> None:
    """What this thread logs from now on is about this request; '' for none."""
    _request.set(request_id)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        request = f" [{_request.get()}]" if _request.get() else ""
        line = f"{_moment(record)} {record.levelname} {record.name}{request}: {_message(record)}"
        return "\n".join((line.replace("\n", " "), *_trace(record)))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if _request.get():
            values["request_id"] = _request.get()
        if trace := list(_trace(record)):
            values["trace"] = trace
        return json.dumps({**values, **getattr(record, "values", {})}, ensure_ascii=False)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.name == "py.warnings":
        return ":".join(message.split(":")[:3])  # file, line and category; the words may quote
    if record.name.startswith("gunicorn"):
        return message.split("?", 1)[0]  # an address with its query
    return message


def _trace(record: logging.LogRecord) -> Iterator[str]:
    error = record.exc_info[1] if record.exc_info else None
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"{type(error).__module__}.{type(error).__qualname__}{_words(error)}"
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        error = error.__cause__ or error.__context__


def _words(error: BaseException) -> str:
    if isinstance(error, DiagnosisToolError):
        return f": {error.message}"  # before values are put in
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        return f": {error}" if name.startswith(_WORDS_OF_SQLITE) else f": {name}" if name else ""
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    return ""
