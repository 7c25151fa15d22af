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
    """200 when images can be read; 503 with the reason, part by part, before. state: ok, warming or failing."""
    found = readiness(current_context())
    parts = {part.name: {"state": part.state, "says": part.says} for part in found.parts}
    body = jsonify(ready=found.ready, state=found.state, reason=found.reason, bundle=found.bundle, parts=parts)
    return make_response(body, 200 if found.ready else 503)
