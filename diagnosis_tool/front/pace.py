"""How slow a client may be, in either direction."""

import asyncio
from dataclasses import dataclass


class TooSlow(Exception):
    """The client brought, or took, less than the least rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the front waits for clients.

    head_s: for a request's headers, all of them, from their first byte on. idle_s: for the first byte. window_s and
    least_bytes: each so many seconds so many bytes of a body have to come, or of an answer to be taken, unless it ends
    before. linger_s, linger_bytes: how long a refused stranger's body is still read, so that the refusal arrives.
    stop_s: for what runs when the front is told to stop. start_s, health_s: for the web process to take a connection;
    alive_s: to say that it lives (the image's HEALTHCHECK waits for 5 s).
    """

    head_s: float = 10.0
    idle_s: float = 15.0
    window_s: float = 10.0
    least_bytes: int = 10_000
    linger_s: float = 1.0
    linger_bytes: int = 1 << 16
    stop_s: float = 6.5
    start_s: float = 20.0
    health_s: float = 0.5
    alive_s: float = 4.0


class Pace:
    """Watches one body: TooSlow once a window brings too little."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._moved_bytes = 0
        self._end = asyncio.get_running_loop().time() + patience.window_s

    def moved(self, n_bytes: int) -> None:
        """So many bytes more."""
        self._moved_bytes += n_bytes

    def timeout(self) -> asyncio.Timeout:
        """Until the window's end."""
        return asyncio.timeout_at(self._end)

    def next_window(self) -> None:
        """To be called when the window has ended, or before waiting. Raises TooSlow when it brought too little."""
        now = asyncio.get_running_loop().time()
        if now < self._end:
            return
        if self._moved_bytes < self._patience.least_bytes:
            raise TooSlow
        self._moved_bytes, self._end = 0, now + self._patience.window_s


async def flushed(writer: asyncio.StreamWriter, patience: Patience, most_bytes: int) -> None:
    """Waits until at most so much of what was written is still to be taken. Raises TooSlow, ConnectionError."""
    transport = writer.transport
    if transport.get_write_buffer_size() <= most_bytes:
        return
    transport.set_write_buffer_limits(high=most_bytes, low=most_bytes)
    pace, before = Pace(patience), transport.get_write_buffer_size()
    while transport.get_write_buffer_size() > most_bytes:
        if transport.is_closing():
            raise ConnectionResetError
        try:
            async with pace.timeout():
                await writer.drain()
        except TimeoutError:
            left = transport.get_write_buffer_size()
            pace.moved(before - left)
            before = left
            pace.next_window()
