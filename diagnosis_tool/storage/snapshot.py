"""A copy of the database as it is at one moment, made while others write to it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.errors import BackupInvalid, DatabaseInvalid, StorageFull
from diagnosis_tool.storage.credentials import end_sessions_and_links
from diagnosis_tool.storage.database import open_database, write_transaction
from diagnosis_tool.storage.inventory import Inventory
from diagnosis_tool.storage.studies import delete_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of the database that nobody serves."""

    inventory: Inventory
    engine: Engine

    def delete_studies(self, uids: Sequence[str]) -> None:
        """Removes these studies' rows."""
        with write_transaction(self.engine) as db:
            delete_rows(db, uids, ALL_PROJECTS)

    def end_sessions_and_links(self) -> None:
        """Nobody is signed in any more, and no one-time link leads in; API tokens stay."""
        end_sessions_and_links(self.engine)


def snapshot(database_file: Path, target: Path) -> None:
    """Copies the database by SQLite's online backup into the new file `target`, one file without a log beside it.

    Writers never wait for it: all is copied in one reading transaction. Raises StorageFull when there is no room at
    the target, DatabaseInvalid for a database that is damaged.
    """
    try:
        with closing(sqlite3.connect(database_file)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)  # all pages in one step: it never begins anew because somebody wrote
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_FULL":
            raise StorageFull("There is no room for the backup at %(target)s.", target=target.parent) from error
        raise BackupInvalid(
            "The database could not be copied to %(target)s: %(why)s.", target=target, why=error
        ) from error
    except sqlite3.DatabaseError as error:
        raise DatabaseInvalid(
            "%(file)s cannot be read: %(why)s. Run `diagnosis-tool check`.", file=database_file, why=error
        ) from error


@contextmanager
def opened(file: Path) -> Iterator[Copy]:
    """The copy in this file; at the end it is one file again, with no log beside it, that may be moved.

    Raises DatabaseInvalid when SQLite finds it damaged.
    """
    engine = open_database(file)
    try:
        yield Copy(inventory=Inventory(engine), engine=engine)
    finally:
        engine.dispose()
    with closing(sqlite3.connect(file)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DatabaseInvalid("The database is damaged: %(found)s. Run `diagnosis-tool check`.", found=found)
