"""By which names the server is asked for, and whether a proxy before it may say who asks.

A page elsewhere can have its own name point to 127.0.0.1 (DNS rebinding): to the browser it is then the same site as a
server on this machine. Such a request still carries that name, so a server on loopback answers only to loopback's.
"""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, abort, request
from flask.globals import request_ctx
from werkzeug.middleware.proxy_fix import ProxyFix

from diagnosis_tool.domain.language import gettext_noop

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_OURS: Final = gettext_noop(
    "The server does not answer to the name in this address. Use the address that you were given; the administrator "
    "can add names with ALLOWED_HOSTS."
)


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answered_names(host: str, allowed: Collection[str]) -> frozenset[str]:
    """The names that requests may carry; none means any.

    host: what the server is bound to. allowed: the setting. Loopback's names are always among them, for health checks.
    """
    if allowed:
        return LOOPBACK | {name.lower().strip("[]") for name in allowed}
    return LOOPBACK | {host.lower()} if is_loopback(host) else frozenset()


def install(app: Flask, *, names: frozenset[str], proxies: int) -> None:
    """Refuses other names. proxies: how many stand before the server and set X-Forwarded-*; 0 believes none."""
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]

    def refuse_other_names() -> None:
        # without an adapter: werkzeug could not make a name of what the request calls us
        if request_ctx.url_adapter is None or (names and _name(request.host) not in names):
            abort(400, _NOT_OURS)

    app.before_request(refuse_other_names)


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
