"""Processes that are killed by SIGKILL at a step of their own, so that each step of an operation can be the last one.

A step is a call that changes what outlives the process: fsync, rename, unlink, mkdir of a file, a received piece of
an upload; an SQL statement that writes; a commit. The process ends itself just before the n-th of them or, where the
call itself may be what counts, just after it. All is done by wrapping from outside: the product has no hook.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from diagnosis_tool.storage.blobs import PendingBlob

_FILES: Final = ("fsync", "replace", "rename", "unlink", "mkdir", "link", "rmdir")
_WRITES: Final = ("INSERT", "UPDATE", "DELETE")
Say = Callable[[str], None]
Operation = Callable[[Path, Say], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """How a process ended. said: what it told before, its promises; step: the one at which it was killed."""

    killed: bool
    said: tuple[str, ...]
    step: str


class Steps:
    """Counts the steps of this process and ends it at the n-th; n = 0 lets it live."""

    def __init__(self, n: int, say: Say, every_statement: bool) -> None:
        self._left = n
        self._say = say
        self._every = every_statement

    def step(self, name: str) -> None:
        """One more; the last one does not return."""
        self._left -= 1
        if self._left == 0:
            self._say(f"step {name}")
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def install(self) -> None:
        """Wraps what changes the disk, for the rest of this process's life."""
        for name in _FILES:
            setattr(os, name, self._around(name, getattr(os, name)))
        PendingBlob.write = self._around("write of a piece", PendingBlob.write)  # type: ignore[method-assign]
        DefaultDialect.do_commit = self._around("commit", DefaultDialect.do_commit)  # type: ignore[method-assign]
        event.listen(Engine, "before_cursor_execute", self._statement)

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.step(f"before {name}")
            try:
                return call(*args, **kwargs)
            finally:
                self.step(f"after {name}")

        return stepping

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self._every or statement.startswith(_WRITES):
            self.step(f"before {' '.join(statement.split()[:3])}")


def run(operation: Operation, data_dir: Path, *, kill_at: int = 0, every_statement: bool = False) -> EndedRun:
    """The operation in a process of its own, killed at its n-th step; 0: not at all.

    Raises AssertionError when it ends in any other way than by itself or by the kill.
    """
    return _finish(*_start(operation, data_dir, kill_at, every_statement))


def run_for(operation: Operation, data_dir: Path, seconds: float) -> EndedRun:
    """The operation in a process of its own, killed from outside after so long, wherever it is."""
    pid, answers = _start(operation, data_dir, 0, False)
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return _finish(pid, answers)


def every_step(
    operation: Operation, fresh: Callable[[], Path], *, stride: int = 1, every_statement: bool = False
) -> Iterator[tuple[Path, EndedRun]]:
    """Runs the operation on a new data folder each time, killed at its 1st, 2nd, 3rd … step until it ends by itself.

    stride: 3 takes the 1st, 4th, 7th … only.
    """
    n = 1
    killed = True
    while killed:
        data_dir = fresh()
        ended = run(operation, data_dir, kill_at=n, every_statement=every_statement)
        killed = ended.killed
        yield data_dir, ended
        n += stride


def _start(operation: Operation, data_dir: Path, kill_at: int, every_statement: bool) -> tuple[int, int]:
    answers, own = os.pipe()
    pid = os.fork()
    if pid:
        os.close(own)
        return pid, answers
    try:

        def say(text: str) -> None:
            os.write(own, f"{text}\n".encode())

        Steps(kill_at, say, every_statement).install()
        operation(data_dir, say)
        os._exit(0)
    except BaseException:  # noqa: BLE001  the child must never return into its parent's code
        traceback.print_exc()
    os._exit(70)


def _finish(pid: int, answers: int) -> EndedRun:
    with os.fdopen(answers) as pipe:
        said = pipe.read().splitlines()
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.waitstatus_to_exitcode(status) == 0, f"the process ended with {status}"
    steps = [line for line in said if line.startswith("step ")]
    return EndedRun(
        killed=killed,
        said=tuple(line for line in said if not line.startswith("step ")),
        step=steps[0].removeprefix("step ") if steps else "",
    )
