"""Mounts the Dash app on the Flask app.

The browser asks for layout, dependencies and film while it still reads the page, and the layout comes with the content
of the page's address: Dash draws it in one go, without asking a callback first (docs/adr/0008).
"""

import re
from collections.abc import Callable, Iterable, Set
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
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, files, layout, links

_SCRIPTS: Final = (
    "texts", "viewer-base", "viewer-pixels", "viewer-film", "viewer-stage", "viewer-hands", "viewer-review",
    "viewer-keys", "viewer",
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
  {%app_entry%}
  {%config%}
  {%scripts%}
  <template>{%renderer%}</template>
</body>
</html>"""
"""Dash's inline script that starts it may not run here: it stands in a template, and viewer.js starts Dash."""


def mount_viewer(server: Flask, context: Callable[[], Context]) -> None:
    """Serves the viewer at /viewer/. context: gives the context of whoever asks."""
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
    app.layout = lambda: _layout(context())  # made for each request: in its language, with its content
    callbacks.register(app, context, _allowed)
    server.before_request(lambda: _refuse_malformed(app))


def _layout(context: Context) -> Component:
    """The page with the content of the address that asks for it; empty where the browser does not say which."""
    address, mark, query = (request.referrer or "").partition("?")
    if not address.endswith(links.PREFIX):
        return layout.page([])
    search = mark + query
    content, is_final = callbacks.content(context, search, _allowed())
    return layout.page(content, is_final=is_final, search=search)


def _fill_index(app: Dash, context: Callable[[], Context]) -> None:
    """Writes language, scripts, the session's CSRF token and what is fetched at once into the page."""
    plain: Callable[..., object] = app.interpolate_index

    def filled(**parts: str) -> str:
        values = {
            "CSRF": str(escape(generate_csrf())),
            "READER": str(g.user.id),  # web.auth has let them in
            "LANGUAGE": str(escape(language.current().code)),
            "TEXTS": resources.texts_address(language.current().code),
            "PRELOAD": _lines('<link rel="preload" as="fetch" crossorigin href="{}">', _fetched_at_once(context())),
            "ICON": resources.static_address("favicon.svg"),
            "STYLES": _lines(
                '<link rel="stylesheet" href="{}">', map(resources.static_address, ("css/app.css", "css/viewer.css"))
            ),
            "SCRIPTS": _lines(
                '<script src="{}" defer></script>', (resources.static_address(f"js/{name}.js") for name in _SCRIPTS)
            ),
        }
        # in one go: what is written into a place is not looked through for places
        return re.sub("%([A-Z]+)%", lambda found: values[found[1]], str(plain(**parts)))

    app.interpolate_index = filled  # type: ignore[assignment, method-assign]  # a subclass could not be typed


def _allowed() -> Set[Permission]:
    """What whoever asks may do: web.auth has let them in."""
    allowed: Set[Permission] = g.permissions
    return allowed


def _lines(line: str, addresses: Iterable[str]) -> str:
    return "\n".join(f"  {line.format(escape(address))}" for address in addresses)


def _fetched_at_once(context: Context) -> list[str]:
    """What Dash and the scripts will ask for first, the film among it where there is one to show."""
    addresses = [f"{links.PREFIX}_dash-layout", f"{links.PREFIX}_dash-dependencies"]
    uid = request.args.get("instance", "")
    try:
        if browse.get_instance(context, uid).prediction:
            addresses.append(links.pixels(uid))
    except NotFound:
        pass  # the layout has words for it
    return addresses


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
