"""What of a request goes into the audit log: its action by the table of endpoints, its studies by what was read.

A page brings many requests (film, heatmaps, charts, polling). Looking is therefore recorded once for each user and
study in a while, by whichever request came first; every other action each time. docs/audit.md says what counts as what.
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
from diagnosis_tool.web.auth import is_by_token, signed_in_user
from diagnosis_tool.web.current import current_trail, shared_context
from diagnosis_tool.web.endpoints import ENDPOINTS, PUBLIC, Endpoint
from diagnosis_tool.web.metrics import current_metrics

LOOKING_S: Final = 900.0
"""Who looks at the same study again within this time adds no row."""
LISTED_S: Final = 8 * 3600.0
"""Who has the same study on the worklist again within this time adds none: a reader's day is one long look at it."""
_MOST_KEPT: Final = 50_000
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
            _record(lately, found, found.records, response.status_code)
        return response

    app.before_request(prepare)
    app.after_request(record)


def _record(lately: "_Lately", endpoint: Endpoint, action: Action, status: int) -> None:
    said: Note = g.get("audit_note") or Note()
    outcome = said.outcome or _outcome(status)
    is_written = outcome is Outcome.SUCCESS and "audit_row" in g and g.audit_row.is_written
    if is_written:
        with suppress(Exception):  # whatever broke: it is stored, and the next row notes the head, too
            shared_context().audit.note_head()
    event = _event(action, outcome, said.detail or ("" if status < 400 else f"status {status}"))
    events = _about(event, is_written=is_written)
    if action in _ONCE:
        events = _new_looks(lately, events, is_on_worklist=endpoint.is_on_worklist)
    is_knock = said.is_knock or (signed_in_user() is None and "audit_note" not in g)
    if is_knock:  # who knocks all day must not fill the log
        events = [e for e in events if not lately.saw((e.address, e.action, e.outcome, e.detail), LOOKING_S)]
    if not audit.record(shared_context(), events):
        current_metrics().not_audited.inc(len(events))


def _new_looks(lately: "_Lately", events: list[Event], *, is_on_worklist: bool) -> list[Event]:
    """Those that were not recorded a while ago, of the same user from the same place by the same means."""
    new = []
    for event in events:
        look = replace(event, instance_uid=None)
        who = (look.user_id, look.user_name, look.address, is_by_token(), look.outcome, look.study_uid)
        if is_on_worklist and lately.has((Action.LIST, *who), LISTED_S):
            continue
        if not lately.saw((look.action, *who), LISTED_S if look.action is Action.LIST else LOOKING_S):
            new.append(look)
    return new


def _about(event: Event, *, is_written: bool) -> list[Event]:
    """The event of each study that was read, unless a change writes its own rows; of each that was not to be had."""
    trail, is_done = current_trail(), event.outcome is Outcome.SUCCESS
    in_vain = replace(event, outcome=Outcome.REFUSED) if is_done else event  # a page can say that there is none
    seen = {} if is_done and event.action in _CHANGES else trail.seen  # somebody else may have been first to delete it
    events = [replace(event, study_uid=study, instance_uid=image) for study, image in seen.items()]
    if trail.missed or not (is_done or events):
        found = _reached_for(trail.missed)
        events += [replace(in_vain, study_uid=study, instance_uid=image) for study, image in found.items()]
        nowhere = len(set(trail.missed) - found.keys() - set(found.values()))
        if nowhere and event.action is not Action.LIST:  # a worklist goes on asking for what was deleted meanwhile
            events.append(replace(in_vain, detail=_counted(in_vain.detail, nowhere)))
    if events or is_written or (is_done and event.action is Action.VIEW and not trail.missed):
        return events  # none: the viewer without an image
    return [event]


def _counted(detail: str, nowhere: int) -> str:
    if nowhere == 1:
        return detail
    return f"{detail}, {nowhere} that do not exist" if detail else f"{nowhere} that do not exist"


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
    with suppress(Exception):  # what broke the request may break this as well, and must not break the response
        return shared_context().studies.named(dict.fromkeys(missed or _named()), ALL_PROJECTS)
    return {}


def _named() -> list[str]:
    """What the request names, as endpoints take it: in the path, the query, a page's form."""
    values = [*(request.view_args or {}).values(), *request.args.getlist("study"), *request.args.getlist("instance")]
    if request.mimetype == "application/x-www-form-urlencoded":  # never files: those are not received for this
        values += request.form.getlist("study")
    return [str(value) for value in values]


def _outcome(status: int) -> Outcome:
    if status < 400:
        return Outcome.SUCCESS
    if status in {401, 403, 429}:
        return Outcome.DENIED
    return Outcome.REFUSED if status < 500 else Outcome.FAILED


class _Lately:
    """Which looks were recorded when. One web process serves all, so its memory is enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[object, float] = {}

    def has(self, what: object, within_s: float) -> bool:
        """Whether it was seen within the time."""
        with self._lock:
            return time.monotonic() - self._seen.get(what, float("-inf")) < within_s

    def saw(self, what: object, within_s: float) -> bool:
        """The same; it is seen from now on."""
        now = time.monotonic()
        with self._lock:
            if now - self._seen.get(what, float("-inf")) < within_s:
                return True
            self._seen.pop(what, None)  # goes to the end: the dictionary is in the order of time
            self._seen[what] = now
            while len(self._seen) > _MOST_KEPT:
                del self._seen[next(iter(self._seen))]
            return False
