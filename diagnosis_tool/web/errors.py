"""Errors to HTTP, in one place. Every answer says what was wrong and what to do; none shows a trace."""

import logging
from http import HTTPStatus
from typing import Final

from flask import Flask, Request, Response, jsonify, make_response, render_template, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import (
    Busy,
    Conflict,
    DiagnosisToolError,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ProviderDown,
    QuotaExceeded,
    RequestMalformed,
    RequestRefused,
    StorageFull,
    TooManyAttempts,
    UnreadableInput,
    UnsupportedImage,
    UploadRefused,
)
from diagnosis_tool.services.submit import MAX_BYTES, MAX_FILES
from diagnosis_tool.web import request_id

_log: Final = logging.getLogger(__name__)

_STATUS: Final[dict[type[DiagnosisToolError], HTTPStatus]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    NotSignedIn: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    Conflict: HTTPStatus.CONFLICT,
    RequestMalformed: HTTPStatus.BAD_REQUEST,
    RequestRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    UploadRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    QuotaExceeded: HTTPStatus.INSUFFICIENT_STORAGE,
    UnreadableInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnsupportedImage: HTTPStatus.UNPROCESSABLE_ENTITY,
    StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    ProviderDown: HTTPStatus.SERVICE_UNAVAILABLE,
}
_WORDS: Final = {
    HTTPStatus.NOT_FOUND: gettext_noop("There is no such page. Go back to the worklist."),
    HTTPStatus.METHOD_NOT_ALLOWED: gettext_noop("This page cannot be used this way. Go back to the worklist."),
    HTTPStatus.BAD_REQUEST: gettext_noop("The request could not be understood, or broke off. Try again."),
}
_TITLES: Final = {
    HTTPStatus.BAD_REQUEST: gettext_noop("Bad Request"),
    HTTPStatus.UNAUTHORIZED: gettext_noop("Not signed in"),
    HTTPStatus.FORBIDDEN: gettext_noop("Forbidden"),
    HTTPStatus.TOO_MANY_REQUESTS: gettext_noop("Too many attempts"),
    HTTPStatus.NOT_FOUND: gettext_noop("Not Found"),
    HTTPStatus.METHOD_NOT_ALLOWED: gettext_noop("Method Not Allowed"),
    HTTPStatus.CONFLICT: gettext_noop("Conflict"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: gettext_noop("Request Entity Too Large"),
    HTTPStatus.UNPROCESSABLE_ENTITY: gettext_noop("Unprocessable Entity"),
    HTTPStatus.INTERNAL_SERVER_ERROR: gettext_noop("Internal Server Error"),
    HTTPStatus.SERVICE_UNAVAILABLE: gettext_noop("Service Unavailable"),
    HTTPStatus.INSUFFICIENT_STORAGE: gettext_noop("Insufficient Storage"),
}


def install(app: Flask) -> None:
    """Registers the handlers."""
    app.register_error_handler(DiagnosisToolError, _own)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: DiagnosisToolError) -> HTTPStatus:
    """The HTTP status of an error of ours; 500 for one that no request should meet."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _own(error: DiagnosisToolError) -> Response:
    status = status_of(error)
    return (
        _unexpected(error)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR
        else _answer(status, _(error.message, **error.values))
    )


def _too_large(error: RequestEntityTooLarge) -> Response:
    return _answer(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        _(
            "The upload is too large: at most %(files)s files and %(gigabytes)s GB fit in one go. "
            "Send them in parts. Nothing was stored.",
            files=MAX_FILES,
            gigabytes=f"{MAX_BYTES / 1e9:.0f}",
        ),
    )


def _http(error: HTTPException) -> Response:
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return make_response(error.get_response())  # a redirect is no error
    status = HTTPStatus(error.code)
    # what we abort with has words of its own; werkzeug's are for programmers
    own = error.description if error.description != type(error).description else None
    return _answer(status, _(own or _WORDS.get(status) or error.description or status.phrase))


def _unexpected(error: Exception) -> Response:
    number = request_id.current()
    rule = request.url_rule.rule if request.url_rule else "no page"  # the address itself may hold a name
    _log.error("error %s at %s %s", number, request.method, rule, exc_info=error)
    message = _(
        "Something broke on our side (error %(number)s). Try again; if it stays, give this number to the "
        "administrator: the server's log tells more.",
        number=number,
    )
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def _answer(status: HTTPStatus, message: str) -> Response:
    title = _(_TITLES.get(status, status.phrase))
    if wants_json(request) or request_ctx.url_adapter is None:  # a Host that is no name: no page of ours has an address
        body: Response | str = jsonify(error=message)
    else:
        body = render_template("error.html", title=title, message=message)
    response = make_response(body, status)
    response.headers["Cache-Control"] = "no-store"
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 6750: how scripts sign in
    return response


def wants_json(of: Request) -> bool:
    """True for a .json address and for a client that prefers JSON to HTML."""
    if of.path.endswith(".json"):
        return True
    accepted = of.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]
