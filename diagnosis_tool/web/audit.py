"""What of a request goes into the audit log: one table, endpoint to action; a test demands that each is in it.

A page brings many requests (film, heatmaps, figures, polling). Looking is therefore recorded once for each user and
study in a while, by whichever request came first; every other action each time.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, Response, g, request

from diagnosis_tool.domain.audit import Action, Event, Outcome
from diagnosis_tool.services import audit, browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import request_id
from diagnosis_tool.web.auth import signed_in_user
from diagnosis_tool.web.current import unbounded_context
from diagnosis_tool.web.metrics import current_metrics

LOOKING_S: Final = 900.0
"""Who looks at the same study again within this time adds no row."""
_MOST_KEPT: Final = 20_000
_MOST_STUDIES: Final = 1000
_UID: Final = re.compile(r"[0-9a-f]{32}")
_ONCE: Final = frozenset({Action.LIST, Action.VIEW})
_WAYS_IN: Final = frozenset({Action.SIGN_IN, Action.SIGN_OUT})
_KEY: Final = "diagnosis_tool.audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an action was about. instance_uid: its study is found where it is needed."""

    study_uids: tuple[str, ...] = ()
    instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a view adds to its own row; None where the request says it."""

    detail: str | None = None
    study_uids: tuple[str, ...] | None = None
    user_id: int | None = None
    user_name: str | None = None
    outcome: Outcome | None = None


def note(what: Note) -> None:
    """For a view: its row says this, too. detail holds words of ours, nothing that identifies a patient."""
    g.audit_note = what


SubjectOf = Callable[[Response], Subject]


def _nothing(_: Response) -> Subject:
    return Subject()


def _study(_: Response) -> Subject:
    return Subject(study_uids=_uids([request.view_args["uid"]] if request.view_args else []))


def _instance(_: Response) -> Subject:
    found = _uids([request.view_args["uid"]] if request.view_args else [])
    return Subject(instance_uid=found[0] if found else None)


def _chosen(_: Response) -> Subject:
    return Subject(study_uids=_uids(request.args.getlist("study")))


def _deleted(response: Response) -> Subject:
    # a body that was refused before it was read is not read here
    return Subject(study_uids=_uids(request.form.getlist("study")) if response.status_code < 400 else ())


def _created(response: Response) -> Subject:
    return Subject(study_uids=_uids([response.headers.get("Location", "").rsplit("/", 1)[-1]]))


def _opened_in_viewer(_: Response) -> Subject:
    """The image that the viewer's page comes with."""
    found = _uids(request.args.getlist("instance"))
    return Subject(instance_uid=found[0] if found else None)


def _shown_in_viewer(response: Response) -> Subject:
    """The image that the viewer's callback was asked for, from the address among its inputs."""
    if response.status_code >= 400:
        return Subject()
    body: Any = request.get_json()  # viewer.mount has looked at its form
    searches = [str(value.get("value")) for value in body["inputs"]]
    found = [match[1] for text in searches if (match := re.search(r"[?&]instance=([0-9a-f]{32})(?:&|$)", text))]
    return Subject(instance_uid=found[0] if found else None)


def _uids(texts: list[str]) -> tuple[str, ...]:
    """Those that look like uids of ours: an address may hold anything, also a patient's name."""
    return tuple(text for text in dict.fromkeys(texts) if _UID.fullmatch(text))[:_MOST_STUDIES]


AUDITED: Final[dict[str, tuple[Action, SubjectOf]]] = {
    "worklist.index": (Action.LIST, _nothing),
    "worklist.changes": (Action.LIST, _nothing),
    "studies.create": (Action.UPLOAD, _created),
    "studies.show": (Action.VIEW, _study),
    "studies.show_json": (Action.VIEW, _study),
    "studies.card": (Action.VIEW, _study),
    "exports.study_csv": (Action.EXPORT, _study),
    "exports.readings": (Action.EXPORT, _chosen),
    "exports.readings_json": (Action.EXPORT, _chosen),
    "exports.reviews": (Action.EXPORT, _chosen),
    "exports.labels": (Action.EXPORT, _chosen),
    "exports.delete": (Action.DELETE, _deleted),
    "images.radiograph": (Action.VIEW, _instance),
    "images.pixels": (Action.VIEW, _instance),
    "images.heatmap": (Action.VIEW, _instance),
    "images.original": (Action.EXPORT, _instance),
    "images.report": (Action.EXPORT, _instance),
    "images.retry": (Action.RETRY, _instance),
    "reviews.show": (Action.VIEW, _instance),
    "reviews.priors": (Action.VIEW, _instance),
    "reviews.save": (Action.REVIEW, _instance),
    "reviews.sign": (Action.SIGN, _instance),
    "viewer_files.figure": (Action.VIEW, _instance),
    "account.set_password": (Action.USER, _nothing),
    "account.make_token": (Action.TOKEN, _nothing),
    "account.revoke_token": (Action.TOKEN, _nothing),
    "sign_in.submit": (Action.SIGN_IN, _nothing),
    "sign_in.submit_once": (Action.SIGN_IN, _nothing),
    "sign_in.sign_out": (Action.SIGN_OUT, _nothing),
    "/viewer/": (Action.VIEW, _opened_in_viewer),
    "/viewer/<path:path>": (Action.VIEW, _opened_in_viewer),
    "/viewer/_dash-update-component": (Action.VIEW, _shown_in_viewer),
}

