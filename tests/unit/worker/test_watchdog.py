"""A worker that hangs is ended; one that works is not."""

import subprocess
import sys
import time

import pytest

from diagnosis_tool.worker.watchdog import Watchdog


def test_what_takes_too_long_ends_the_process() -> None:
    ended: list[str] = []
    dog = Watchdog(0.05, end=lambda what, _: ended.append(what))
    with dog.step("quick"):
        dog.look()
    with dog.step("decoding for job 5"):
        time.sleep(0.1)
        dog.look()
    dog.look()
    assert ended == ["decoding for job 5"]


@pytest.mark.parametrize(
    ("hang", "code"),
    [("time.sleep(60)", 75), ("ctypes.PyDLL(None).sleep(60)", 1)],
    ids=["letting others run", "holding the interpreter's lock"],
)
def test_a_process_that_hangs_is_gone(hang: str, code: int) -> None:
    program = (
        "import ctypes, time\nfrom diagnosis_tool.worker.watchdog import Watchdog\ndog = Watchdog(1.0)\n"
        f"with dog.watching(), dog.step('a film'):\n    {hang}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == code
    assert "most recent call first" in done.stderr
