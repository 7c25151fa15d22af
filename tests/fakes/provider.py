"""An OpenID provider on loopback: real HTTP, a real RSA key, codes that count once and PKCE that is checked."""

import hashlib
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT: Final = ("diagnosis-tool", "a secret & more")
Claims = dict[str, Any]


@cache
def rsa_key(kid: str) -> RSAKey:
    """Made once a process: it takes a moment."""
    return RSAKey.generate_key(2048, {"kid": kid})


def signed(claims: Claims) -> str:
    """The id_token that is given unless a test has another one given."""
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, rsa_key("first"))


class Provider:
    """Whom it vouches for, and how. person: the next one's claims. token: makes the id_token of the claims.

    userinfo: what it says of the person to who brings the access token; None where it has no such address.
    answer: changes what the browser is sent back with. asked: the paths of all requests that it got.
    """

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.person: Claims = {"sub": "s-1", "preferred_username": "Ada", "groups": ["readers"]}
        self.token: Callable[[Claims], str] = signed
        self.keys = ["first"]
        self.userinfo: Claims | None = None
        self.answer: Callable[[dict[str, str]], dict[str, str]] = dict
        self.asked: list[str] = []
        self._access = secrets.token_urlsafe(8)
        self._codes: dict[str, dict[str, str]] = {}

    def get(self, path: str, query: dict[str, str], authorization: str | None) -> tuple[int, Any]:
        """(status, JSON), or (303, address)."""
        if path == "/userinfo":
            return (200, self.userinfo) if authorization == f"Bearer {self._access}" else (401, {})
        if path == "/.well-known/openid-configuration":
            return 200, {
                **({"userinfo_endpoint": f"{self.issuer}/userinfo"} if self.userinfo else {}),
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        if path == "/keys":
            return 200, {"keys": [rsa_key(kid).as_dict(private=False, use="sig") for kid in self.keys]}
        if path == "/authorize":
            assert query["response_type"] == "code"
            assert query["code_challenge_method"] == "S256"
            assert query["client_id"] == CLIENT[0]
            assert "openid" in query["scope"].split()
            code = secrets.token_urlsafe(8)
            self._codes[code] = query
            answer = self.answer({"code": code, "state": query["state"]})
            return 303, f"{query['redirect_uri']}?{urlencode(answer)}"
        return 404, {}

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """A code for a token, once, by the client that has the verifier."""
        name, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        begun = self._codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if (name, secret) != CLIENT:
            return 401, {"error": "invalid_client"}
        if begun is None or begun["code_challenge"] != challenge or begun["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT[0], "iat": now, "exp": now + 300, "nonce": begun["nonce"]}
        token = self.token({**claims, **self.person})
        return 200, {"access_token": self._access, "token_type": "Bearer", "id_token": token}


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.provider.asked.append(parts.path)
        self._send(*self.provider.get(parts.path, dict(parse_qsl(parts.query)), self.headers["Authorization"]))

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self._send(*self.provider.exchange(form, self.headers["Authorization"]))

    def _send(self, status: int, content: Any) -> None:
        self.send_response(status)
        if status == 303:
            self.send_header("Location", content)
        body = b"" if status == 303 else json.dumps(content).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def running() -> Iterator[Provider]:
    """A provider that runs until the block ends."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.provider = provider = Provider(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
