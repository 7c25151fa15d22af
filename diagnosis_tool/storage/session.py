"""Opening the SQLite database and running transactions on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from diagnosis_tool.errors import SettingsInvalid, StorageFull

_BUSY_TIMEOUT_MS: Final = 15_000
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
    engine = create_engine(URL.create("sqlite", database=str(file)))  # as text, a ? or % in the path would be read
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


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock; committed at the end, rolled back on any error.

    Raises StorageFull when the disk has no room.
    """
    try:
        with engine.connect().execution_options(immediate=True) as connection, connection.begin():
            yield connection
    except OperationalError as error:
        if "disk is full" in str(error.orig):
            raise StorageFull(
                "The server's disk is full. Nothing was stored; ask the administrator for room."
            ) from error
        raise
