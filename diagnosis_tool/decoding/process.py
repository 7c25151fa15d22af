"""A process that decodes, seen from the one that asks."""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding import wire
from diagnosis_tool.decoding.limits import Limits
from diagnosis_tool.errors import (
    BrokenOff,
    DecodersBusy,
    DecodersMissing,
    DiagnosisToolError,
    UnreadableInput,
    UnsupportedImage,
)

_KEPT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX", "TZ",
)  # fmt: skip
"""Of the environment; the rest holds keys and is none of a decoder's business."""
_OWN: Final = {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "64000000", "MALLOC_TRIM_THRESHOLD_": "64000000",
}  # fmt: skip
"""Threads that decode nothing would take 100 MB of addresses each. Blocks of ordinary films are used again: half of the
time of a large one went into clearing new ones."""
_LOOK_S: Final = 1.0
_OUR_OWN_END_S: Final = 10.0
_READY_S: Final = 60.0
_NICE: Final = 10
"""What takes long steps back for what is not."""
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_OF_TIME: Final = frozenset({signal.SIGXCPU, signal.SIGALRM})


_NO_ROOM: Final = frozenset({errno.ENOMEM, errno.ENOSPC})


class Gone(Exception):
    """The process was ended by somebody, for no fault of the file that it was given."""


