"""Processes that decode, a few kept warm. One that is killed is replaced; one that is slow is not counted on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding.limits import LIMITS, Limits
from diagnosis_tool.decoding.process import DecodeProcess, Gone, crashed, missing
from diagnosis_tool.errors import BrokenOff

_log: Final = logging.getLogger(__name__)
SLOW_AT_ONCE: Final = 3
"""Slow files that are decoded at one time; each has a process of its own beside the warm ones."""
_RENEWED_AFTER: Final = 2000
"""Files; so what a library leaks never adds up."""
_TRIES: Final = 5
"""Processes that a file is given to while each is killed from outside, before the file is held to be the reason."""
_FOR_A_PLACE_S, _LOOK_S = 0.3, 0.05
_PAUSE_S, _MOST_PAUSE_S = 0.5, 10.0
_SPARE_S: Final = 60.0
"""Quiet for so long, processes that slow files called for are ended."""
_CLOSING_S: Final = 5.0
_CHILD: Final = "diagnosis_tool.decoding.child"


class Pool:
    """Decodes files in processes of its own: a Decoder (cxr.types). To be closed, or used in a `with`.

    warm: how many processes wait for files, slow ones aside. module: what they run, for tests of this class.
    """

    def __init__(
        self, *, warm: int = 2, slow: int = SLOW_AT_ONCE, limits: Limits = LIMITS, module: str = _CHILD
    ) -> None:
        self._warm = warm
        self._most_slow = slow
        self._limits = limits
        self._module = module
        self._changed = threading.Condition()
        self._idle: list[DecodeProcess] = []
        self._busy: set[DecodeProcess] = set()
        self._slow: set[DecodeProcess] = set()
        self._for_a_place = 0
        self._broken_off = 0
        self._closed = False
        self._cannot_start = False
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """Begins to start processes, if nobody has; does not wait for them."""
        with self._changed:
            if self._keeper is None and not self._closed:
                # the kernel ends a process with the thread that started it: one that lives as long as this
                self._keeper = threading.Thread(target=self._keep, name="decoders", daemon=True)
                self._keeper.start()

    def decode(self, data: bytes, became_slow: Callable[[], None] = lambda: None) -> Radiograph:
        """As decode_radiograph, but what goes wrong there ends another process; and see Decoder."""
        self.start()

        def may_be_slow() -> bool:
            became_slow()  # at once: nobody else is to wait while it waits for a place
            return self._may_be_slow(process)

        with self._changed:
            broken_off = self._broken_off
        for _ in range(_TRIES):
            process = self._taken(broken_off)
            try:
                return process.decode(data, may_be_slow)
            except Gone:
                _log.warning("a process that decodes was killed from outside; the file is given to another")
            finally:
                self._given_back(process)
        raise crashed()

    def break_off(self) -> None:
        """Ends all that is being decoded; who waits for it gets BrokenOff. What comes later is decoded."""
        with self._changed:
            self._broken_off += 1
            for process in self._busy:
                process.break_off()
            self._changed.notify_all()

    def close(self) -> None:
        """Ends all processes; nothing is decoded any more."""
        with self._changed:
            self._closed = True
        self.break_off()
        if self._keeper is not None:
            self._keeper.join(_CLOSING_S)  # it may be starting a process, which ends with this one in any case
        with self._changed:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def __enter__(self) -> "Pool":
        self.start()
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        self.close()

    def pids(self) -> tuple[int, ...]:
        """Of the processes that live now."""
        with self._changed:
            return tuple(process.pid for process in (*self._idle, *self._busy))

    def _taken(self, broken_off: int) -> DecodeProcess:
        with self._changed:
            while True:
                if self._closed or self._broken_off != broken_off:
                    raise BrokenOff("Decoding was broken off.")
                while self._idle:
                    process = self._idle.pop()
                    if process.is_usable:
                        self._busy.add(process)
                        return process
                    process.end()
                    self._changed.notify_all()
                if self._cannot_start and not self._busy:
                    raise missing()
                self._changed.wait()

    def _given_back(self, process: DecodeProcess) -> None:
        with self._changed:
            self._busy.discard(process)
            self._slow.discard(process)
            keep = not self._closed and process.is_usable and process.decoded < _RENEWED_AFTER
            if keep:
                self._idle.append(process)
            self._changed.notify_all()
        if not keep:
            process.end()

    def _may_be_slow(self, process: DecodeProcess) -> bool:
        """Waits a moment for a place among the slow ones; the one that is slow for longest may have to make it."""
        end = time.monotonic() + _FOR_A_PLACE_S
        with self._changed, self._waiting_for_a_place():
            while len(self._slow) >= self._most_slow:
                longest = max(self._slow, key=lambda slow: slow.age_s)
                if longest.is_long:
                    longest.give_way()
                if process.has_answer:  # it has become none of them meanwhile
                    return True
                if time.monotonic() > end:
                    return False
                self._changed.wait(_LOOK_S)
            self._slow.add(process)
            self._changed.notify_all()  # another is wanted now
            return True

    @property
    def _wanted(self) -> int:
        return self._warm + len(self._slow) + self._for_a_place

    @contextmanager
    def _waiting_for_a_place(self) -> Iterator[None]:
        """Meanwhile another process is wanted for whoever comes next."""
        self._for_a_place += 1
        self._changed.notify_all()
        try:
            yield
        finally:
            self._for_a_place -= 1

    def _keep(self) -> None:
        """The keeper's thread: as many processes as are wanted, one started after another."""
        pause_s = _PAUSE_S
        while True:
            if not self._wait_until_wanted():
                return
            try:
                process = DecodeProcess(self._module, self._limits)
            except Exception:  # noqa: BLE001  whatever it is, this thread must go on
                _log.exception("a process that decodes cannot be started")
                with self._changed:
                    self._cannot_start = True
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed, pause_s)
                pause_s = min(2 * pause_s, _MOST_PAUSE_S)
                continue
            pause_s = _PAUSE_S
            with self._changed:
                self._cannot_start = False
                if not self._closed:
                    self._idle.append(process)
                    self._changed.notify_all()
                    continue
            process.end()
            return

    def _wait_until_wanted(self) -> bool:
        """False when the pool is closed. Meanwhile what is there beyond need is ended after a while."""
        while True:
            with self._changed:
                if self._closed:
                    return False
                there = len(self._idle) + len(self._busy)
                if there < self._wanted:
                    return True
                told = self._changed.wait(_SPARE_S if there > self._wanted else None)
                spare = None if told or there <= self._wanted or not self._idle else self._idle.pop(0)
            if spare is not None:
                spare.end()
