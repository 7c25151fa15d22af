"""One client's connection: reads requests, has them answered, and waits no longer than it has patience."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Final

import h11

from diagnosis_tool.front import headers as names
from diagnosis_tool.front.answers import answer
from diagnosis_tool.front.backend import Backend, Body, Exchange, Lane, WebGone
from diagnosis_tool.front.body import DiskFull, Spool, TooLarge
from diagnosis_tool.front.guests import Guest, Guests, Known, counted_address
from diagnosis_tool.front.pace import Pace, Patience, TooSlow, flushed
from diagnosis_tool.front.request import Head, Headers, Refused, parsed

_READ_BYTES: Final = 1 << 17
_HEAD_BYTES: Final = 1 << 16
_HEAD_LINES: Final = 128
"""More than the web process takes; each line costs the loop, which everybody shares."""
_FREE_CHUNKS, _CHUNK_BYTES = 256, 64
"""A body may be cut into so many pieces of any size, the rest into pieces of so many bytes on average: each costs the
loop as much as an honest one of 100 kB."""
_HELD_BYTES: Final = 4 << 20
"""Of an answer that its client takes slowly; the rest of a larger one goes through a file, so none holds a thread."""
_MOST_WAIT_S: Final = 0.5
"""For a client to take a larger answer while a thread is held; on a fast line no file is needed."""
_UNSAID_BYTES: Final = 1 << 30
"""How long an answer may be that does not say it."""
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_DROPPED: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})


@dataclass(kw_only=True)
class House:
    """What all connections share. proxies: as TRUSTED_PROXIES. is_closing: no further requests are taken.

    turns: how many large bodies are worked on at one moment, so that a page comes in between however many there are.
    """

    backend: Backend
    spool: Spool
    proxies: int
    patience: Patience = field(default_factory=Patience)
    guests: Guests = field(default_factory=Guests)
    known: Known = field(default_factory=Known)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    is_closing: bool = False
    slow: int = 0
    refused: int = 0


class Client:
    """A connection. peer: the address that it came from."""

    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._house, self._reader, self._writer = house, reader, writer
        self._patience = house.patience
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._peer = str((writer.get_extra_info("peername") or ("",))[0])
        counted = "" if house.proxies else counted_address(self._peer)
        self._loop = asyncio.get_running_loop()
        self._guest = Guest(counted, close=writer.transport.abort, waits_since=self._loop.time())
        self._asks = self._guest

    @property
    def may_be_closed(self) -> bool:
        """Whether nothing is lost by it: no request has come yet, or not all of a stranger's."""
        if self._writer.transport.get_write_buffer_size():
            return False
        is_idle = self._h11.their_state is h11.IDLE and not self._h11.trailing_data[0]
        return is_idle or (self._asks.waits_since is not None and not self._asks.is_known)

    async def serve(self) -> None:
        """Until the connection ends."""
        try:
            self._house.guests.enter(self._guest)
            while await self._one():
                self._h11.start_next_cycle()
            await flushed(self._writer, self._patience, 0)
        except Refused as refused:
            self._house.refused += 1
            await self._refuse(refused.status)
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
        except TooSlow:
            self._house.slow += 1
            await self._refuse(408)
        except WebGone:
            await self._refuse(503)
        except (OSError, h11.LocalProtocolError):
            pass  # the client is gone, or was closed to make room
        finally:
            self._house.guests.leave(self._guest)
            self._writer.transport.abort()

    async def _one(self) -> bool:
        """Has one request answered. Whether there may be another."""
        request = await self._head()
        if request is None:
            return False
        head = parsed(request, peer=self._peer, proxies=self._house.proxies)
        guest = self._guest
        if self._house.proxies:  # the connection is the proxy's, the request somebody else's
            guest = Guest(counted_address(head.address), close=self._writer.transport.abort)
        self._asks = guest
        try:
            self._house.guests.enter(guest)
            await self._answered(head, guest)
            await self._taken(_HELD_BYTES // 4)
        finally:
            self._asks = self._guest
            if guest is not self._guest:
                self._house.guests.leave(guest)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE and not self._house.is_closing:
            return True
        await self._linger(is_known=guest.is_known)
        return False

    async def _head(self) -> h11.Request | None:
        """The next request's head; None when the connection ends before it."""
        self._guest.waits_since = self._loop.time()
        deadline = self._loop.time() + self._patience.idle_s
        is_begun = False
        try:
            self._refuse_many_lines()
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                if not is_begun and self._h11.trailing_data[0]:
                    is_begun, deadline = True, self._loop.time() + self._patience.head_s
                if self._house.is_closing and not is_begun:
                    return None
                async with asyncio.timeout_at(deadline):
                    self._h11.receive_data(await self._reader.read(_READ_BYTES))
                self._refuse_many_lines()
        except TimeoutError:
            if not is_begun:
                return None
            raise TooSlow from None
        self._guest.waits_since = None
        return event if isinstance(event, h11.Request) else None

    def _refuse_many_lines(self) -> None:
        """Before they are taken apart."""
        held = self._h11.trailing_data[0]
        end = _HEAD_END.search(held)
        if held.count(b"\n", 0, end.start() if end else len(held)) > _HEAD_LINES:
            raise Refused(431)

    async def _answered(self, head: Head, guest: Guest) -> None:
        house = self._house
        if head.is_health:
            try:
                async with asyncio.timeout(self._patience.alive_s):
                    await self._ask(Lane.HEALTH, head, guest, Body())
            except TimeoutError:
                raise WebGone from None
            return
        is_known = bool(head.credentials) and house.known.has(head.credentials)
        if is_known:
            house.guests.know(guest)
        else:
            house.guests.forget(guest)
        most_bytes = names.SMALL_BODY_BYTES
        if head.is_large or (head.credentials and not is_known):
            allowed = await self._may_come(head, guest)
            if allowed is None:
                return
            most_bytes = max(allowed, most_bytes)
        if not house.guests.may_stay(guest):
            raise Refused(429)
        body = await self._body(head, guest, most_bytes)
        if body is None:
            return
        try:
            lane = Lane.UPLOADS if body.file else Lane.PAGES if guest.is_known else Lane.STRANGERS
            await self._ask(lane, head, guest, body)
        finally:
            if body.file:
                body.file.close()

    async def _may_come(
        self, head: Head, guest: Guest, question: str = names.MAY_COME, length: int | None = None
    ) -> int | None:
        """The most bytes that its body may have; None when the request was refused, and that answered."""
        own = [(names.ASK, question)]
        if length or head.length:
            own.append((names.LENGTH, str(length or head.length)))
        async with self._house.backend.send(Lane.QUESTIONS, head, self._peer, own=own) as exchange:
            self._note(head, guest, exchange)
            most = {name.lower(): value for name, value in exchange.headers}.get(names.MOST.lower().encode())
            if exchange.status == 204 and most is not None:
                async for _ in exchange.data():
                    pass
                return int(most)
            rest = await self._relay(exchange)
        await self._finish(rest)
        return None

    async def _body(self, head: Head, guest: Guest, most_bytes: int) -> Body | None:
        """The whole body; None when it was refused, and that answered."""
        guest.waits_since = self._loop.time()
        try:
            turns = self._house.turns if head.is_large else nullcontext()
            async with aclosing(self._pieces(turns)) as pieces:
                return await self._house.spool.received(pieces, most_bytes)
        except TooLarge as large:
            await self._may_come(head, guest, length=max(large.length, most_bytes + 1))
        except DiskFull:
            await self._may_come(head, guest, names.NO_ROOM)
        finally:
            guest.waits_since = None
        if self._h11.our_state is h11.SEND_RESPONSE:
            raise Refused(400)
        return None

    async def _pieces(self, turns: AbstractAsyncContextManager[None]) -> AsyncGenerator[bytes, None]:
        """The body as it comes. turns: inside of which something is done with each piece."""
        pace = Pace(self._patience)
        chunks = length = 0
        while True:
            async with turns:
                while isinstance(event := self._h11.next_event(), h11.Data):
                    chunks, length = chunks + event.chunk_start, length + len(event.data)
                    if chunks > _FREE_CHUNKS + length // _CHUNK_BYTES:
                        raise Refused(400)
                    yield bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return
            if event is not h11.NEED_DATA:
                raise ConnectionResetError
            if self._h11.they_are_waiting_for_100_continue:
                self._write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))
            data = None
            while data is None:
                pace.next_window()
                with suppress(TimeoutError):
                    async with pace.timeout():
                        data = await self._reader.read(_READ_BYTES)
            pace.moved(len(data))
            self._h11.receive_data(data)

    async def _ask(self, lane: Lane, head: Head, guest: Guest, body: Body) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError
        async with self._house.backend.send(lane, head, self._peer, body) as exchange:
            self._note(head, guest, exchange)
            rest = await self._relay(exchange)
        await self._finish(rest)

    def _note(self, head: Head, guest: Guest, exchange: Exchange) -> None:
        """Remembers whether who asks is signed in."""
        is_known = any(name.lower() == names.KNOWN.lower().encode() for name, _ in exchange.headers)
        if is_known and head.credentials:
            self._house.known.add(head.credentials)
            self._house.guests.know(guest)
        elif not head.is_health:
            self._house.known.drop(head.credentials)
            self._house.guests.forget(guest)

    async def _relay(self, exchange: Exchange) -> Body | None:
        """Sends the web process's answer on. What the client reads slowly is held here; gives what is still to come.

        To be followed by _finish.
        """
        prefix = names.PREFIX.encode()
        headers: Headers = [
            (name, value)
            for name, value in exchange.headers
            if name.lower() not in _DROPPED and not name.lower().startswith(prefix)
        ]
        if self._house.is_closing or self._h11.their_state is h11.SEND_BODY:
            headers.append((b"Connection", b"close"))
        response = h11.Response(status_code=exchange.status, headers=headers, reason=exchange.reason)
        self._write(self._h11.send(response))
        try:
            rest = await self._sent_on(exchange)
        except (WebGone, DiskFull):  # the client can tell, because the end is missing
            raise ConnectionResetError from None
        return rest

    async def _sent_on(self, exchange: Exchange) -> Body | None:
        """Sends the answer's body on; what its client takes too slowly is the rest, to be sent later."""
        lengths = [int(value) for name, value in exchange.headers if name.lower() == b"content-length"]
        pieces, left_s = exchange.data(), _MOST_WAIT_S
        async for data in pieces:
            self._write(self._h11.send(h11.Data(data=data)))
            begin = self._loop.time()
            try:
                async with asyncio.timeout(max(left_s, 0.0)):
                    await self._taken(_HELD_BYTES)
            except TimeoutError:
                if await self._house.spool.has_room(lengths[0] if lengths else _UNSAID_BYTES):
                    return await self._house.spool.received(pieces, sys.maxsize)
                await self._taken(_HELD_BYTES)
            left_s -= self._loop.time() - begin
        return None

    async def _finish(self, rest: Body | None) -> None:
        """Sends the rest of an answer, and its end, when no thread is held any more."""
        if rest is not None:
            try:
                async for data in self._house.spool.pieces(rest):
                    self._write(self._h11.send(h11.Data(data=data)))
                    await self._taken(_HELD_BYTES)
            finally:
                if rest.file:
                    rest.file.close()
        self._write(self._h11.send(h11.EndOfMessage()))

    async def _taken(self, most_bytes: int) -> None:
        """Waits until at most so much is left of what the client was sent: it is the one that keeps us waiting."""
        self._asks.waits_since = self._loop.time()
        try:
            await flushed(self._writer, self._patience, most_bytes)
        finally:
            self._asks.waits_since = None

    def _write(self, data: bytes | None) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError
        if data:
            self._writer.write(data)

    async def _refuse(self, status: int) -> None:
        """Answers by ourselves, unless an answer was begun."""
        if self._writer.transport.is_closing() or self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        self._house.guests.leave(self._guest)  # who is shown out takes nobody's place
        reason, headers, body = answer(status)
        response = h11.Response(status_code=status, headers=headers, reason=reason)
        try:
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self._write(self._h11.send(event))
            await self._linger(is_known=False)
        except (OSError, TooSlow, h11.LocalProtocolError):
            pass

    async def _linger(self, *, is_known: bool) -> None:
        """Sees to it that the answer arrives: who closes with bytes unread makes the system throw away what was sent.

        Source: RFC 9112, 9.6. A stranger's body is read for a moment only; who is signed in may send theirs to its end,
        as a browser does before it looks at the answer, at the least rate; no thread of the web process knows.
        """
        await self._taken(0)
        if self._writer.can_write_eof():
            self._writer.write_eof()
        patience, left_bytes = self._patience, self._patience.linger_bytes
        if is_known and self._h11.their_state is h11.SEND_BODY:
            pace = Pace(patience)
            while True:
                pace.next_window()
                with suppress(TimeoutError):
                    async with pace.timeout():
                        if not (data := await self._reader.read(_READ_BYTES)):
                            return
                    pace.moved(len(data))
        try:
            async with asyncio.timeout(patience.linger_s):
                while left_bytes > 0 and (data := await self._reader.read(_READ_BYTES)):
                    left_bytes -= len(data)
        except TimeoutError:
            pass
