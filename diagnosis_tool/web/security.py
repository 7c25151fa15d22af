"""Headers and the refusal of other sites' requests. Accounts and CSRF tokens have their own issue."""

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
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
    if (site is not None and site not in _OWN) or (origin is not None and urlsplit(origin).netloc != request.host):
        abort(403, "This request came from another site's page. Use the form on this one.")


def policy(script_hashes: list[str]) -> str:
    """The content security policy: nothing from elsewhere; scripts only ours and the one line Dash starts with.

    Styles may be inline because Plotly sets style attributes; pictures may be data or blob because it draws PNGs so.
    """
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *script_hashes)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def install(app: Flask, script_hashes: list[str]) -> None:
    """Puts both on every request and response of the app."""
    content_policy = policy(script_hashes)

    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", content_policy)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    app.before_request(refuse_other_sites)
    app.after_request(add_headers)
