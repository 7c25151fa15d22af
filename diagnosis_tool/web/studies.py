"""Taking studies in, and the page of one study."""

from typing import Any, Final

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import Project, User
from diagnosis_tool.domain.jobs import Priority
from diagnosis_tool.domain.studies import Instance, Study, require_quota
from diagnosis_tool.errors import NotFound, UploadRefused
from diagnosis_tool.services import browse
from diagnosis_tool.services.submit import submit_study
from diagnosis_tool.web.auth import current_user
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.uploads import received_uploads

blueprint = Blueprint("studies", __name__)

_MOST_SHOWN: Final = 100
"""Of a project's name that there is not: as long as one may be."""


@blueprint.post("/studies")
def create() -> AnyResponse:
    """Takes the multipart field `files` in, `patient` for whose they are, `project`; answers 303 to the new study."""
    # before anything is received; a request that does not say its length is looked at once it is there
    context, user = current_context(), current_user()
    require_quota(context.studies.bytes_of_user(user.id), request.content_length or 0, context.quota_bytes)
    uploads = received_uploads(request)
    patient = request.form.get("patient", "")
    uid = submit_study(context, uploads, user_id=user.id, patient=patient, project_id=_project(user).id)
    return redirect(url_for("studies.show", uid=uid), 303)


def _project(user: User) -> Project:
    """The one that the form names, among the user's. Who has one alone needs to name none; nobody's is guessed."""
    if not user.projects:
        raise UploadRefused("You belong to no project, so nobody could see the study. Ask an administrator.")
    named = {name for name in request.form.getlist("project") if name}
    if not named and len(user.projects) == 1:
        return user.projects[0]
    if len(named) != 1:
        raise UploadRefused(
            "You belong to several projects (%(names)s): say in the form field '%(field)s' which one the study is for. "
            "Nothing was stored.",
            names=", ".join(project.name for project in user.projects),
            field="project",
        )
    (name,) = named
    for project in user.projects:
        if project.name == name:
            return project
    raise UploadRefused("You do not belong to the project %(name)s. Nothing was stored.", name=name[:_MOST_SHOWN])


@blueprint.get("/studies/<uid>")
def show(uid: str) -> str:
    """The study page; a script on it keeps it up to date while images are read."""
    context = current_context()
    study = browse.get_study(context, uid)
    context.jobs.raise_priority_of_study(uid, context.projects, Priority.ON_A_PAGE)
    return render_template("study.html", study=study)


@blueprint.get("/studies/<uid>.json")
def show_json(uid: str) -> Response:
    """The study for scripts: probabilities unrounded and, as `shown`, as pages print them; in the bundle's order."""
    return jsonify(study_json(browse.get_study(current_context(), uid)))


@blueprint.get("/studies/<uid>/status.json")
def status(uid: str) -> Response:
    """How far the study's images are, for the study page's polling."""
    context = current_context()
    study = browse.get_progress(context, uid)
    context.jobs.raise_priority_of_study(uid, context.projects, Priority.ON_A_PAGE)
    instances = [
        {"uid": of, "state": state, "word": wording.state_word(state), "shape": wording.state_shape(state)}
        for of, state in study.states
    ]
    return jsonify(finished=study.finished, summary=wording.batch_summary(study), instances=instances)


@blueprint.get("/studies/<uid>/cards/<instance_uid>")
def card(uid: str, instance_uid: str) -> str:
    """One image's card as the study page has it: the page fetches it when the image's state changes."""
    instance = browse.get_instance(current_context(), instance_uid)
    if instance.study_uid != uid:
        raise NotFound("This study has no such image. Reload the page.")
    return render_template("_card.html", instance=instance)


def study_json(study: Study) -> dict[str, Any]:
    """The study as scripts get it."""
    instances = [_instance_json(instance) for instance in study.instances]
    return {"uid": study.uid, "created_at": study.created_at.isoformat(), "instances": instances}


def _instance_json(instance: Instance) -> dict[str, Any]:
    prediction = instance.prediction
    outputs = prediction.outputs if prediction else ()
    top = prediction.top if prediction else ()
    return {
        "file": instance.file_name,
        "sha256": instance.sha256,
        "state": instance.state,
        "error": str(instance.error) if instance.error else None,
        "findings": [
            {"finding": o.name, "probability": o.probability, "shown": wording.probability(o.probability)}
            for o in outputs
        ],
        "top4": list(top),
        "heatmaps": {name: url_for("images.heatmap", uid=instance.uid, finding=name) for name in top},
        "bundle": prediction.identity.bundle if prediction else None,
        **({"notes": [str(note) for note in instance.notes]} if instance.notes else {}),
    }
