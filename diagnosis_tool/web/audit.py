"""What of a request goes into the audit log: its action by the table of endpoints, its studies by what was read.

A page brings many requests (film, heatmaps, charts, polling). Looking is therefore recorded once for each user and
study in a while, by whichever request came first; every other action each time.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from flask import Flask, Response, g, request

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.audit import Action, Event, Outcome
from diagnosis_tool.services import audit
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.web import front, request_id
from diagnosis_tool.web.auth import signed_in_user
from diagnosis_tool.web.current import current_trail, shared_context
from diagnosis_tool.web.endpoints import ENDPOINTS, PUBLIC
from diagnosis_tool.web.metrics import current_metrics

LOOKING_S: Final = 900.0
"""Who looks at the same study again within this time adds no row."""
_MOST_KEPT: Final = 20_000
_MOST_STUDIES: Final = 1000
_ONCE: Final = frozenset({Action.LIST, Action.VIEW})
_CHANGES: Final = frozenset(
    {
        Action.UPLOAD,
        Action.DELETE,
        Action.RETRY,
        Action.REVIEW,
        Action.SIGN,
        Action.USER,
        Action.PROJECT,
        Action.TOKEN,
        Action.SIGN_IN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a view adds to its own row; None where the request says it.

    is_knock: nobody known asked for nothing; recorded once in LOOKING_S for each address.
    """

    detail: str | None = None
    user_id: int | None = None
    user_name: str | None = None
    outcome: Outcome | None = None
    is_knock: bool = False


def note(what: Note) -> None:
    """For a view: its row says this, too. detail holds words of ours, nothing that identifies a patient."""
    g.audit_note = what


def row_of(action: Action, user_name: str) -> AuditRow:
    """For a view that changes something on its way: the row of that, by whoever had it changed."""
    return AuditRow(shared_context().audit, replace(_event(action, Outcome.SUCCESS), user_name=user_name))


def install(app: Flask) -> None:
    """Records what each request did once its answer is known, before it is sent; changes record themselves."""
    lately = _Lately()

    def prepare() -> None:
        found = ENDPOINTS.get(request.endpoint or "")
        if found is not None and found.records in _CHANGES:
            event = _event(Action(found.records), Outcome.SUCCESS)
            g.audit_row = AuditRow(shared_context().audit, event)

    def record(response: Response) -> Response:
        found = ENDPOINTS.get(request.endpoint or "")
        if front.goes_on():
            return response
        # whoever was not let in did nothing, and must not fill the log by knocking all day
        is_known = signed_in_user() is not None or "audit_note" in g or (found is not None and found.needs is PUBLIC)
        if found is not None and isinstance(found.records, Action) and is_known and request.method != "OPTIONS":
            _record(lately, found.records, response.status_code)
        return response

    app.before_request(prepare)
    app.after_request(record)


def _record(lately: "_Lately", action: Action, status: int) -> None:
    said: Note = g.get("audit_note") or Note()
    outcome = said.outcome or _outcome(status)
    is_written = outcome is Outcome.SUCCESS and "audit_row" in g and g.audit_row.is_written
    if is_written:
        with suppress(Exception):  # whatever broke: it is stored, and the next row notes the head, too
            shared_context().audit.note_head()
    event = _event(action, outcome, said.detail or ("" if status < 400 else f"status {status}"))
    events = _about(event, is_written=is_written)
    if action in _ONCE:
        looks = [replace(look, instance_uid=None) for look in events]
        events = [e for e in looks if not lately.saw((e.user_id, e.user_name, action, e.outcome, e.study_uid))]
    is_knock = said.is_knock or (signed_in_user() is None and "audit_note" not in g)
    if is_knock:  # who knocks all day must not fill the log
        events = [e for e in events if not lately.saw((e.address, e.action, e.outcome, e.detail))]
    if not audit.record(shared_context(), events):
        current_metrics().not_audited.inc(len(events))


def _about(event: Event, *, is_written: bool) -> list[Event]:
    """The event of each study that was read, unless a change writes its own rows; of each that was not to be had."""
    trail, is_done = current_trail(), event.outcome is Outcome.SUCCESS
    in_vain = replace(event, outcome=Outcome.REFUSED) if is_done else event  # a page can say that there is none
    seen = {} if is_done and event.action in _CHANGES else trail.seen  # somebody else may have been first to delete it
    events = [replace(event, study_uid=study, instance_uid=image) for study, image in seen.items()]
    if trail.missed or not (is_done or events):
        found = _reached_for(trail.missed)
        events += [replace(in_vain, study_uid=study, instance_uid=image) for study, image in found.items()]
    if events or is_written or (is_done and event.action is Action.VIEW and not trail.missed):
        return events  # none: the viewer without an image
    return [in_vain if trail.missed else event]


def _event(action: Action, outcome: Outcome, detail: str = "") -> Event:
    """What this request's row says, but for what it is about."""
    said, user = g.get("audit_note"), signed_in_user()
    who = (user.id, user.name) if user else (None, "")
    if said is not None and said.user_name is not None:
        who = said.user_id, said.user_name
    return Event(
        action=action,
        outcome=outcome,
        user_id=who[0],
        user_name=who[1],
        address=request.remote_addr or "",
        request_id=request_id.current(),
        detail=detail,
    )


def _reached_for(missed: list[str]) -> dict[str, str | None]:
    """What was asked for in vain, whosever it is: as it was looked up, or named in a request that came to no lookup.

    Only what the database has: an address may hold anything, also a patient's name.
    """
    values = [*(request.view_args or {}).values(), *request.args.getlist("study"), *request.args.getlist("instance")]
    with suppress(Exception):  # what broke the request may break this as well, and must not break the response
        uids = (missed or [str(value) for value in values])[:_MOST_STUDIES]
        return shared_context().studies.named(uids, ALL_PROJECTS)
    return {}


def _outcome(status: int) -> Outcome:
    if status < 400:
        return Outcome.SUCCESS
    if status in {401, 403, 429}:
        return Outcome.DENIED
    return Outcome.REFUSED if status < 500 else Outcome.FAILED


class _Lately:
    """Which looks were recorded within LOOKING_S. One web process serves all, so its memory is enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[object, float] = {}

    def saw(self, what: object) -> bool:
        """True when it was seen within the time; else it is, from now on."""
        now = time.monotonic()
        with self._lock:
            if now - self._seen.get(what, float("-inf")) < LOOKING_S:
                return True
            self._seen.pop(what, None)  # goes to the end: the dictionary is in the order of time
            self._seen[what] = now
            while len(self._seen) > _MOST_KEPT:
                del self._seen[next(iter(self._seen))]
            return False
