"""The supervisor starts its children again, ever more slowly, and stops them in time."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diagnosis_tool.errors import Busy, SettingsInvalid
from diagnosis_tool.front.headers import ENV_KEY
from diagnosis_tool.supervise import (
    FRONT,
    WEB,
    Child,
    refuse_taken_address,
    supervise,
    web_commands,
    worker_commands,
)


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


def test_what_cannot_be_told_stops_nothing() -> None:
    asked: list[float] = []

    def told() -> bool:
        asked.append(time.monotonic())
        raise Busy("busy") if len(asked) == 1 else BrokenPipeError()

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    code = f"import os, signal, time; time.sleep(1); os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    try:
        assert supervise({"asks to stop": [sys.executable, "-c", code]}, told) == 0
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert len(asked) == 2  # what is busy now is asked again


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_supervisor_leaves_no_child() -> None:
    child = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    code = f"from diagnosis_tool.supervise import supervise; supervise({{'child': {child!r}}})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
    end = time.monotonic() + 20
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code that nobody fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_an_address_in_use_is_told_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"127.0.0.1:{port}.*PORT="):
            refuse_taken_address("127.0.0.1", port)
    refuse_taken_address("127.0.0.1", port)
    with pytest.raises(SettingsInvalid):
        refuse_taken_address("192.0.2.1", port)  # RFC 5737: nobody's address


def test_every_worker_has_its_name_and_knows_of_the_others() -> None:
    commands = worker_commands(3)
    assert list(commands) == ["worker-1", "worker-2", "worker-3"]
    for name, command in commands.items():
        assert command[-4:] == ["--workers", "3", "--name", name]


def test_the_first_process_of_a_container_leaves_no_orphan_in_the_table() -> None:
    own = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: a process namespace of one's own needs root")
    code = """
import os, sys, time
from pathlib import Path
from diagnosis_tool.supervise import supervise
def told():
    states = [p.read_text().rpartition(")")[2].split()[0] for p in Path("/proc").glob("[0-9]*/stat")]
    told.seen.append(len(states))
    if len(told.seen) > 20: print(states.count("Z"), max(told.seen), flush=True); os._exit(0)
    return False
told.seen = []
parent = "import os, subprocess; subprocess.Popen(['sleep', '1']); os.kill(os.getpid(), 9)"
supervise({"parent": [sys.executable, "-c", parent]}, told)
"""
    done = subprocess.run([*own, sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    zombies, most = done.stdout.split()
    assert (int(zombies) <= 1, int(most) >= 2) == (True, True), done.stderr  # one may have ended a moment ago


def test_front_and_web_meet_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the path of the folder for temporary files is: a socket's path must be short."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv(ENV_KEY, "")
    with web_commands(host="127.0.0.1", port=8000, threads=8, proxies=0, data_dir=tmp_path) as commands:
        listen = Path(commands[FRONT][5])
        assert f"unix:{listen}" in commands[WEB]
        assert listen.parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(listen))
        assert len(os.environ[ENV_KEY]) == 64
    assert not listen.parent.exists()
