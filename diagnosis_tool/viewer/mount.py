"""Mounts the Dash app on the Flask app.

The page comes with the content of its address as plain HTML (markup), so that the browser shows and works with it at
once. static/js/viewer-first.js starts Dash behind it, which takes its place when it has made the same page.
"""

import re
from collections.abc import Callable, Set
from http import HTTPStatus
from typing import Final

from dash import Dash
from dash.development.base_component import Component
from flask import Flask, abort, g, request
from flask_wtf.csrf import generate_csrf
from markupsafe import escape

from diagnosis_tool import resources
from diagnosis_tool.domain import language
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, files, ids, layout, links
from diagnosis_tool.viewer.markup import markup

_SCRIPTS: Final = (
    "texts", "viewer-base", "viewer-pixels", "viewer-film", "viewer-stage", "viewer-hands", "viewer-review",
    "viewer-keys", "viewer", "viewer-first",
)  # fmt: skip
"""static/js/*.js in the order in which they build on each other."""
_INDEX: Final = """<!DOCTYPE html>
<html lang="%LANGUAGE%">
<head>
  {%metas%}
  <meta name="csrf-token" content="%CSRF%">
  <meta name="reader" content="%READER%">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{%title%}</title>
%PRELOAD%
  <link rel="icon" href="%ICON%" type="image/svg+xml">
  {%css%}
%STYLES%
  <script src="%TEXTS%" defer></script>
%SCRIPTS%
</head>
<body>
  <div id="first-view">%FIRST%</div>
  {%app_entry%}
  {%config%}
  <template id="dash-scripts">
  {%scripts%}
  {%renderer%}
  </template>
</body>
</html>"""


def mount_viewer(server: Flask, context: Callable[[], Context]) -> None:
    """Serves the viewer at /viewer/. None of its inline scripts runs: viewer-first.js does what Dash's would.

    context: gives the context of whoever asks.
    """
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
    _fill_index(app, context)
    app.layout = layout.page  # made for each request: in its language
    callbacks.register(app, context, _allowed)
    server.before_request(lambda: _refuse_malformed(app))


def _fill_index(app: Dash, context: Callable[[], Context]) -> None:
    """Writes language, scripts, the session's CSRF token and the address's content into the page."""
    plain: Callable[..., object] = app.interpolate_index

    def filled(**parts: str) -> str:
        search = f"?{request.query_string.decode('ascii', 'replace')}"
        children, _ = callbacks.content(context(), search, _allowed())
        values = {
            "CSRF": str(escape(generate_csrf())),
            "READER": str(g.user.id),  # web.auth has let them in
            "LANGUAGE": str(escape(language.current().code)),
            "TEXTS": resources.texts_address(language.current().code),
            "PRELOAD": _preload(children),
            "ICON": resources.static_address("favicon.svg"),
            "STYLES": _lines('<link rel="stylesheet" href="{}">', [f"css/{name}.css" for name in ("app", "viewer")]),
            "SCRIPTS": _lines('<script src="{}" defer></script>', [f"js/{name}.js" for name in _SCRIPTS]),
            "FIRST": markup(layout.page(children)),
        }
        # in one go: what is written into a place is not looked through for places
        return re.sub("%([A-Z]+)%", lambda found: values[found[1]], str(plain(**parts)))

    app.interpolate_index = filled  # type: ignore[assignment, method-assign]  # a subclass could not be typed


def _allowed() -> Set[Permission]:
    """What whoever asks may do: web.auth has let them in."""
    allowed: Set[Permission] = g.permissions
    return allowed


def _lines(line: str, names: list[str]) -> str:
    return "\n".join(f"  {line.format(resources.static_address(name))}" for name in names)


def _preload(children: list[Component]) -> str:
    """Has the browser ask for the film while it still reads the page."""
    stores = [child for child in children if getattr(child, "id", None) == ids.READING]
    addresses = [links.pixels(store.data["uid"]) for store in stores]  # type: ignore[attr-defined]
    return "\n".join(f'  <link rel="preload" as="fetch" crossorigin href="{escape(name)}">' for name in addresses)


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
