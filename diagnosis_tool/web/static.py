"""Stylesheets and scripts: their addresses name their content, so browsers keep them, compiled, and never ask again."""

from typing import Any, Final

from flask import Flask, Response, request

from diagnosis_tool import resources

_YEAR_S: Final = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Versions in url_for('static', …), and a year's life for what is asked for by its version."""

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("v", resources.static_version(values["filename"]))

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in {200, 304} and _is_current():
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        return response


def _is_current() -> bool:
    """An address of another version is answered, too: a page from before an update. It is not to be kept."""
    name = (request.view_args or {}).get("filename", "")
    return request.args.get("v") == resources.static_version(name)
