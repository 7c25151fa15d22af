"""Downloads of one study or of those chosen on the worklist, and deleting them."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.studies import Study
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import browse, export
from diagnosis_tool.services.context import Context
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.studies import study_json

blueprint = Blueprint("exports", __name__)

MOST: Final = 200
"""Studies in one go: their predictions are in memory together."""


@blueprint.get("/studies/<uid>.csv")
def study_csv(uid: str) -> Response:
    """The study's predictions as a table."""
    return _table("study", export.predictions_csv([browse.get_study(current_context(), uid)]))


@blueprint.get("/export/readings.csv")
def predictions() -> Response:
    """The predictions for the studies chosen (study=uid, as often as there are)."""
    return _table("readings", export.predictions_csv(_studies()))


@blueprint.get("/export/readings.json")
def predictions_json() -> Response:
    """The same as one JSON array, an object a study as /studies/<uid>.json has it."""
    response = jsonify([study_json(study) for study in _studies()])
    response.headers.set("Content-Disposition", "attachment", filename=_name("readings", "json"))
    return response


@blueprint.get("/export/reviews.csv")
def reviews() -> Response:
    """The reviews of the studies chosen; of all when none is."""
    context = current_context()
    return _table("reviews", export.reviews_csv(context, _chosen_there(context)))


@blueprint.get("/export/labels.csv")
def labels() -> Response:
    """The signed reviews as labels for training; silence=agrees counts findings without a verdict as agreed with."""
    silence = request.args.get("silence") == "agrees"
    context = current_context()
    made = export.training_labels(context, _chosen_there(context), silence_agrees=silence)
    return _table("labels", [made.labels_csv], bom="")


@blueprint.get("/delete")
def ask_delete() -> str:
    """Says what would be deleted, and asks."""
    context = current_context()
    return render_template("delete.html", rows=browse.worklist_rows(context, _some_chosen()))


@blueprint.post("/delete")
def delete() -> AnyResponse:
    """Deletes the studies of the form field `study`."""
    context = current_context()
    chosen = browse.get_chosen(context, request.form.getlist("study"))
    context.studies.delete(chosen, context.projects, row=context.row)
    return redirect(url_for("worklist.index"), 303)


def _chosen() -> list[str]:
    uids = list(dict.fromkeys(request.args.getlist("study")))
    if len(uids) > MOST:
        raise RequestRefused("%(n)s studies were chosen; at most %(most)s fit in one go.", n=len(uids), most=MOST)
    return uids


def _chosen_there(context: Context) -> list[str] | None:
    chosen = _chosen()
    return browse.get_chosen(context, chosen) if chosen else None


def _some_chosen() -> list[str]:
    uids = _chosen()
    if not uids:
        raise RequestRefused("No study was chosen. Tick some on the worklist, then try again.")
    return uids


def _studies() -> list[Study]:
    return [browse.get_study(current_context(), uid) for uid in _some_chosen()]


def _table(name: str, lines: Iterable[str], bom: str = export.BOM) -> Response:
    response = Response(bom + "".join(lines), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=_name(name, "csv"))
    return response


def _name(name: str, suffix: str) -> str:
    return f"{name}-{date.today()}.{suffix}"
