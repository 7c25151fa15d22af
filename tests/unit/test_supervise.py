"""The supervisor starts its children again, ever more slowly, and stops them in time."""

import os
import signal
import sys
import time
from collections.abc import Callable

from diagnosis_tool.supervise import Child, supervise


def tend_until(child: Child, reached: Callable[[], bool]) -> None:
    for _ in range(400):
        child.tend(time.monotonic())
        if reached():
            return
        time.sleep(0.02)
    raise AssertionError("the child never got there")


def test_a_child_that_ends_is_started_again() -> None:
    child = Child("short", [sys.executable, "-c", "pass"])
    seen: set[int] = set()

    def twice() -> bool:
        if child.process is not None:
            seen.add(child.process.pid)
        return len(seen) >= 2

    tend_until(child, twice)
    child.stop(time.monotonic() + 5)


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = Child("deaf", [sys.executable, "-c", code])
    child.tend(time.monotonic())
    assert child.process is not None
    time.sleep(0.5)
    child.stop(time.monotonic() + 0.2)
    assert child.process.returncode in {-signal.SIGKILL, -signal.SIGTERM}


def test_sigterm_stops_everything() -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    code = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    try:
        assert supervise({"asks to stop": [sys.executable, "-c", code]}) == 0
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
