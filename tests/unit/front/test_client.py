"""What a client may cost the others: a front with a web process that always says the same."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from diagnosis_tool.front import headers as names
from diagnosis_tool.front.backend import BESIDE_PAGES, Backend, Lane
from diagnosis_tool.front.body import Spool
from diagnosis_tool.front.client import House
from diagnosis_tool.front.guests import SOON_S, Guests
from diagnosis_tool.front.pace import Patience
from diagnosis_tool.front.server import Front
from tests.unit.front.running import run

PAGE = 3_000_000
"""Bytes of each answer: more than is held back for a client that takes none of it."""
LARGE = 9_000_000
"""More than is held in memory at all."""
GET = b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n"
Ask = Callable[[bytes], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def _web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one request: a question by 'go on', everything else by a page."""
    head = await reader.readuntil(b"\r\n\r\n")
    if names.ASK.encode() in head:
        writer.write(f"HTTP/1.1 204 No Content\r\n{names.MOST}: 1000000\r\nConnection: close\r\n\r\n".encode())
    else:
        body = bytes(range(250)) * (LARGE // 250) if b"/large" in head else bytes(PAGE)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


def _with_front(folder: Path, scene: Callable[[Ask], Awaitable[None]], per_address: int = 2) -> None:
    async def played() -> None:
        web = await asyncio.start_unix_server(_web, folder / "web")
        patience = Patience()
        house = House(
            backend=Backend(str(folder / "web"), "key", 4, patience),
            spool=Spool(folder),
            proxies=0,
            patience=patience,
            guests=Guests(per_address=per_address),
        )
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # else the kernel holds it all
        front = await asyncio.start_server(Front(house).take, sock=listening)
        writers = []

        async def ask(request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            own = socket.socket()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, listening.getsockname())
            reader, writer = await asyncio.open_connection(sock=own, limit=4096)
            writers.append(writer)
            writer.write(request)
            return reader, writer

        try:
            async with asyncio.timeout(30):
                await scene(ask)
        finally:
            for writer in writers:
                writer.transport.abort()
            front.close()
            web.close()
            house.backend.close()
            house.spool.close()
            await asyncio.sleep(0.1)

    run(played())


async def _status(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readline()).split()[1]


def test_who_takes_an_answer_slowly_keeps_no_colleague_out(tmp_path: Path) -> None:
    async def scene(ask: Ask) -> None:
        for _ in range(2):
            await ask(GET + b"\r\n")
        await asyncio.sleep(SOON_S + 0.5)
        reader, _ = await ask(GET + b"\r\n")
        assert await _status(reader) == b"200"

    _with_front(tmp_path, scene)


def test_who_takes_a_large_answer_slowly_holds_no_thread_and_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight signed-in readers of originals, a byte at a time, kept every other one waiting for 9 s and more."""
    monkeypatch.setattr("diagnosis_tool.front.body._SPARED_BYTES", 0)  # the disk of tests may be a small one
    large = GET.replace(b"sign-in", b"large")

    async def scene(ask: Ask) -> None:
        slow = [await ask(large + b"Connection: close\r\n\r\n") for _ in range(BESIDE_PAGES[Lane.STRANGERS])]
        for reader, _ in slow:
            assert await _status(reader) == b"200"
        async with asyncio.timeout(Patience().window_s / 2):  # then they would be hung up on
            reader, _ = await ask(GET + b"\r\n")
            assert await _status(reader) == b"200"
        reader, _ = slow[0]
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read(-1) == bytes(range(250)) * (LARGE // 250)

    _with_front(tmp_path, scene, per_address=9)


def test_who_was_refused_takes_nobodys_place(tmp_path: Path) -> None:
    """A refusal is shown for a moment; meanwhile the address has room for who asks now."""

    async def scene(ask: Ask) -> None:
        refused, _ = await ask(b"nonsense\r\n\r\n")
        assert await _status(refused) == b"400"
        reader, _ = await ask(GET + b"\r\n")
        assert await _status(reader) == b"200"

    _with_front(tmp_path, scene, per_address=1)


def test_a_request_in_crumbs_is_refused_before_they_are_picked_up(tmp_path: Path) -> None:
    """Thirty connections that sent bodies by the byte kept everybody waiting for 5 s, /healthz included."""
    post = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def scene(ask: Ask) -> None:
        for expected, request in (
            (b"400", post + b"1\r\nx\r\n" * 5000),
            (b"200", post + b"1\r\nx\r\n" * 200 + b"100\r\n" + b"x" * 256 + b"\r\n" + b"0\r\n\r\n"),
            (b"200", post + (b"100\r\n" + b"x" * 256 + b"\r\n") * 1000 + b"0\r\n\r\n"),
            (b"431", GET + b"a:\r\n" * 200 + b"\r\n"),
            (b"431", GET + b"a:\r\n" * 200),
            (b"200", GET + b"a:\r\n" * 60 + b"\r\n" + b"\r\n" * 200),
        ):
            reader, writer = await ask(request)
            assert await _status(reader) == expected, request[-40:]
            writer.close()

    _with_front(tmp_path, scene, per_address=9)
