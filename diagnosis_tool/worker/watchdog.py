"""Ends a worker that hangs: what never comes back would hold its image, and all behind it, for good."""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

_log: Final = logging.getLogger(__name__)
LIMIT_S: Final = 100.0
"""No image takes so long; less than a lease lasts, so that nobody else has begun with it."""
_EXIT_CODE: Final = 75
Guard = Callable[[str], AbstractContextManager[None]]


def unguarded(_: str) -> AbstractContextManager[None]:
    """For whoever watches by other means."""
    return nullcontext()


def _end(what: str, limit_s: float) -> None:
    _log.error("%s took longer than %.0f s: this worker ends, the next one tries that image alone", what, limit_s)
    faulthandler.dump_traceback()
    os._exit(_EXIT_CODE)


class Watchdog:
    """Watches steps of any threads; what takes longer than limit_s ends the process, as kill -9 would.

    The supervisor starts the worker again. It puts the image back, which counts as an attempt; after MAX_ATTEMPTS it is
    marked failed. end: what is done instead, for tests.
    """

    def __init__(self, limit_s: float = LIMIT_S, end: Callable[[str, float], None] = _end) -> None:
        self._limit_s = limit_s
        self._end = end
        self._steps: dict[int, tuple[str, float]] = {}

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """What this thread does now; one at a time."""
        self._steps[threading.get_ident()] = (what, time.monotonic())
        try:
            yield
        finally:
            del self._steps[threading.get_ident()]

    def look(self) -> None:
        """Ends the process when a step has taken too long."""
        for what, since in list(self._steps.values()):
            if time.monotonic() - since > self._limit_s:
                self._end(what, self._limit_s)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks once a second.

        Code that hangs without letting any other thread of Python run is met as well: a timer of the interpreter's own,
        which is set anew at each look, ends the process then, with a trace of all threads.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                faulthandler.dump_traceback_later(self._limit_s, exit=True)
                self.look()
                over.wait(min(1.0, self._limit_s / 4))

        thread = threading.Thread(target=watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()
