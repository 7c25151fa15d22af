"""Reviews as JSON: what the viewer's review panel reads and posts."""

from typing import Any, Final, cast

from flask import Blueprint, Response, jsonify, make_response, request

from diagnosis_tool.domain import strict_json
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.reviews import Opinion, Review, ReviewBox, ReviewConflict, Verdict, clean_note
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import browse
from diagnosis_tool.services.review import save_review
from diagnosis_tool.web.auth import current_user
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("reviews", __name__, url_prefix="/instances/<uid>")

_NOT_UNDERSTOOD: Final = gettext_noop("The review could not be understood: %(what)s. Reload the page.")


@blueprint.get("/review.json")
def show(uid: str) -> Response:
    """The newest revision."""
    context = current_context()
    return jsonify(as_json(context.reviews.get(browse.get_name(context, uid).uid, context.projects)))


@blueprint.post("/review")
def save(uid: str) -> Response:
    """Stores a new revision of the whole review; 409 with the newest when the sender's was not it."""
    body = _body()
    saved = save_review(current_context(), uid, _opinion(body), based_on=_revision(body), user_id=current_user().id)
    return jsonify(as_json(saved))


@blueprint.post("/review/sign")
def sign(uid: str) -> Response:
    """Signs the revision that the sender saw; 409 as above."""
    context, based_on = current_context(), _revision(_body())
    image = browse.get_name(context, uid).uid
    signed = context.reviews.sign(
        image, context.projects, based_on=based_on, user_id=current_user().id, row=context.row
    )
    return jsonify(as_json(signed))


@blueprint.get("/priors.json")
def priors(uid: str) -> Response:
    """The patient's images, oldest first. acquired_at: when it was uploaded, where the file says nothing."""
    return jsonify(
        instances=[
            {
                "uid": instance.uid,
                "study_uid": instance.study_uid,
                "acquired_at": instance.dated.isoformat() if instance.dated else None,
                "dated_by": "acquisition" if instance.acquired_at else "upload",
                "view_position": instance.view_position,
                "probabilities": {o.name: o.probability for o in prediction.outputs} if prediction else {},
                "bundle": prediction.identity.bundle if prediction else None,
            }
            for instance in browse.priors(current_context(), uid)
            for prediction in [instance.prediction]
        ]
    )


@blueprint.errorhandler(ReviewConflict)
def conflict(error: ReviewConflict) -> Response:
    """What the other reader stored, so that nothing is overwritten unseen."""
    return make_response(jsonify(error=_(error.message, **error.values), current=as_json(error.current)), 409)


def as_json(of: Review) -> dict[str, Any]:
    """The review as the contract with the viewer has it."""
    return {
        "revision": of.revision,
        "bundle": of.bundle,
        "verdicts": dict(of.opinion.verdicts),
        "added": list(of.opinion.added),
        "note": of.opinion.note,
        "boxes": [
            {"finding": box.finding, "x": box.x, "y": box.y, "width": box.width, "height": box.height}
            for box in of.opinion.boxes
        ],
        "state": of.state,
        "signed_by": of.signed_by,
        "signed_at": of.signed_at.isoformat() if of.signed_at else None,
        "history": [
            {"revision": step.number, "by": step.by, "at": step.at.isoformat(), "state": step.state}
            for step in of.history
        ],
    }


def _body() -> dict[str, Any]:
    body = strict_json.parse(request.get_data()) if request.is_json else None
    if not isinstance(body, dict):
        raise RequestRefused(_NOT_UNDERSTOOD, what="it is no JSON object")
    return body


def _revision(body: dict[str, Any]) -> int:
    revision = body.get("revision")
    if type(revision) is not int:  # True is an int, too
        raise RequestRefused(_NOT_UNDERSTOOD, what="it does not say on which revision it is based")
    return revision


def _opinion(body: dict[str, Any]) -> Opinion:
    verdicts, added = body.get("verdicts", {}), body.get("added", [])
    note, boxes = body.get("note", ""), body.get("boxes", [])
    kinds = ((verdicts, dict, "verdicts"), (added, list, "added"), (note, str, "note"), (boxes, list, "boxes"))
    for value, kind, name in kinds:
        if not isinstance(value, kind):
            raise RequestRefused(_NOT_UNDERSTOOD, what=f"{name} is of the wrong kind")
    if not all(isinstance(name, str) for name in added):
        raise RequestRefused(_NOT_UNDERSTOOD, what="added holds something that is no name")
    return Opinion(
        verdicts={name: _verdict(value) for name, value in verdicts.items()},
        added=tuple(dict.fromkeys(added)),
        note=clean_note(note),
        boxes=tuple(_box(box) for box in boxes),
    )


def _verdict(value: object) -> Verdict:
    if value not in list(Verdict):
        raise RequestRefused(_NOT_UNDERSTOOD, what=f"a verdict is one of {', '.join(Verdict)}")
    return Verdict(cast(str, value))


def _box(value: object) -> ReviewBox:
    box = cast(dict[str, Any], value) if isinstance(value, dict) else {}
    numbers = [box.get(name) for name in ("x", "y", "width", "height")]
    if not isinstance(box.get("finding"), str) or any(type(number) not in {int, float} for number in numbers):
        raise RequestRefused(_NOT_UNDERSTOOD, what="a box has finding, x, y, width and height")
    x, y, width, height = (float(cast(float, number)) for number in numbers)
    return ReviewBox(finding=box["finding"], x=x, y=y, width=width, height=height)
