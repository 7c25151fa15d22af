"""Mounts the Dash app on the Flask app."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from dash import Dash
from flask import Flask, abort, request
from flask_wtf.csrf import generate_csrf
from markupsafe import escape

from diagnosis_tool.domain import language
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, files, layout, links

_SCRIPTS: Final = ("base", "pixels", "film", "stage", "hands", "review", "keys")
"""static/js/viewer-*.js in the order in which they build on each other; viewer.js is last."""
_INDEX: Final = """<!DOCTYPE html>
<html lang="%LANGUAGE%">
<head>
  {%metas%}
  <meta name="csrf-token" content="%CSRF%">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{%title%}</title>
  <link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
  {%css%}
  <link rel="stylesheet" href="/static/css/app.css">
  <link rel="stylesheet" href="/static/css/viewer.css">
  <script src="/texts/%LANGUAGE%.js"></script>
  <script src="/static/js/texts.js"></script>
%SCRIPTS%
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
    _fill_index(app)
    app.layout = layout.page  # made for each request: in its language
    callbacks.register(app, context)
    server.before_request(lambda: _refuse_malformed(app))
    return list(app.csp_hashes())


def _fill_index(app: Dash) -> None:
    """Writes language, scripts and the session's CSRF token into the page, as Flask's own pages have them."""
    plain: Callable[..., object] = app.interpolate_index
    addresses = [*(f"viewer-{name}.js" for name in _SCRIPTS), "viewer.js"]
    scripts = "\n".join(f'  <script src="/static/js/{address}"></script>' for address in addresses)

    def filled(**parts: str) -> str:
        values = {"%CSRF%": generate_csrf(), "%LANGUAGE%": language.current().code}
        page = str(plain(**parts)).replace("%SCRIPTS%", scripts)
        for place, value in values.items():
            page = page.replace(place, str(escape(value)))
        return page

    app.interpolate_index = filled  # type: ignore[assignment, method-assign]  # a subclass could not be typed


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
