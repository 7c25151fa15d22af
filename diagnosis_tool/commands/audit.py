"""`diagnosis-tool audit`: the log of who did what, and whether anybody touched it."""

import argparse
import sys
from dataclasses import astuple, fields
from datetime import UTC, datetime

from diagnosis_tool.commands.environment import existing_context
from diagnosis_tool.domain.audit import Action, Line
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import audit
from diagnosis_tool.services.export import csv_line
from diagnosis_tool.storage.audit import AuditQuery

_OK, _TOUCHED = 0, 1
_MOST_PRINTED = 50


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `audit list`, `audit verify` and `audit head`."""
    parser = commands.add_parser("audit", help="who did what to which study, and whether the log is whole")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    verify = kinds.add_parser("verify", help="look for rows that were edited, removed, added or moved")
    verify.add_argument(
        "--head", action="append", default=[], metavar="N:HASH", help="a head noted elsewhere that must be in the log"
    )
    verify.set_defaults(command=_verify)
    kinds.add_parser("head", help="print the newest row's number and hash, to be kept elsewhere").set_defaults(
        command=_head
    )
    rows = kinds.add_parser("list", help="print rows, oldest first")
    rows.add_argument("--user", help="only what this user did, by name")
    rows.add_argument("--study", metavar="UID", help="only what was done to this study")
    rows.add_argument("--action", choices=[action.value for action in Action])
    rows.add_argument("--since", type=_moment, metavar="TIME", help="such as 2026-11-20 or 2026-11-20T08:00+01:00")
    rows.add_argument("--until", type=_moment, metavar="TIME", help="not included; without a zone times are UTC")
    rows.add_argument("--csv", action="store_true", help="with a line of headings, for a spreadsheet")
    rows.set_defaults(command=_list)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-20T08:00") from error


def _verify(options: argparse.Namespace) -> int:
    found = audit.verify(existing_context(), options.head)
    for problem in found.problems[:_MOST_PRINTED]:
        print(f"TOUCHED: {problem}", file=sys.stderr)
    if len(found.problems) > _MOST_PRINTED:
        print(f"TOUCHED: and {len(found.problems) - _MOST_PRINTED} more", file=sys.stderr)
    if found.problems:
        return _TOUCHED
    print(f"{found.rows} rows, each as it was written; head {found.head or 'none'}")
    return _OK


def _head(_: argparse.Namespace) -> int:
    head = existing_context().audit.head()
    if head is None:
        raise RequestRefused("The audit log is empty: it has no head yet.")
    print(head)
    return _OK


def _list(options: argparse.Namespace) -> int:
    query = AuditQuery(
        user=options.user, study_uid=options.study, action=options.action, since=options.since, until=options.until
    )
    rows = existing_context().audit.lines(query)
    if options.csv:
        sys.stdout.write(csv_line(field.name for field in fields(Line)))
        sys.stdout.writelines(csv_line("" if cell is None else str(cell) for cell in astuple(row)) for row in rows)
        return _OK
    for row in rows:
        words = (
            row.at[:19],
            row.user_name or "-",
            row.action,
            row.outcome,
            row.study_uid or "-",
            row.address,
            row.detail,
        )
        print("  ".join((str(row.seq), *words)).rstrip())
    return _OK
