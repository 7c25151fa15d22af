"""Asking the web process: never more at once than it has threads, each kind of request in a lane of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from time import monotonic
from typing import IO, Final

import h11

from diagnosis_tool.front import headers as names
from diagnosis_tool.front.pace import Patience
from diagnosis_tool.front.request import Head, Headers

_READ_BYTES: Final = 1 << 18
_REUSED_S: Final = 10.0
"""How long an idle connection may be used again: less than gunicorn keeps it (gunicorn_settings.keepalive)."""
_RETRY_S: Final = 0.05


class WebGone(Exception):
    """The web process takes no connection, or broke off before it answered."""


class Lane(StrEnum):
    """Kinds of requests that must not wait for one another."""

    PAGES = "pages"
    """Of people who are signed in."""
    STRANGERS = "strangers"
    UPLOADS = "uploads"
    """Large bodies, all here by now."""
    QUESTIONS = "questions"
    HEALTH = "health"


BESIDE_PAGES: Final = {Lane.STRANGERS: 2, Lane.UPLOADS: 2, Lane.QUESTIONS: 2, Lane.HEALTH: 1}
"""Threads of the web process on top of WEB_THREADS. Strangers: checking a password keeps a core busy for a tenth of a
second. Uploads: taking forms apart is work for the interpreter, which pages want as well; more at once take as long."""


class Body:
    """A body that is here as a whole: small ones in memory, others in a file without a name."""

    def __init__(self, data: bytes = b"", file: IO[bytes] | None = None, length: int | None = None) -> None:
        self.data, self.file = data, file
        self.length = len(data) if length is None else length


class _Passed:
    """Stands for bytes that sendfile sends, where h11 counts them."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


class Exchange:
    """A request that was sent to the web process, and its answer as it comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._loop = sock, asyncio.get_running_loop()
        self._h11 = h11.Connection(h11.CLIENT)
        self._sending: asyncio.Task[None] | None = None
        self.status, self.headers, self.reason = 0, Headers(), b""

    async def begin(self, head: Head, headers: Headers, body: Body | None) -> None:
        """Sends all; reads the answer's head. Raises WebGone."""
        request = h11.Request(method=head.method, target=head.target, headers=headers)
        first = self._h11.send(request) or b""
        if body is None or body.file is None:
            rest = b"" if body is None or not body.data else self._h11.send(h11.Data(data=body.data)) or b""
            self._h11.send(h11.EndOfMessage())
            with suppress(OSError):  # it may answer all the same
                await self._loop.sock_sendall(self._sock, first + rest)
        else:
            passed = h11.Data(data=_Passed(body.length))  # type: ignore[arg-type]
            self._h11.send_with_data_passthrough(passed)
            self._h11.send(h11.EndOfMessage())
            self._sending = asyncio.create_task(self._send_file(first, body.file, body.length))
        event = await self._event()
        if not isinstance(event, h11.Response):
            raise WebGone
        self.status, self.reason = event.status_code, bytes(event.reason)
        self.headers = list(event.headers.raw_items())

    async def _send_file(self, first: bytes, file: IO[bytes], length: int) -> None:
        with suppress(OSError):  # it may have answered before it had all
            await self._loop.sock_sendall(self._sock, first)
            await self._loop.sock_sendfile(self._sock, file, 0, length)

    async def data(self) -> AsyncIterator[bytes]:
        """The answer's body. Raises WebGone when it breaks off."""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def _event(self) -> h11.Response | h11.Data | h11.EndOfMessage:
        while True:
            try:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    self._h11.receive_data(await self._loop.sock_recv(self._sock, _READ_BYTES))
                elif isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
                    return event
                elif not isinstance(event, h11.InformationalResponse):
                    raise WebGone
            except (h11.RemoteProtocolError, OSError) as error:
                raise WebGone from error

    async def end(self) -> bool:
        """Stops what still sends. Whether the connection may be used again."""
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
            return False
        done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        return done and not self._h11.trailing_data[0]


class Backend:
    """The web process behind its socket."""

    def __init__(self, address: str, key: str, pages: int, patience: Patience) -> None:
        self._address, self._key, self._patience = address, key, patience
        self._lanes = {lane: asyncio.Semaphore(n) for lane, n in {Lane.PAGES: pages, **BESIDE_PAGES}.items()}
        self._idle: list[tuple[float, socket.socket]] = []

    @asynccontextmanager
    async def send(
        self, lane: Lane, head: Head, peer: str, body: Body | None = None, own: Iterable[tuple[str, str]] = ()
    ) -> AsyncIterator[Exchange]:
        """Sends the request once the lane has room. body: None for a question. own: headers of ours. Raises WebGone."""
        said = [(names.KEY, self._key), (names.PEER, peer), *own]
        headers = [*head.headers, *((name.encode(), value.encode("ascii", "replace")) for name, value in said)]
        if body is not None and (body.length or head.length != 0):
            headers.append((b"Content-Length", str(body.length).encode()))
        if not any(name.lower() == b"host" for name, _ in headers):
            headers.append((b"Host", b"localhost"))  # HTTP/1.0 need not name one
        async with self._lanes[lane]:
            sock = self._reused() or await self._open(lane)
            exchange, is_reusable = Exchange(sock), False
            try:
                await exchange.begin(head, headers, body)
                yield exchange
                is_reusable = await exchange.end()
            finally:
                if is_reusable:
                    self._idle.append((monotonic(), sock))
                else:
                    await exchange.end()
                    sock.close()

    def _reused(self) -> socket.socket | None:
        while self._idle:
            since, sock = self._idle.pop()
            if monotonic() - since < _REUSED_S and _is_silent(sock):
                return sock
            sock.close()
        return None

    async def _open(self, lane: Lane) -> socket.socket:
        end = monotonic() + (self._patience.health_s if lane is Lane.HEALTH else self._patience.start_s)
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(sock, self._address)
            except OSError as error:  # it starts, or starts again
                sock.close()
                if monotonic() > end:
                    raise WebGone from error
                await asyncio.sleep(_RETRY_S)
            except BaseException:
                sock.close()
                raise
            else:
                return sock

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        for _, sock in self._idle:
            sock.close()
        self._idle.clear()


def _is_silent(sock: socket.socket) -> bool:
    """Whether the connection is still open: one that was closed has its end to be read."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