class DecodeProcess:
    """One process; one file at a time. To be made in a thread that lives as long as the process is wanted."""

    def __init__(self, module: str, limits: Limits) -> None:
        """Starts it and waits until it is ready. Raises OSError, or EOFError when it ends instead."""
        self._limits = limits
        self._broken_off = self._gave_way = self._is_closed = False
        self._began = self._cpu_before_s = 0.0
        self.decoded = 0
        self.is_stepped_back = False
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _OWN
        self._connection, other = socket.socketpair()
        self._side = wire.Asking(self._connection)
        files = (self._side.inbox, self._side.outbox)
        command = [sys.executable, "-m", module, str(os.getpid()), json.dumps(asdict(limits)), *map(str, files)]
        try:
            with other:
                # a session of its own: Ctrl-C in a terminal is for who asks
                self._process = subprocess.Popen(
                    command,
                    stdin=other.fileno(),
                    stdout=subprocess.DEVNULL,
                    pass_fds=files,
                    env=environment,
                    start_new_session=True,
                )
        except BaseException:
            self._side.close()
            raise
        try:
            self._connection.settimeout(_READY_S)
            if self._connection.recv(len(wire.READY), socket.MSG_WAITALL) != wire.READY:
                raise EOFError("a process that decodes ended before it was ready")
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    @property
    def is_usable(self) -> bool:
        """Whether it may be given another file: it lives, and was never long."""
        return not (self._broken_off or self._gave_way or self.is_stepped_back) and self._process.poll() is None

    @property
    def age_s(self) -> float:
        """For how long it has had its file."""
        return time.monotonic() - self._began

    @property
    def is_long(self) -> bool:
        """Whether it has taken more than an ordinary film does, by its own CPU time where the system tells it."""
        if self.age_s > self._limits.long_wall_s:
            return True
        return self._cpu_s() - self._cpu_before_s > self._limits.long_cpu_s

    @property
    def has_answer(self) -> bool:
        """Whether there is something to receive, be it the end."""
        return self._answers_by(0.0)

    def decode(self, data: bytes, may_be_slow: Callable[[], bool]) -> Radiograph:
        """The file's radiograph. may_be_slow: asked once when it takes long; False ends it.

        Raises:
            UnreadableInput, UnsupportedImage: as decoding here would, and for what a limit or a crash ended.
            DecodersBusy: it took long and might not. DecodersMissing: no memory for the file.
            BrokenOff. Gone. RuntimeError: the decoder itself is at fault.
        """
        self._began, self._cpu_before_s = time.monotonic(), self._cpu_s()
        self.decoded += 1
        try:
            answer = self._asked(data, self._began, may_be_slow)
        except TimeoutError:
            self.end()
            raise _too_long(self._limits) from None
        except ValueError:
            self.end()
            raise crashed() from None
        except (EOFError, OSError):
            raise self._ended() from None
        if isinstance(answer, Radiograph):
            return answer
        if isinstance(answer, DiagnosisToolError):
            raise answer
        if answer.memory:
            raise _too_much_memory(self._limits)
        raise RuntimeError("a decoder broke down: " + ", ".join(answer.where))

    def _asked(self, data: bytes, start: float, may_be_slow: Callable[[], bool]) -> wire.Answer:
        end = start + self._limits.wall_s
        self._connection.settimeout(self._limits.wall_s)
        try:
            self._side.send_file(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self.end()
            raise missing() from error
        if not self._answers_by(start + self._limits.patience_s):
            if not may_be_slow():
                self.end()
                raise _gives_way()
            while not (self._answers_by(time.monotonic() + _LOOK_S) or time.monotonic() > end or self.is_stepped_back):
                if self.is_long:
                    self._step_back()
        return self._side.receive_answer(end)

    def _answers_by(self, moment: float) -> bool:
        """Waits until then at most; whether there is something to receive, be it the end."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        return bool(waiting.poll(max(0.0, moment - time.monotonic()) * 1000))

    def _step_back(self) -> None:
        """For good: what once stepped back for others may not come forward again, so it is used no more."""
        self.is_stepped_back = True
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _NICE)

    def break_off(self) -> None:
        """Ends it; who waits for its answer gets BrokenOff. From any thread."""
        self._broken_off = True
        self._process.kill()

    def give_way(self) -> None:
        """Ends it; who waits for its answer gets DecodersBusy. From any thread."""
        self._gave_way = True
        self._process.kill()

    def end(self) -> None:
        """Ends it and waits for that; may be called again."""
        if not self._is_closed:
            self._is_closed = True
            self._side.close()
        self._process.kill()
        self._process.wait()

    def _cpu_s(self) -> float:
        """What it has taken in its life; 0 where the system does not tell. Source: Linux, MAKE_PROCESS_CPUCLOCK."""
        try:
            return time.clock_gettime(~self.pid << 3 | 2)
        except OSError:
            return 0.0

    def _ended(self) -> Exception:
        """Why there is no answer."""
        try:
            code = self._process.wait(_OUR_OWN_END_S)
        except subprocess.TimeoutExpired:  # it closed its side and goes on
            self.end()
            return crashed()
        self.end()
        if self._broken_off:
            return BrokenOff("Decoding was broken off.")
        if self._gave_way:
            return _gives_way()
        if -code in _OF_TIME:
            return _too_long(self._limits)
        return Gone() if -code in _FROM_OUTSIDE else crashed()


def _gives_way() -> DecodersBusy:
    return DecodersBusy(
        "Other images that take long to open are being opened at this moment. Try again in a few seconds."
    )


def missing() -> DecodersMissing:
    """What is to be told when nothing can be decoded, for no fault of a file."""
    return DecodersMissing("Images cannot be opened at the moment: the server's log says why. Try again in a minute.")


def _too_long(limits: Limits) -> UnsupportedImage:
    return UnsupportedImage(
        "Decoding this image takes longer than any radiograph does (limit %(limit)s s). Export it uncompressed.",
        limit=limits.cpu_s,
    )


def _too_much_memory(limits: Limits) -> UnsupportedImage:
    return UnsupportedImage(
        "Decoding this image takes more memory than any radiograph does (limit %(limit)s GB). Export it uncompressed.",
        limit=f"{limits.memory_bytes / 1e9:.1f}",
    )


def crashed() -> UnreadableInput:
    """The refusal of a file that ended its decoder."""
    return UnreadableInput(
        "The decoder broke down on this file: it is damaged, or not what it says it is. Export it again, uncompressed."
    )
