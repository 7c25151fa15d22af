"""Listening, until told to stop."""

import asyncio
import logging
import resource
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnosis_tool.front.backend import Backend
from diagnosis_tool.front.body import Spool
from diagnosis_tool.front.client import Client, House
from diagnosis_tool.front.guests import SOON_S
from diagnosis_tool.front.pace import Patience

_log: Final = logging.getLogger(__name__)
_BACKLOG: Final = 1024
_BUFFER_BYTES: Final = 1 << 16
_TELL_EVERY_S: Final = 60.0
_FILES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """host, port: the public address. backend: the web process's socket. pages: its threads for pages.

    proxies: as TRUSTED_PROXIES. spool: the folder for large bodies on their way. key: what says that we are the front.
    """

    host: str
    port: int
    backend: str
    pages: int
    proxies: int
    spool: Path
    key: str


class Front:
    """The open connections of a house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._clients: dict[Client, tuple[asyncio.Task[None] | None, asyncio.StreamWriter]] = {}

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        client = Client(self._house, reader, writer)
        self._clients[client] = asyncio.current_task(), writer
        try:
            await client.serve()
        except Exception:  # noqa: BLE001  one connection's defect is no other's
            _log.exception("a connection broke")
        finally:
            del self._clients[client]
            writer.close()

    async def stop(self, patience: Patience) -> None:
        """Lets what runs end, and closes the rest."""
        self._house.is_closing = True
        for client, (_, writer) in list(self._clients.items()):
            if client.may_be_closed:
                writer.close()
        running = [task for task, _ in self._clients.values() if task is not None]
        if running:
            _, late = await asyncio.wait(running, timeout=patience.stop_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def run(place: Place, patience: Patience | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    patience = patience or Patience()
    _allow_files()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    backend = Backend(place.backend, place.key, place.pages, patience)
    spool = Spool(place.spool)
    house = House(backend=backend, spool=spool, proxies=place.proxies, patience=patience)
    front = Front(house)
    server = await asyncio.start_server(front.take, sock=_listening(place), limit=_BUFFER_BYTES, backlog=_BACKLOG)
    beside = [asyncio.create_task(_tell(house)), asyncio.create_task(_sweep(house))]
    try:
        await stop.wait()
    finally:
        server.close()
        await front.stop(patience)
        for task in beside:
            task.cancel()
        backend.close()
        spool.close()


def _listening(place: Place) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    return listening


def _allow_files() -> None:
    """Connections are files; some systems allow few unless one asks."""
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _sweep(house: House) -> None:
    while True:
        await asyncio.sleep(SOON_S)
        house.guests.sweep()


async def _tell(house: House) -> None:
    """A line a minute about who was turned away, if anybody was: a line each would let strangers fill the log."""
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        slow, refused, closed = house.slow, house.refused, house.guests.closed
        house.slow = house.refused = house.guests.closed = 0
        if slow or refused or closed:
            _log.warning(
                "within a minute: %d requests were given up as too slow, %d refused, %d strangers' connections closed "
                "because their address had too many",
                slow,
                refused,
                closed,
            )


def main_place(arguments: list[str], key: str) -> Place:
    """The place that the command line names: host, port, socket, threads, proxies, folder."""
    host, port, backend, pages, proxies, spool = arguments
    return Place(
        host=host, port=int(port), backend=backend, pages=int(pages), proxies=int(proxies), spool=Path(spool), key=key
    )
