"""Is it up, and can it read?"""

from flask import Blueprint, Response, jsonify, make_response

from diagnosis_tool.services.health import readiness
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 as soon as the web process serves."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when a worker has loaded its bundle too, 503 with the reason before."""
    found = readiness(current_context())
    return make_response(
        jsonify(ready=found.ready, reason=found.reason, bundle=found.bundle), 200 if found.ready else 503
    )
