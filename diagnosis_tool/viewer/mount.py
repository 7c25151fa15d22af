"""Mounts the Dash app on the Flask app."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from dash import Dash
from flask import Flask, abort, request
from flask_wtf.csrf import generate_csrf
from markupsafe import escape

from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, files, layout, links

_CSRF: Final = "%CSRF%"
_INDEX: Final = """<!DOCTYPE html>
<html lang="en">
<head>
  {%metas%}
  <meta name="csrf-token" content="%CSRF%">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{%title%}</title>
  <link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
  {%css%}
  <link rel="stylesheet" href="/static/css/app.css">
  <link rel="stylesheet" href="/static/css/viewer.css">
  <script src="/static/js/viewer.js"></script>
</head>
<body>
  {%app_entry%}
  {%config%}
  {%scripts%}
  {%renderer%}
</body>
</html>"""


def mount_viewer(server: Flask, context: Context) -> list[str]:
    """Serves the viewer at /viewer/; returns the hashes of its inline scripts for the content security policy."""
    server.extensions[files.CONTEXT_KEY] = context
    server.register_blueprint(files.blueprint)
    app = Dash(
        "diagnosis_tool.viewer",
        server=server,  # type: ignore[arg-type]  # Dash's types forget the Flask app
        url_base_pathname=links.PREFIX,
        index_string=_INDEX,
        title="Viewer – diagnosis-tool",
        update_title=None,  # type: ignore[arg-type]  # None is documented: the title must not flicker
        include_assets_files=False,
        suppress_callback_exceptions=True,  # the content comes and goes with the address
    )
    _put_token(app)
    app.layout = layout.page()
    callbacks.register(app, context)
    server.before_request(lambda: _refuse_malformed(app))
    return list(app.csp_hashes())


def _put_token(app: Dash) -> None:
    """Writes each session's CSRF token into the page, as Flask's own pages have it: for what the viewer posts."""
    plain: Callable[..., object] = app.interpolate_index

    def with_token(**parts: str) -> str:
        return str(plain(**parts)).replace(_CSRF, str(escape(generate_csrf())))

    app.interpolate_index = with_token  # type: ignore[assignment, method-assign]  # a subclass could not be typed


def _refuse_malformed(app: Dash) -> None:
    """Answers 400 to a request that names no callback of the server's, or not its inputs: Dash would break on it."""
    if request.method != "POST" or request.path != f"{links.PREFIX}_dash-update-component":
        return
    body = request.get_json()
    callback = app.callback_map.get(str(body.get("output"))) if isinstance(body, dict) else None
    if callback is None or "callback" not in callback:  # without: one that the browser runs
        abort(HTTPStatus.BAD_REQUEST)
    for part in ("inputs", "state"):
        values = body.get(part, [])
        if not isinstance(values, list) or len(values) != len(callback[part]):
            abort(HTTPStatus.BAD_REQUEST)
        if not all(isinstance(value, dict) and {"id", "property"} <= value.keys() for value in values):
            abort(HTTPStatus.BAD_REQUEST)
