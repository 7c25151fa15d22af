"""Recording who did what, and looking at what was recorded. A worker's rows are written with its predictions."""

import getpass
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from diagnosis_tool.domain.audit import Action, Event, Head, Outcome, Verification
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.audit import AuditRow

_log: Final = logging.getLogger(__name__)


def record(context: Context, events: Sequence[Event]) -> bool:
    """Adds these rows; False when it could not. Never raises: what was done is done.

    Also, a full disk must not keep a film from its reader. A row that cannot be stored goes to the log in full instead,
    as an error.
    """
    try:
        context.audit.record(events)
    except Exception as error:  # noqa: BLE001  whatever broke, what was done is answered
        for event in events:
            _log.error("not in the audit log (%s): %s", type(error).__name__, event)
        return False
    return True


def record_command(
    context: Context,
    action: Action,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    detail: str = "",
    study_uids: Sequence[str] = (),
) -> None:
    """Adds a row for what a command of `diagnosis-tool` did, by the account of the machine that ran it.

    detail: a few words, such as which account was disabled; nothing that identifies a patient.
    """
    name = f"command line ({_account()})"
    record(
        context,
        [
            Event(action=action, outcome=outcome, user_name=name, detail=detail, study_uid=uid)
            for uid in study_uids or (None,)
        ],
    )


@contextmanager
def changing(context: Context, action: Action) -> Iterator[Context]:
    """In which a command of `diagnosis-tool` changes something: what it stores and its row are one transaction.

    The row is by the account of the machine that runs it.
    """
    event = Event(action=action, user_name=f"command line ({_account()})")
    yield replace(context, row=AuditRow(context.audit, event))
    with suppress(Exception):  # whatever broke: it is stored, and the next row notes the head, too
        context.audit.note_head()


def verify(context: Context, heads: Sequence[str] = ()) -> Verification:
    """Checks every row. heads: such as `audit head` and the log print them, kept elsewhere. Raises RequestRefused."""
    return context.audit.verify(*(_head(text) for text in heads))


def _head(text: str) -> Head:
    seq, _, digest = text.partition(":")
    if not (seq.isascii() and seq.isdigit() and len(digest) == 64):
        raise RequestRefused("%(head)s is no head. It looks like 120:4f0c… as `audit head` prints it.", head=text)
    return Head(seq=int(seq), hash=digest)


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user needs no name
        return "unnamed"
