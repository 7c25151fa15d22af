"""Clients that take their time: what strangers do to shut a server up. Plain sockets, so nothing is polite."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

DRIP_S: Final = 26.0
"""A byte every so often: often enough for servers whose patience is 30 s."""
_FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"

_UPLOAD: Final = b"POST /studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"

STRANGERS: Final[dict[str, bytes]] = {
    "slow headers": b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "half a header": b"GET /sign-in HTTP/1.1\r\nHos",
    "a form by the byte": b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n" + _FORM + b"Content-Length: 1000\r\n\r\n",
    "an upload, signed out": _UPLOAD + b"Content-Length: 100000000\r\n\r\n--x\r\n",
    "a chunked upload, signed out": _UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n--x\r\n",
    "nothing at all": b"",
}
"""What each kind sends at once; then it sends a byte every DRIP_S."""


class Slow:
    """So many connections at once, of each kind in turns."""

    def __init__(self, url: str, count: int, kinds: dict[str, bytes] = STRANGERS) -> None:
        at = urlsplit(url)
        self.connections: list[tuple[str, socket.socket]] = []
        names = list(kinds)
        for k in range(count):
            connection = socket.create_connection((at.hostname, at.port), timeout=5)
            connection.sendall(kinds[names[k % len(names)]])
            self.connections.append((names[k % len(names)], connection))

    def __enter__(self) -> "Slow":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drip(self) -> None:
        """A byte from each that is still connected."""
        for _, connection in self.connections:
            with suppress(OSError):
                connection.sendall(b"x")

    def close(self) -> None:
        """All hang up."""
        for _, connection in self.connections:
            connection.close()


@contextmanager
def slow_strangers(url: str, count: int, kinds: dict[str, bytes] = STRANGERS) -> Iterator[Slow]:
    """Keeps so many slow connections up inside the block: who is hung up on dials again."""
    slow, over = Slow(url, count, kinds), threading.Event()

    def go_on() -> None:
        last = time.monotonic()
        while not over.wait(0.5):
            if time.monotonic() - last > DRIP_S:
                slow.drip()
                last = time.monotonic()
            for k, (kind, connection) in enumerate(slow.connections):
                if is_over(connection):
                    connection.close()
                    with suppress(OSError):
                        slow.connections[k] = Slow(url, 1, {kind: kinds[kind]}).connections[0]

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield slow
    finally:
        over.set()
        thread.join()
        slow.close()


def is_over(connection: socket.socket) -> bool:
    """Whether the server has hung up. Throws away what it said."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def longest_s(asks: Callable[[], object], times: int) -> float:
    """The longest of so many, one after the other; what fails took for ever."""
    longest = 0.0
    for _ in range(times):
        begin = time.perf_counter()
        try:
            asks()
        except OSError:
            return float("inf")
        longest = max(longest, time.perf_counter() - begin)
    return longest


def said(url: str, request: bytes, timeout_s: float = 60.0) -> bytes:
    """All that the server answers to these bytes until it hangs up."""
    at, answer = urlsplit(url), b""
    with socket.create_connection((at.hostname, at.port), timeout=timeout_s) as connection:
        connection.sendall(request)
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                answer += data
    return answer
