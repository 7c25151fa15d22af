"""A request's head as h11 read it: what may not pass, who sends it, and how it goes on to the web process."""

from dataclasses import dataclass
from typing import Final

import h11

from diagnosis_tool.front import headers as names

_HEALTH: Final = frozenset({b"/healthz", b"/readyz"})
_OWN_OF_A_CONNECTION: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"content-length", b"expect",
    }
)  # fmt: skip
"""RFC 9110, 7.6.1; the body's length is said anew, and 100-continue is the front's to answer."""
_CREDENTIALS: Final = frozenset({b"cookie", b"authorization"})
_FORWARDED: Final = b"X-Forwarded-For"
_NOT_PASSED_ON: Final = _OWN_OF_A_CONNECTION | {_FORWARDED.lower()}
Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """The request is answered by the front itself, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """method, target: as sent. address: who counts for it. length: of its body, None where it is sent in chunks."""

    method: bytes
    target: bytes
    headers: Headers
    address: str
    length: int | None
    credentials: bytes

    @property
    def is_health(self) -> bool:
        """Whether somebody asks if the server lives."""
        path = self.target.partition(b"?")[0]
        return path in _HEALTH and self.method in {b"GET", b"HEAD"} and self.length == 0

    @property
    def is_large(self) -> bool:
        """Whether it may bring more than everybody may send."""
        return self.length is None or self.length > names.SMALL_BODY_BYTES


def parsed(request: h11.Request, *, peer: str, proxies: int) -> Head:
    """What the request says. peer: the connection's address. proxies: how many stand before us and say who asks.

    Raises Refused where two readers could take its body for different things (RFC 9112, 6.1); lengths that differ are
    h11's to refuse.
    """
    lengths = [value for name, value in request.headers if name == b"content-length"]
    is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    if is_chunked and (lengths or request.http_version < b"1.1"):
        raise Refused(400)
    if request.method == b"CONNECT":
        raise Refused(405)
    said = _said_by_proxies(request, proxies)
    credentials = [name + value for name, value in request.headers if name in _CREDENTIALS]
    return Head(
        method=request.method,
        target=request.target,
        headers=_passed_on(request, said),
        address=said[0] if said else peer,
        length=None if is_chunked else int(lengths[0]) if lengths else 0,
        credentials=b"\n".join(credentials),
    )


def _passed_on(request: h11.Request, said: list[str]) -> Headers:
    prefix = names.PREFIX.encode()
    # what the proxies say alone: the web process takes quotes for more, so a client's one would swallow all after it
    by_proxies = [(_FORWARDED, ", ".join(said).encode())] if said else []
    return by_proxies + [
        (raw, value)
        for raw, value in request.headers.raw_items()
        # CGI writes - and _ alike: a name with _ could stand in for one that was dropped
        if raw.lower() not in _NOT_PASSED_ON and not raw.lower().startswith(prefix) and b"_" not in raw
    ]


def _said_by_proxies(request: h11.Request, proxies: int) -> list[str]:
    """The client, and the proxies after it: so many from the right, as werkzeug's ProxyFix counts. Empty for fewer."""
    said = b",".join(value for name, value in request.headers if name == _FORWARDED.lower())
    addresses = [part.strip(b' \t"\\').decode("ascii", "replace") for part in said.split(b",")]
    known = [address for address in addresses if address]
    return known[-proxies:] if 0 < proxies <= len(known) else []