NOT_AUDITED: Final[dict[str, str]] = {
    "static": "scripts and styles",
    "_viewer_dash_assets.static": "scripts and styles",
    "viewer_files.plotly_script": "scripts and styles",
    "/viewer/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": "scripts and styles",
    "/viewer/_favicon.ico": "scripts and styles",
    "/viewer/_reload-hash": "scripts and styles",
    "/viewer/_dash-dependencies": "the viewer's empty frame",
    "/viewer/_dash-layout": "the viewer's empty frame",
    "studies.status": "states of reading without any finding, asked for each second by a page that has its row",
    "images.thumbnail": "a small picture on worklist and study page, whose looking is recorded",
    "images.raise_priority": "the queue's order; the viewer that asks for it has its row",
    "exports.ask_delete": "asks before deleting; shows what the worklist shows",
    "account.show": "no study is touched",
    "sign_in.show": "an empty form",
    "sign_in.show_once": "an empty form",
    "languages.choose": "no study is touched",
    "languages.texts": "no study is touched",
    "models.show": "no study is touched",
    "models.card": "no study is touched",
    "metrics.show": "figures without any study",
    "health.healthz": "no study is touched",
    "health.readyz": "no study is touched",
}


def install(app: Flask) -> None:
    """Records what each request did once its answer is known, before it is sent."""
    app.extensions[_KEY] = _Lately()

    def record(response: Response) -> Response:
        found = AUDITED.get(request.endpoint or "")
        # whoever was not let in did nothing, and must not fill the log by knocking all day
        is_anybodys = signed_in_user() is not None or (found is not None and found[0] in _WAYS_IN)
        if found is not None and is_anybodys and request.method != "OPTIONS":
            _record(app.extensions[_KEY], found[0], found[1](response), response)
        return response

    app.after_request(record)


def _record(lately: "_Lately", action: Action, subject: Subject, response: Response) -> None:
    # unbounded: who reaches for another project's study is recorded with the study
    context, noted = unbounded_context(), g.get("audit_note") or Note()
    user = signed_in_user()
    user_id, user_name = (user.id, user.name) if user else (None, "")
    if noted.user_name is not None:
        user_id, user_name = noted.user_id, noted.user_name
    outcome = noted.outcome or _outcome(response.status_code)
    study_uids = noted.study_uids if noted.study_uids is not None else subject.study_uids
    key = (user_id, user_name, action, outcome)
    if action in _ONCE:
        if action is Action.VIEW and subject == Subject() and outcome is Outcome.SUCCESS:
            return  # the viewer without an image
        if lately.saw((*key, subject.instance_uid or study_uids)):
            return
        if subject.instance_uid is not None:
            study_uids = _study_of(context, subject.instance_uid)
            if study_uids and lately.saw((*key, study_uids)):
                return
        subject = Subject()
    elif subject.instance_uid is not None:
        study_uids = _study_of(context, subject.instance_uid)
    detail = noted.detail or ("" if outcome is Outcome.SUCCESS else f"status {response.status_code}")
    events = [
        Event(
            action=action,
            outcome=outcome,
            user_id=user_id,
            user_name=user_name,
            study_uid=study_uid,
            instance_uid=subject.instance_uid,
            address=request.remote_addr or "",
            request_id=request_id.current(),
            detail=detail,
        )
        for study_uid in study_uids or (None,)
    ]
    if not audit.record(context, events):
        current_metrics().not_audited.inc(len(events))


def _study_of(context: Context, instance_uid: str) -> tuple[str, ...]:
    study_uid = browse.study_uid_of(context, instance_uid)
    return (study_uid,) if study_uid else ()


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
