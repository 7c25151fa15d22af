"""Claim: 60 slow strangers keep neither /healthz nor a reader waiting over 1 s; and what the front costs the others."""

import http.client
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.record import interleaved_medians, record
from benchmarks.served import machine
from testing import accounts
from testing.bundles import write_bundle
from testing.serving import Server, serve
from testing.slow import longest_s, slow_strangers

_STRANGERS: Final = 60
_ATTACK_S: Final = float(os.environ.get("BENCH_FRONT_S", "60"))
_ROUNDS: Final = 40
_LARGE_ROUNDS: Final = 5
_LARGE_BYTES: Final = 100_000_000
_PATIENCE_S: Final = 200


def run() -> None:
    """A small bundle: the model plays no part. Directly: gunicorn's own socket, without the front, in turns."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with serve(folder / "data", write_bundle(folder / "bundle"), {"TORCH_THREADS": "1", "QUOTA_GB": "0"}) as server:
            _slow_strangers(server)
            _cost(server)


def _slow_strangers(server: Server) -> None:
    cookie = accounts.cookie_of(server.context, server.user, server.data_dir)["value"]

    def ask(path: str) -> Callable[[], object]:
        def asked() -> None:
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_PATIENCE_S)
            try:
                _asked(connection, "GET", path, {"Cookie": f"diagnosis_tool={cookie}"})
            except (http.client.HTTPException, RuntimeError) as error:
                raise OSError from error
            finally:
                connection.close()

        return asked

    ask("/")()
    quiet = {path: longest_s(ask(path), 20) for path in ("/healthz", "/")}
    with slow_strangers(server.url, _STRANGERS):
        end, times = time.monotonic() + _ATTACK_S, 0
        longest = dict.fromkeys(quiet, 0.0)
        while time.monotonic() < end:
            times += 1
            for path in longest:
                longest[path] = max(longest[path], longest_s(ask(path), 1))
            time.sleep(0.2)
    for name, path in (("front_slow_health_s", "/healthz"), ("front_slow_reader_s", "/")):
        how = f"longest of {times} over {_ATTACK_S:.0f} s with {_STRANGERS} slow connections of strangers, each time "
        record(name, longest[path], "s", f"{how}a new connection; without them {quiet[path]:.3f} s; {machine()}")


class _Direct(http.client.HTTPConnection):
    """To gunicorn, past the front."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE_S)
        self.sock.connect(self._path)


def _cost(server: Server) -> None:
    ways = {"front": http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_PATIENCE_S)}
    ways["direct"] = _Direct(server.web_socket())
    own = {"Authorization": f"Bearer {server.token}"}
    edge = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.bin"\r\n\r\n'
    sent = 0

    def get(way: str, path: str) -> Callable[[], bytes]:
        return lambda: _asked(ways[way], "GET", path, own)[1]

    def upload(way: str) -> Callable[[], str]:
        def send() -> str:
            nonlocal sent
            sent += 1
            body = edge % sent + sent.to_bytes(4) + bytes(_LARGE_BYTES) + b"\r\n--x--\r\n"
            form = {**own, "Content-Type": "multipart/form-data; boundary=x"}
            return _asked(ways[way], "POST", "/studies", form, body)[0]

        return send

    uid = upload("front")().rsplit("/", 1)[-1]
    (image,) = server.image_uids(uid)
    for name, what, rounds, make in (
        ("front_page_x", "GET /", _ROUNDS, lambda way: get(way, "/")),
        ("front_health_x", "GET /healthz", _ROUNDS, lambda way: get(way, "/healthz")),
        ("front_upload_x", "an upload of 100 MB", _LARGE_ROUNDS, upload),
        ("front_download_x", "the same back", _LARGE_ROUNDS, lambda way: get(way, f"/instances/{image}/original")),
    ):
        seconds = interleaved_medians({way: make(way) for way in ways}, rounds)
        times = ", ".join(f"{way} {1e3 * taken:.1f} ms" for way, taken in seconds.items())
        record(
            name,
            seconds["front"] / seconds["direct"],
            "x",
            f"{what}, median of {rounds} in turns: {times}; {machine()}",
        )
    for connection in ways.values():
        connection.close()


def _asked(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[str, bytes]:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status}")
    return answer.headers.get("Location", ""), content
