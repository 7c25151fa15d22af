"""What the study page takes from the viewer's side: the charts' JSON, and Plotly's own script."""

from pathlib import Path
from typing import Any, Final

import plotly
from flask import Blueprint, Response, current_app, jsonify, request, send_from_directory

from diagnosis_tool.domain.bars import Order, bars
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.bundles import screening_thresholds
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import links
from diagnosis_tool.viewer.charts import findings_chart

CONTEXT_KEY: Final = "diagnosis_tool.viewer.context"
_SCRIPTS: Final = Path(plotly.__file__).parent / "package_data"
_YEAR_S: Final = 365 * 24 * 3600

blueprint = Blueprint("viewer_files", __name__, url_prefix=links.PREFIX.rstrip("/"))


@blueprint.get("/plotly.min.js")
def plotly_script() -> Response:
    """Plotly as its package brings it; nothing comes from a CDN."""
    response = send_from_directory(_SCRIPTS, "plotly.min.js")
    if request.args.get("v") == plotly.__version__:
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
    return response


@blueprint.app_url_defaults
def add_version(endpoint: str, values: dict[str, Any]) -> None:
    """Another version has another address, so browsers keep it."""
    if endpoint == f"{blueprint.name}.plotly_script":
        values.setdefault("v", plotly.__version__)


@blueprint.get("/figures/<uid>.json")
def chart(uid: str) -> Response:
    """The chart of one image; ?order=probability sorts it."""
    context: Context = current_app.extensions[CONTEXT_KEY]()
    prediction = browse.get_instance(context, uid).prediction
    if prediction is None:
        raise NotFound("This image has no chart: it is not read (yet).")
    order = Order.PROBABILITY if request.args.get("order") == Order.PROBABILITY else Order.ANATOMICAL
    metadata = context.bundles.of(prediction.identity.bundle_sha256)
    return jsonify(findings_chart(bars(prediction, order, screening_thresholds(metadata) if metadata else {})))
