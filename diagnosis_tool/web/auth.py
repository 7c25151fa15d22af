"""Who asks, and whether they may: before every request, Dash's own and static files included."""

import logging
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import NO_PROJECTS, PERMISSIONS, Permission, User
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotAllowed, NotSignedIn
from diagnosis_tool.services import accounts
from diagnosis_tool.services.accounts import Limits
from diagnosis_tool.web import endpoints
from diagnosis_tool.web.current import current_context, shared_context

_log: Final = logging.getLogger(__name__)
_KEY: Final = "sign_in"
_LIMITS: Final = "diagnosis_tool.limits"
_NEEDS_SETUP: Final = "diagnosis_tool.needs_setup"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_SIGN_IN_FIRST: Final = gettext_noop("You are not signed in, or not any more. Sign in, then try again.")
_NOT_SET_UP: Final = gettext_noop("This server waits for its administrator, who finds a link in its log.")
_BAD_TOKEN: Final = gettext_noop("This token is not known, has expired or was revoked.")
_NOT_YOURS: Final = gettext_noop("Your role does not allow this. Ask an administrator if you need it.")
_NOT_IN_SCOPE: Final = gettext_noop("This token was not made for this. Make one with the scope '%(scope)s'.")


class _Cookies(SecureCookieSessionInterface):
    """Behind TLS the cookie never travels without it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def install(app: Flask, limits: Limits, *, needs_setup: bool = False) -> None:
    """Refuses every request that nothing allows. Has to come before whatever else looks at requests.

    needs_setup: nothing is served but the first administrator's link, until there is one.
    """
    app.extensions[_LIMITS], app.extensions[_NEEDS_SETUP] = limits, needs_setup
    app.session_interface = _Cookies()
    app.config.update(
        SESSION_COOKIE_NAME="diagnosis_tool",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=limits.absolute,
    )
    app.before_request(_admit)


def current_user() -> User:
    """Who asks. Raises NotSignedIn where nobody is signed in, which only public pages can meet."""
    user: User | None = g.get("user")
    if user is None:
        raise NotSignedIn(_SIGN_IN_FIRST)
    return user


def signed_in_user() -> User | None:
    """Who asks, None where nobody is signed in: for what every page shows."""
    user: User | None = g.get("user")
    return user


def may(permission: str) -> bool:
    """Whether who asks may do this: for what pages offer."""
    return Permission(permission) in g.get("permissions", ())


def is_by_token() -> bool:
    """Whether the request is a script's, by its API token: no browser can be misused to send it."""
    return bool(g.get("is_by_token", False))


def begin(user: User) -> None:
    """Signs the user in with a new id; what the browser had before is worth nothing any more."""
    context = current_context()
    if old := session.get(_KEY):
        context.credentials.end_session(old)
    session.clear()
    limits: Limits = _limits()
    session[_KEY] = accounts.begin_session(context, user, limits)
    session.permanent = True
    _know(user, PERMISSIONS[user.role])


def end() -> None:
    """Signs out here."""
    if secret := session.get(_KEY):
        current_context().credentials.end_session(secret)
    session.clear()
    _know(None, frozenset())


def session_key() -> str:
    """What tells this session from others; empty without one."""
    return str(session.get(_KEY, ""))


def own_path(address: str | None) -> str:
    """The path with its query when it is one of ours, else the worklist's: nobody is led elsewhere."""
    start = url_for("worklist.index")
    if not address or not address.startswith("/") or address.startswith("//") or "\\" in address:
        return start
    if not address.isprintable() or urlsplit(address).netloc:
        return start
    return start if urlsplit(address).path.startswith(url_for("sign_in.show")) else address


def _admit() -> AnyResponse | None:
    is_public = _is_public()
    if current_app.extensions[_NEEDS_SETUP]:
        _demand_setup(is_public=is_public)
    _identify(is_public=is_public)
    if is_public:
        return None
    if g.user is None:
        if _is_for_reading():
            return redirect(url_for("sign_in.show", next=_here()), 303)
        raise NotSignedIn(_SIGN_IN_FIRST)
    if request.endpoint is None:  # there is no such page: what follows says so
        return None
    endpoint = endpoints.ENDPOINTS.get(request.endpoint)
    if endpoint is None:
        _log.error("endpoint %s is missing in web/endpoints.py and was refused", request.endpoint)
        raise NotAllowed(_NOT_YOURS)
    if endpoint.needs not in g.permissions:
        if is_by_token():
            raise NotAllowed(_NOT_IN_SCOPE, scope=endpoint.needs)
        raise NotAllowed(_NOT_YOURS)
    return None


def _demand_setup(*, is_public: bool) -> None:
    if shared_context().users.has_admin():
        current_app.extensions[_NEEDS_SETUP] = False
    elif not is_public or request.endpoint not in {"static", *endpoints.BEFORE_SETUP}:
        abort(HTTPStatus.SERVICE_UNAVAILABLE, _NOT_SET_UP)


def _is_public() -> bool:
    if request.endpoint == "static":
        return (request.view_args or {}).get("filename") in endpoints.PUBLIC_FILES
    return endpoints.is_public(request.endpoint)


def _identify(*, is_public: bool) -> None:
    _know(None, frozenset())
    context = shared_context()
    # not request.authorization: werkzeug 3.1 breaks on a 'Basic' whose rest is not ASCII
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and not is_public:
        found = context.credentials.token(bearer.strip())
        if found is None:
            raise NotSignedIn(_BAD_TOKEN)
        user, token = found
        _know(user, PERMISSIONS[user.role] & token.scopes)
        g.is_by_token = True
    elif secret := session.get(_KEY):
        signed_in = context.credentials.session_user(str(secret), idle=_limits().idle)
        if signed_in is not None:
            _know(signed_in, PERMISSIONS[signed_in.role])


def _know(user: User | None, allowed: frozenset[Permission]) -> None:
    g.user, g.permissions, g.is_by_token = user, allowed, False
    g.projects = user.sees if user else NO_PROJECTS


def _limits() -> Limits:
    limits: Limits = current_app.extensions[_LIMITS]
    return limits


def _is_for_reading() -> bool:
    """Whether a person's browser will show the response: it then goes to the sign-in page."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.endswith(".json")


def _here() -> str | None:
    if request.method not in _SAFE_METHODS:
        return None
    here = request.full_path if request.query_string else request.path
    return None if here == url_for("worklist.index") else here
