"""The audit log in the database, and its head in a file beside it."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select, text

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.audit import GENESIS, Event, Head, Line, Verification, head_seal, line_hash, verify
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.database import read_transaction, write_transaction

_log: Final = logging.getLogger(__name__)
_TRIGGERS: Final = frozenset({"audit_refuses_update", "audit_refuses_delete", "audit_refuses_insert"})
_SAY_EVERY_S: Final = 600.0
_MOST_DETAIL: Final = 200
_MOST_NAME: Final = 100
_MOST_ADDRESS: Final = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which rows are wanted; None where it does not matter. since, until: the latter is not included."""

    user: str | None = None
    study_uid: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLog:
    """Adds rows and reads them; nothing here changes one. key: of the chain. head_file: where the head is kept."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], *, key: bytes, head_file: Path) -> None:
        self._engine = engine
        self._now = now
        self._key = key
        self._head_file = head_file
        self._said_at = float("-inf")

    def record(self, events: Sequence[Event]) -> None:
        """Adds these rows in a transaction of their own, and notes the head. Raises StorageFull."""
        if not events:
            return
        with write_transaction(self._engine) as db:
            self.append(db, events)
        self.note_head()

    def append(self, db: Connection, events: Sequence[Event]) -> None:
        """Adds these rows within the caller's transaction, which holds the write lock; note_head is to follow.

        One statement for all of them: an export may be about thousands of studies.
        """
        if not events:
            return
        last = _last(db)
        seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
        rows: list[dict[str, Any]] = []
        at = self._now().astimezone(UTC).isoformat(timespec="microseconds")
        for event in events:
            seq += 1
            bare = Line(
                seq=seq,
                at=at,
                user_id=event.user_id,
                user_name=event.user_name[:_MOST_NAME],
                action=event.action.value,
                outcome=event.outcome.value,
                study_uid=event.study_uid,
                instance_uid=event.instance_uid,
                address=event.address[:_MOST_ADDRESS],
                request_id=event.request_id,
                detail=event.detail[:_MOST_DETAIL],
                hash="",
            )
            line = replace(bare, hash=line_hash(self._key, previous, bare))
            rows.append(dict(zip(_COLUMNS, astuple(line), strict=True)))
            previous = line.hash
        db.execute(insert(t.audit), rows)

    def head(self) -> Head | None:
        """The newest row; None while there is none."""
        with read_transaction(self._engine) as db:
            return _last(db)

    def note_head(self) -> None:
        """Writes the newest row's number and hash into the head's file, unless a newer one stands there.

        Now and then also to the log, which is best kept elsewhere: there nobody who can write here can undo it.
        Never raises for a file that cannot be written: the rows themselves are stored.
        """
        head = self.head()
        if head is None:
            return
        try:
            with _locked(self._head_file) as file:
                stands = self._read_head(file)
                if stands is None or stands.seq < head.seq:
                    file_line = f"{head}:{head_seal(self._key, head)}\n".encode()
                    os.pwrite(file, file_line, 0)
                    os.ftruncate(file, len(file_line))
        except OSError as error:
            _log.error("the audit log's head could not be noted: %s", error.strerror)
        if time.monotonic() - self._said_at >= _SAY_EVERY_S:
            self._said_at = time.monotonic()
            _log.info("audit head %s", head)

    def verify(self, *heads: Head) -> Verification:
        """Checks the whole chain against the noted head, and against `heads` that were kept elsewhere."""
        problems: list[str] = []
        try:
            with _locked(self._head_file, os.O_RDONLY) as file:
                noted = self._read_head(file)
            if noted is None:
                problems.append("the head's file was altered")
        except FileNotFoundError:
            noted = None
            if self.head() is not None:
                problems.append("the head's file is missing: whether the end was cut off cannot be told from it")
        known = [*([noted] if noted else []), *heads]
        with read_transaction(self._engine) as db:
            problems += [f"the trigger {name} is missing" for name in sorted(_TRIGGERS - _triggers(db))]
            found = verify(self._key, _lines(db, AuditQuery()), known)
        return replace(found, problems=(*problems, *found.problems))

    def lines(self, query: AuditQuery | None = None, *, after: int = 0) -> Iterator[Line]:
        """The rows asked for, oldest first; after: only those with a larger number."""
        with read_transaction(self._engine) as db:
            yield from _lines(db, query or AuditQuery(), after=after)

    def _read_head(self, file: int) -> Head | None:
        """None when the file is empty or was not written by us."""
        parts = os.pread(file, 300, 0).decode("ascii", "replace").strip().split(":")
        if len(parts) != 3 or not (parts[0].isascii() and parts[0].isdigit()):
            return None
        head = Head(seq=int(parts[0]), hash=parts[1])
        return head if compare_digest(head_seal(self._key, head).encode(), parts[2].encode()) else None


class AuditRow:
    """The row of a change, which the change itself writes in its own transaction: neither is stored without the other.

    event: all but what was changed, which is known there alone.
    """

    def __init__(self, log: AuditLog, event: Event) -> None:
        self._log = log
        self._event = event
        self.is_written = False

    def write(
        self, db: Connection, *, study_uids: Sequence[str | None] = (None,), instance_uid: str | None = None,
        detail: str = "", by: User | None = None,
    ) -> None:  # fmt: skip
        """Adds a row for each study; the caller holds the write lock. detail: our words. by: who asked after all."""
        event = replace(self._event, instance_uid=instance_uid, detail=detail)
        if by is not None:
            event = replace(event, user_id=by.id, user_name=by.name)
        self._log.append(db, [replace(event, study_uid=uid) for uid in study_uids])
        self.is_written = True


_COLUMNS: Final = tuple(field.name for field in fields(Line))


def _last(db: Connection) -> Head | None:
    a = t.audit.c
    row = db.execute(select(a.seq, a.hash).order_by(a.seq.desc()).limit(1)).one_or_none()
    return Head(seq=row.seq, hash=row.hash) if row else None


def _triggers(db: Connection) -> set[str]:
    rows = db.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"))
    return set(rows.scalars())


def _lines(db: Connection, query: AuditQuery, *, after: int = 0) -> Iterator[Line]:
    a = t.audit.c
    wanted: list[Any] = [a.seq > after] if after else []
    for column, value in ((a.user_name, query.user), (a.study_uid, query.study_uid), (a.action, query.action)):
        if value is not None:
            wanted.append(column == value)
    if query.since is not None:
        wanted.append(a.at >= query.since.astimezone(UTC).isoformat(timespec="microseconds"))
    if query.until is not None:
        wanted.append(a.at < query.until.astimezone(UTC).isoformat(timespec="microseconds"))
    rows = db.execution_options(yield_per=1000).execute(select(t.audit).where(*wanted).order_by(a.seq))
    for row in rows:
        yield Line(**row._mapping)


@contextmanager
def _locked(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    """The file, held against other processes of ours that would write it at the same time."""
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if flags & os.O_RDWR else fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)
