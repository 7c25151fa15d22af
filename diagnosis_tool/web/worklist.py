"""The worklist with its upload tray, and what keeps its rows live."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

from flask import Blueprint, Response, jsonify, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from diagnosis_tool.cxr.findings import NIH_FINDINGS
from diagnosis_tool.domain.worklist import Sort, StudyState, WorklistQuery
from diagnosis_tool.services import browse
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("worklist", __name__)

PAGE: Final = 50
_FILTERS: Final = ("q", "finding", "state", "from", "to", "reader", "sort")
_YEARS: Final = (1970, 9000)
"""Days outside cannot be counted with: the midnight after the last day there is does not exist."""
_MAX_TEXT: Final = 200
_Choice = TypeVar("_Choice", bound=StrEnum)


@blueprint.get("/")
def index() -> str:
    """Upload and worklist, 50 a page. A filter that makes no sense is as if it were not there."""
    context = current_context()
    query = asked(request.args)
    page = browse.worklist_page(context, query, limit=PAGE)
    kept = {name: value for name in _FILTERS if (value := request.args.get(name, ""))}
    return render_template(
        "index.html",
        page=page,
        query=query,
        kept=kept,
        is_filtered=any(name != "sort" for name in kept),
        findings=context.worklist.findings(context.projects) or NIH_FINDINGS,
        readers=context.users.all(context.projects),
        newest=context.worklist.newest(context.projects),
    )


@blueprint.get("/worklist/changes.json")
def changes() -> Response:
    """For the rows that a page shows (row=uid:version): those that changed, as HTML; those gone; the newest study."""
    context = current_context()
    shown = dict(part.rsplit(":", 1) for part in request.args.getlist("row")[:PAGE] if ":" in part)
    versions = context.worklist.versions(list(shown), context.projects)
    old = [uid for uid, version in versions.items() if str(version) != shown[uid]]
    finding = request.args.get("finding") or None
    changed = browse.worklist_rows(context, old, finding)
    rows = {row.uid: render_template("_row.html", row=row) for row in changed}
    gone = [uid for uid in shown if uid not in versions]
    context.trail.missed.extend(gone)
    return jsonify(rows=rows, gone=gone, newest=context.worklist.newest(context.projects))


def asked(args: "MultiDict[str, str]") -> WorklistQuery:
    """The query of the address's arguments."""
    return WorklistQuery(
        sort=_choice(args, "sort", Sort) or Sort.NEWEST,
        finding=args.get("finding") or None,
        state=_choice(args, "state", StudyState),
        first_day=_day(args, "from"),
        last_day=_day(args, "to"),
        reader_id=args.get("reader", None, type=_small),
        text=args.get("q", "")[:_MAX_TEXT],
        after=args.get("after") or None,
        before=args.get("before") or None,
    )


def _choice(args: "MultiDict[str, str]", name: str, kind: type[_Choice]) -> _Choice | None:
    value = args.get(name)
    return kind(value) if value in list(kind) else None


def _day(args: "MultiDict[str, str]", name: str) -> date | None:
    try:
        day = date.fromisoformat(args.get(name, ""))
    except ValueError:
        return None
    return day if _YEARS[0] <= day.year <= _YEARS[1] else None


def _small(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**31:  # the database's integers end somewhere
        raise ValueError(text)
    return number


def page_address(kept: Mapping[str, Any], **place: Any) -> str:
    """The worklist with the same filters at another place."""
    return url_for("worklist.index", **kept, **place)
