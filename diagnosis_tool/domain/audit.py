"""The audit log's values: who did what to which study, and the chain that shows whether a row was touched. Pure.

Each row carries an HMAC over its own content and the row's before it, so a row that was edited, removed, added or
moved no longer fits. What is cut off the end leaves a chain that fits: the head, kept apart, tells of it.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

GENESIS: Final = "0" * 64
"""Stands before the first row."""


class Action(StrEnum):
    """What was done."""

    LIST = "list"
    """The worklist was looked at: names, findings and thumbnails of many studies."""
    VIEW = "view"
    UPLOAD = "upload"
    PREDICT = "predict"
    RETRY = "retry"
    REVIEW = "review"
    SIGN = "sign"
    EXPORT = "export"
    DELETE = "delete"
    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    USER = "user"
    """An account was added, changed, disabled; detail says which and how."""
    TOKEN = "token"  # noqa: S105  no password
    PROJECT = "project"
    BACKUP = "backup"
    RESTORE = "restore"
    ADMINISTER = "administer"
    """The audit log or another part of the tool itself was looked at or changed."""


class Outcome(StrEnum):
    """What came of it. REFUSED: it could not be done as asked. DENIED: not allowed. FAILED: it broke."""

    SUCCESS = "success"
    REFUSED = "refused"
    DENIED = "denied"
    FAILED = "failed"


class NotRead(StrEnum):
    """Why an image has no prediction: the detail of a PREDICT that was no success."""

    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    BROKE_DOWN = "broke-down"


AGAIN: Final = " again"
"""Ends the detail of a PREDICT that took an earlier prediction for the same content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that somebody did. Never holds what identifies a patient: uids are the tool's own.

    user_name: as it was then; a worker's name for PREDICT, 'command line (…)' for commands; '' for nobody known.
    address: of the client. detail: a few words of ours, never of the request's.
    """

    action: Action
    outcome: Outcome = Outcome.SUCCESS
    user_id: int | None = None
    user_name: str = ""
    study_uid: str | None = None
    instance_uid: str | None = None
    address: str = ""
    request_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What was looked up on behalf of one request: its row is about this, never about what an address asks for.

    seen: study uid to the image's uid, or None where more than an image was read. missed: uids that led to nothing.
    """

    seen: dict[str, str | None] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row as it stands in the database, whatever somebody may have made of it. at: ISO 8601, UTC."""

    seq: int
    at: str
    user_id: int | None
    user_name: str
    action: str
    outcome: str
    study_uid: str | None
    instance_uid: str | None
    address: str
    request_id: str
    detail: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest row that was known of when it was noted: all rows up to it must be there."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What checking the chain found. problems: one sentence each; none when all is as it was written."""

    rows: int
    head: Head | None
    problems: tuple[str, ...]


def line_hash(key: bytes, previous: str, line: Line) -> str:
    """HMAC-SHA256, hex, over the previous row's hash and all of this row but its hash. Source: RFC 2104."""
    content = [
        previous, line.seq, line.at, line.user_id, line.user_name, line.action, line.outcome, line.study_uid,
        line.instance_uid, line.address, line.request_id, line.detail,
    ]  # fmt: skip
    message = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def head_seal(key: bytes, head: Head) -> str:
    """HMAC that shows that a noted head was not written by hand."""
    return hmac.new(key, f"head {head}".encode(), hashlib.sha256).hexdigest()


def verify(key: bytes, lines: Iterable[Line], heads: Iterable[Head] = ()) -> Verification:
    """Goes through all rows, in the order of seq, from the first one. heads: noted ones that must be in the chain."""
    expected = {head.seq: head for head in heads}
    problems: list[str] = []
    previous, rows, last = GENESIS, 0, None
    for line in lines:
        problems += _gap(last.seq if last else 0, line.seq)
        if not hmac.compare_digest(line_hash(key, previous, line), line.hash):
            problems.append(
                f"row {line.seq} does not fit: it, or the row before it, was edited, removed, added or moved"
            )
        noted = expected.pop(line.seq, None)
        if noted is not None and noted.hash != line.hash:
            problems.append(f"row {line.seq} is not the one that was noted as head")
        previous, rows, last = line.hash, rows + 1, Head(seq=line.seq, hash=line.hash)
    problems += [f"row {seq} was noted as head and is missing: the end was cut off" for seq in sorted(expected)]
    return Verification(rows=rows, head=last, problems=tuple(problems))


def _gap(before: int, seq: int) -> Iterator[str]:
    if seq != before + 1:
        missing = f"row {before + 1} is missing" if seq == before + 2 else f"rows {before + 1} to {seq - 1} are missing"
        yield missing if seq > before + 1 else f"row {seq} stands twice"
