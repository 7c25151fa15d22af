"""Stylesheets and scripts: their addresses name their content, so browsers keep them, compiled, and never ask again.

/static/<version>/js/viewer/film.js: the version stands before the path, so a module's "./pixels.js" has it, too.
"""

from typing import Any, Final

from flask import Flask, Response, g, request

from diagnosis_tool import resources

_YEAR_S: Final = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Versions in url_for('static', …), and a year's life for what is asked for by its version."""
    app.add_url_rule("/static/<string(length=12):version>/<path:filename>", endpoint="static")

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            if "static_version" not in g:
                g.static_version = resources.static_version()
            values.setdefault("version", g.static_version)

    @app.url_value_preprocessor
    def take_version(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if endpoint == "static" and values is not None:
            g.asked_version = values.pop("version", None)

    @app.after_request
    def keep(response: Response) -> Response:
        found = request.endpoint == "static" and response.status_code in {200, 304}
        # another version is answered, too: a page from before an update. It is not to be kept
        if found and g.asked_version == resources.static_version():
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        return response
