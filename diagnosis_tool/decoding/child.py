"""The process that decodes: bounds itself, then answers one file after another until nobody asks any more.

Started by decoding.pool as `python -m diagnosis_tool.decoding.child PARENT LIMITS INBOX OUTBOX`, its standard input a
socket to the process that asks, INBOX and OUTBOX descriptors. It holds no database, no key and no other file, and
imports no model, no web server and no SQL.
"""

import ctypes
import json
import logging
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding import wire
from diagnosis_tool.decoding.limits import Limits
from diagnosis_tool.dicom.decode import decode_radiograph, warm
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_SPARE_FILES: Final = 16
"""File descriptors beyond those of a process that is ready: modules that a library imports late."""
_GRACE_S: Final = 5.0
"""The asking process ends a file that takes too long; so much later the kernel does, should it be gone or stuck."""


def run(decode: Callable[[bytes], Radiograph]) -> None:
    """Serves until the other side is gone. decode: what is done with each file."""
    _end_with_parent(int(sys.argv[1]))
    limits = Limits(**json.loads(sys.argv[2]))
    logging.disable(logging.CRITICAL)  # what libraries log quotes what they met, which may name a patient
    warm()
    with socket.socket(fileno=0) as connection:
        side = wire.Answering(connection, int(sys.argv[3]), int(sys.argv[4]))
        _bound(limits)
        side.say_ready()
        while (data := side.receive_file()) is not None:
            _begin(limits)
            answer = _answer(decode, data)
            del data
            signal.setitimer(signal.ITIMER_REAL, 0)
            side.send_answer(answer)
            del answer


def _answer(decode: Callable[[bytes], Radiograph], data: bytes) -> wire.Answer:
    try:
        return decode(data)
    except (UnreadableInput, UnsupportedImage) as refusal:
        return refusal
    except MemoryError:
        return wire.Broken(memory=True)
    except Exception as error:  # noqa: BLE001  told to who asked, without its words: they may quote the file
        frames = traceback.extract_tb(error.__traceback__)[-10:]
        where = (type(error).__qualname__, *(f"{frame.filename}:{frame.lineno}" for frame in frames))
        return wire.Broken(memory=False, where=where)


def _end_with_parent(parent: int) -> None:
    """Killed by the kernel when the process that asks is gone, however it went. Elsewhere the socket's end does it."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the kernel was asked
        os._exit(1)


def _bound(limits: Limits) -> None:
    """From here on the kernel watches. A limit that this system does not know is left out."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who asks decides when this ends
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # ended by the kernel, even where native code holds Python's lock
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())  # native code writes there what it met
    os.close(nowhere)
    files = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 32
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, files + _SPARE_FILES)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_NPROC, 0)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_bytes)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def _begin(limits: Limits) -> None:
    """Another file: its time begins. The CPU's is counted over the process's life, so the limit goes along."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard == resource.RLIM_INFINITY else min(seconds, hard), hard))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s + _GRACE_S)


if __name__ == "__main__":
    run(decode_radiograph)
