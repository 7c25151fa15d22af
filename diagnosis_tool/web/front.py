"""The web process behind its front (diagnosis_tool.front): who asks, and whether a request may come at all.

The front keeps slow clients away from our threads. Before it receives a large body, or lets somebody in among those who
are signed in, it asks: the same request, without its body, is answered up to its view. So what refuses requests is
written once, here, and a refusal is the client's answer.
"""

import hmac
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from diagnosis_tool.domain.studies import require_quota
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.front import headers as names
from diagnosis_tool.storage.blobs import FULL
from diagnosis_tool.web.auth import signed_in_user
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.uploads import ENDPOINT

_ASKED: Final = "diagnosis_tool.front.asked"


class FromFront:
    """Takes the front's words out of the environment; without its key they are anybody's, and forgotten."""

    def __init__(self, app: Callable[..., Iterable[bytes]], key: str) -> None:
        self._app, self._key = app, key.encode()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The app's answer."""
        said = {name: environ.pop(_environ_key(name), "") for name in (names.KEY, names.PEER, names.ASK, names.LENGTH)}
        if self._key and hmac.compare_digest(said[names.KEY].encode("latin-1"), self._key):
            environ["REMOTE_ADDR"] = said[names.PEER]
            environ[_ASKED] = said[names.ASK]
            if said[names.LENGTH]:
                environ["CONTENT_LENGTH"] = said[names.LENGTH]
        return self._app(environ, start_response)


def _environ_key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def install(app: Flask, key: str) -> None:
    """Answers the front's questions. Has to come right after web.auth, whose refusals are answers, too.

    key: what the front proves itself by; '' where there is none. The proxies' middleware has to be in place.
    """
    app.wsgi_app = FromFront(app.wsgi_app, key)  # type: ignore[method-assign]
    app.before_request(_may_come)
    app.after_request(_tell)


def goes_on() -> bool:
    """Whether this was a question that was answered 'go on': nothing was done, so there is nothing to record."""
    return bool(g.get("goes_on", False))


def _may_come() -> Response | None:
    question = request.environ.get(_ASKED)
    if not question:
        return None
    if question == names.NO_ROOM:
        raise StorageFull(FULL)
    most, length = request.max_content_length or 0, request.content_length or 0
    if length > most:
        raise RequestEntityTooLarge
    if request.endpoint == ENDPOINT and (user := signed_in_user()) is not None:
        context = current_context()
        require_quota(context.studies.bytes_of_user(user.id), length, context.quota_bytes)
    g.goes_on = True
    return Response(status=HTTPStatus.NO_CONTENT, headers={names.MOST: str(most)})


def _tell(response: Response) -> Response:
    if _ASKED in request.environ and signed_in_user() is not None:
        response.headers[names.KNOWN] = "1"
    return response
