"""Opening the SQLite database and running transactions on it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import Busy, DatabaseInvalid, DiagnosisToolError, SettingsInvalid, StorageFull

_Value = TypeVar("_Value")
_BUSY_TIMEOUT_MS: Final = 30_000
"""SQLite's waiting is not fair, so one of many writers may be passed over for seconds (docs/results/reliability.md)."""
_FULL: Final = gettext_noop("The server's disk is full. Nothing was stored; ask the administrator for room.")
_BUSY: Final = gettext_noop("The server is too busy to store this now. Nothing was stored; try again in a minute.")
_DAMAGED: Final = (
    "The database is damaged, or is none: SQLite cannot read it. Nothing was changed. Keep its folder for whoever "
    "examines it, and restore the last backup into an empty one (`diagnosis-tool restore`)."
)
_WORDS: Final[dict[str, tuple[type[DiagnosisToolError], str]]] = {
    "SQLITE_FULL": (StorageFull, _FULL),
    "SQLITE_IOERR_SHMSIZE": (StorageFull, _FULL),  # the index of the write-ahead log, made when the first one opens
    "SQLITE_BUSY": (Busy, _BUSY),
    "SQLITE_CORRUPT": (DatabaseInvalid, _DAMAGED),
    "SQLITE_NOTADB": (DatabaseInvalid, _DAMAGED),
}
"""What SQLite's errors are to a user. Source: sqlite.org/rescode.html."""
_PRAGMAS: Final = (
    "journal_mode=WAL",  # readers never wait for the writer
    "synchronous=FULL",  # what was answered with success survives a power cut
    "foreign_keys=ON",
    f"busy_timeout={_BUSY_TIMEOUT_MS}",
)


def open_database(file: Path) -> Engine:
    """An engine on this file; the folder is created. The schema comes from storage.migrate.

    Raises SettingsInvalid when the folder cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(f"The data folder {file.parent} cannot be made: {error.strerror}.") from error
    # as text, a ? or % in the path would be read; parameters may name a patient, and errors are logged
    engine = create_engine(URL.create("sqlite", database=str(file)), hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own: _begin does
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # a transaction that will write takes the write lock at once: upgrading later could fail with 'database is locked'
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def portions(values: Iterable[_Value], size: int = 500) -> Iterator[list[_Value]]:
    """The values in lists of this size: databases bound how many a statement may name."""
    left = iter(values)
    while portion := list(islice(left, size)):
        yield portion


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database.

    Raises DatabaseInvalid for a damaged one, StorageFull when the disk has not even room for what reading needs.
    """
    with in_words(), engine.begin() as connection:
        yield connection


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock; committed at the end, rolled back on any error.

    Raises StorageFull when the disk has no room, Busy when others hold the lock for _BUSY_TIMEOUT_MS, DatabaseInvalid
    for a damaged database.
    """
    with in_words(), engine.connect().execution_options(immediate=True) as connection, connection.begin():
        yield connection


@contextmanager
def in_words() -> Iterator[None]:
    """Turns those of SQLite's errors that are not our mistakes into ours."""
    try:
        yield
    except DBAPIError as error:
        name = getattr(error.orig, "sqlite_errorname", "")
        for key in (name, "_".join(name.split("_")[:2])):  # SQLITE_CORRUPT_INDEX is SQLITE_CORRUPT in particular
            if key in _WORDS:
                kind, words = _WORDS[key]
                raise kind(words) from error
        raise
