"""Headers, and the refusal of requests that are not our pages' own: by where they come from, and by CSRF token."""

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.wrappers import Response as AnyResponse
from wtforms import ValidationError

from diagnosis_tool.web import auth, style_hashes

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADER: Final = "X-CSRFToken"
_FIELD: Final = "csrf_token"
_OLD_PAGE: Final = (
    "This page is older than your session with the server. Reload it, then try again; nothing was changed."
)
_ONLY_READS: Final = frozenset({"/viewer/_dash-update-component"})
"""Dash posts its callbacks there; ours only read."""
_NO_DEVICES: Final = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
_YEAR_S: Final = 365 * 24 * 3600
_NEVER_KEPT: Final = frozenset({"text/html", "application/json", "text/csv", "application/pdf"})
"""What a browser must have forgotten once its user has signed out. Pictures stay, for those with the same cookie."""
_OWN: Final = frozenset({"same-origin", "none"})


def refuse_other_sites() -> None:
    """A browser that carries another site's request to us says so; such a request changes nothing here.

    Scripts send neither header and pass: they act for their own user, with no browser to misuse.
    Source: W3C Fetch Metadata, Sec-Fetch-Site; RFC 6454, Origin.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if (site is not None and site not in _OWN) or (origin is not None and _host_of(origin) != request.host):
        abort(403, "This request came from another site's page. Use the form on this one.")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # no address at all: no page of ours
        return None


def demand_token() -> None:
    """A request that may change something brings the page's token, also who only wants to sign in.

    A script needs none: its API token is nothing that a browser would send by itself.
    """
    if request.method in _SAFE_METHODS or request.path in _ONLY_READS or request.routing_exception is not None:
        return
    if auth.is_by_token():
        return
    try:  # the header first: reading the form means receiving all files
        validate_csrf(request.headers.get(_HEADER) or request.form.get(_FIELD))
    except ValidationError:
        abort(400, _OLD_PAGE)


def policy() -> str:
    """The content security policy: nothing from elsewhere; no inline script at all.

    Styles may be attributes because Plotly and Dash write them into the markup they make; a style element is one that
    their scripts are known to bring (style_hashes). Pictures may be data or blob because Plotly draws PNGs so.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            " ".join(("style-src 'self'", *(f"'{known}'" for known in style_hashes.ALL))),
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def unkept(page: "str | AnyResponse") -> Response:
    """The page as a response that no browser keeps: for who is not signed in; all else add_headers says."""
    response = make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


def install(app: Flask) -> None:
    """Puts both on every request and response of the app."""
    content_policy = policy()

    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", content_policy)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Permissions-Policy", _NO_DEVICES)
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if request.is_secure:  # said over plain HTTP it would be ignored; behind a proxy TRUSTED_PROXIES tells
            response.headers.setdefault("Strict-Transport-Security", f"max-age={_YEAR_S}")
        is_kept = response.mimetype not in _NEVER_KEPT or auth.signed_in_user() is None
        response.headers.setdefault("Cache-Control", "private, no-cache" if is_kept else "no-store")
        return response

    app.config.update(
        WTF_CSRF_TIME_LIMIT=None,  # a worklist stays open all day
        WTF_CSRF_FIELD_NAME=_FIELD,
    )
    app.jinja_env.globals["csrf_token"] = generate_csrf
    app.before_request(refuse_other_sites)
    app.before_request(demand_token)
    app.after_request(add_headers)
