"""Each request's id: in its log lines, its audit rows, its errors, and the header X-Request-ID of its answer."""

import re
import secrets
from typing import Final

from flask import Flask, Response, g, has_request_context, request

from diagnosis_tool import logs

HEADER: Final = "X-Request-ID"
_SAFE: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
"""UUIDs and other hexadecimal ids. Anything else might be a name, or break a line of the log."""


def install(app: Flask, *, is_behind_proxy: bool) -> None:
    """Gives every request an id before anything else looks at it: a new one, or a trusted proxy's.

    is_behind_proxy: else anybody could give what they do the id of what somebody else did.
    """

    def begin() -> None:
        sent = request.headers.get(HEADER, "") if is_behind_proxy else ""
        g.request_id = sent.lower() if _SAFE.fullmatch(sent) else secrets.token_hex(8)
        logs.about_request(g.request_id)

    app.before_request(begin)
    app.after_request(_answer)
    app.teardown_request(lambda _error: logs.about_request(""))


def current() -> str:
    """The id of the request that is being answered; '' outside of one."""
    return str(g.get("request_id", "")) if has_request_context() else ""


def _answer(response: Response) -> Response:
    if current():
        response.headers[HEADER] = current()
    return response
