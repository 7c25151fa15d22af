"""How fast a request may guess: the app's throttle, and the devices that it knows.

A device is known by a signed cookie that names who signed in there, each for a year after the last time. It opens
nothing; it says whose guesses the ones made here are not to be mixed up with.
"""

import secrets
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final

from flask import Flask, Response, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import User
from diagnosis_tool.errors import TooManyAttempts
from diagnosis_tool.services import accounts
from diagnosis_tool.services.throttle import Throttle
from diagnosis_tool.web import auth
from diagnosis_tool.web.current import current_context

COOKIE: Final = "diagnosis_tool_device"
LASTS: Final = timedelta(days=365)
_THROTTLE: Final = "diagnosis_tool.throttle"
_MOST_USERS: Final = 20
"""Of one device: a reading room's; the one who was away for longest is forgotten."""


def install(app: Flask) -> None:
    """The count of who failed."""
    app.extensions[_THROTTLE] = Throttle()


def sign_in(name: str) -> AbstractContextManager[None]:
    """In which a password for this name is checked. Raises TooManyAttempts."""
    if not accounts.may_be_name(name):
        name = ""  # nobody's, whatever the password: it is slowed, and nothing of it is kept
    user = accounts.user_named(current_context(), name) if _known() else None
    return _throttle().sign_in(name, request.remote_addr or "", _device_of(user))


def code(user: User) -> AbstractContextManager[None]:
    """In which a code of this user's second factor is checked. Raises TooManyAttempts."""
    return _throttle().code(user.id, _device_of(user))


def own_password() -> AbstractContextManager[None]:
    """In which the present password of who is signed in is checked. Raises TooManyAttempts."""
    return _throttle().own_password(auth.session_key())


def remember(response: AnyResponse, user: User) -> AnyResponse:
    """Whoever gets this response signed in on this device."""
    device, users = _known() or (secrets.token_urlsafe(16), [])
    users = [*(known for known in users if known != user.id), user.id][-_MOST_USERS:]
    response.set_cookie(
        COOKIE,
        _serializer().dumps([device, users]),
        max_age=LASTS,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def too_many(response: Response, error: TooManyAttempts) -> Response:
    """The response, with how long to wait."""
    response.headers["Retry-After"] = str(error.wait_s)
    return response


def _device_of(user: User | None) -> str | None:
    known = _known()
    return known[0] if known and user is not None and user.id in known[1] else None


def _known() -> tuple[str, list[int]] | None:
    """This device and who signed in on it, as the cookie says that we wrote."""
    try:
        device, users = _serializer().loads(request.cookies.get(COOKIE, ""), max_age=int(LASTS.total_seconds()))
    except BadData:
        return None
    return str(device), list(users)


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="diagnosis-tool device")


def _throttle() -> Throttle:
    throttle: Throttle = current_app.extensions[_THROTTLE]
    return throttle
