"""Requests on which Dash would break are refused before it sees them: what it asks of a request it does not check."""

from collections.abc import Mapping
from http import HTTPStatus
from types import NoneType
from typing import Any, Final

from dash import Dash
from dash.fingerprint import check_fingerprint
from flask import Flask, abort, request

from diagnosis_tool.domain import strict_json
from diagnosis_tool.viewer import links

_CALLBACK: Final = f"{links.PREFIX}_dash-update-component"
_SUITES: Final = f"{links.PREFIX}_dash-component-suites/<string:package_name>/<path:fingerprinted_path>"
_KINDS: Final[Mapping[str, type]] = {"search": str, "n_intervals": int}
"""Of each property that a callback of the server's takes in, what its value is where there is one."""


def install(server: Flask, app: Dash) -> None:
    """Has the server refuse them."""

    def refuse() -> None:
        if request.endpoint == _CALLBACK:
            _refuse_malformed(app)
        elif request.endpoint == _SUITES:
            _refuse_unknown_script(app, **(request.view_args or {}))

    server.before_request(refuse)


def _refuse_malformed(app: Dash) -> None:
    """400 for what names no callback of the server's, or not exactly its outputs, inputs and what set it off."""
    if not request.is_json:
        abort(HTTPStatus.BAD_REQUEST)
    body = strict_json.parse(request.get_data())
    output = body.get("output") if isinstance(body, dict) else None
    callback = app.callback_map.get(output) if isinstance(output, str) else None
    if callback is None or "callback" not in callback:  # without: one that the browser runs
        abort(HTTPStatus.BAD_REQUEST)
    known = [_place(**wanted) for wanted in callback["inputs"]]
    is_sound = (
        _places(body.get("outputs")) == [_place_of(part) for part in str(output).strip(".").split("...")]
        and _places(body.get("inputs")) == known
        and body.get("state", []) == callback["state"] == []
        and all(_is_value(wanted) for wanted in body["inputs"])
        and _is_subset(body.get("changedPropIds", []), [f"{id_}.{name}" for id_, name in known])
    )
    if not is_sound:
        abort(HTTPStatus.BAD_REQUEST)


def _place(id: str, property: str, **_: Any) -> tuple[str, str]:
    return id, property


def _place_of(part: str) -> tuple[str, str]:
    id_, _, name = part.rpartition(".")
    return id_, name


def _places(values: object) -> list[tuple[str, str]] | None:
    """None where it is no list of objects that name a component and its property."""
    if not isinstance(values, list) or not all(isinstance(v, dict) and {"id", "property"} <= v.keys() for v in values):
        return None
    return [(value["id"], value["property"]) for value in values]


def _is_value(wanted: Mapping[str, Any]) -> bool:
    return type(wanted.get("value")) in {_KINDS[wanted["property"]], NoneType}


def _is_subset(values: object, known: list[str]) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value in known for value in values)


def _refuse_unknown_script(app: Dash, package_name: str, fingerprinted_path: str) -> None:
    """404 for a script that there is not: Dash raises."""
    path, _ = check_fingerprint(fingerprinted_path)  # type: ignore[no-untyped-call]
    if path not in app.registered_paths.get(package_name, ()):
        abort(HTTPStatus.NOT_FOUND)
