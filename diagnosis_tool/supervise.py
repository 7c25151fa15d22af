"""`diagnosis-tool serve`: keeps front, web process and workers running, and stops them together."""

import ctypes
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import Final

from diagnosis_tool.errors import DiagnosisToolError, SettingsInvalid
from diagnosis_tool.front.backend import BESIDE_PAGES
from diagnosis_tool.front.headers import ENV_KEY

_log = logging.getLogger(__name__)
_GRACE_S: Final = 9.0  # `docker stop` kills after 10 s
_LOOK_EVERY_S: Final = 0.2
_MAX_PAUSE_S: Final = 10.0
_STABLE_S: Final = 30.0
_WEB_S: Final = 2.0
"""Of it, at least so much is the web process's own: it goes on until the front, which waits for answers, has ended."""
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LONG_PATH: Final = 70  # of 104 letters on macOS; ours takes 28
FRONT: Final = "front"
WEB: Final = "web"


class Child:
    """A process that is started again when it ends, after a pause that doubles while it keeps ending at once."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = command
        self._pause_s = 0.5
        self._start_at = 0.0
        self._started = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def tend(self, now: float) -> None:
        """Starts the process if it is due, and notices when it has ended. now: time.monotonic()."""
        if self.process is None:
            if now >= self._start_at:
                self.process = subprocess.Popen(self._command, preexec_fn=_ends_with_us())
                self._started = now
            return
        code = self.process.poll()
        if code is None:
            return
        self._pause_s = 0.5 if now - self._started > _STABLE_S else min(self._pause_s * 2, _MAX_PAUSE_S)
        _log.error("%s ended with code %d; starting it again in %.1f s", self.name, code, self._pause_s)
        self.process, self._start_at = None, now + self._pause_s

    def stop(self, deadline: float) -> None:
        """SIGTERM, then SIGKILL for what still runs at the deadline (time.monotonic())."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.error("%s did not stop in time and was killed; its work is taken up at the next start", self.name)
            self.process.kill()
            self.process.wait()


def _ends_with_us() -> Callable[[], None] | None:
    """On Linux: makes a child get SIGTERM when this process dies, even by SIGKILL. Elsewhere None: it outlives us.

    Only for a parent whose main thread starts its children and has no others: the kernel watches the starting thread,
    and between fork and exec no lock may be needed. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_kernel


def supervise(commands: Mapping[str, Sequence[str]], told: Callable[[], bool] = lambda: True) -> int:
    """Runs the named commands until SIGTERM or SIGINT; returns 0.

    told: asked again and again until it says that the user has been told all there is to tell.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    children = [Child(name, command) for name, command in commands.items()]
    all_told = False
    while not stop.is_set():
        for child in children:
            child.tend(time.monotonic())
        if os.getpid() == 1:
            _fetch_orphans(children)
        all_told = all_told or _is_told(told)
        stop.wait(_LOOK_EVERY_S)
    _stop(children, time.monotonic() + _GRACE_S)
    return 0


def _stop(children: Sequence[Child], deadline: float) -> None:
    """All at once, but the web process when the front has ended."""
    web = [child for child in children if child.name == WEB and any(other.name == FRONT for other in children)]
    for child in children:
        if child.process is not None and child not in web:
            child.process.terminate()
    for child in children:
        if child.name == FRONT:
            child.stop(deadline - _WEB_S)
    for child in web:
        if child.process is not None:
            child.process.terminate()
    for child in children:
        child.stop(deadline)


def _fetch_orphans(children: Sequence[Child]) -> None:
    """As the first process of a container, who lost its parent is ours: its exit code is fetched, or stays for ever.

    So it is with the processes that decode for a worker that was killed.
    """
    own = {child.process.pid for child in children if child.process is not None}
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in own:
            os.waitpid(ended.si_pid, os.WNOHANG)


def _is_told(told: Callable[[], bool]) -> bool:
    try:
        return told()
    except DiagnosisToolError:  # a database that is busy now is asked again
        return False
    except Exception:  # noqa: BLE001  whatever broke, as an output that nobody takes any more: the server runs on
        _log.warning("Whether the server is ready could not be found out; it runs on", exc_info=True)
        return True


def authority(host: str, port: int) -> str:
    """host:port as in URLs and for gunicorn: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serves(host: str, port: int) -> bool:
    """Whether a server of ours answers there."""
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def refuse_taken_address(host: str, port: int) -> None:
    """Raises SettingsInvalid when nothing can listen there: another server does, or the address is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does: what just closed is free
            probe.bind(address)
    except OSError as error:
        raise SettingsInvalid(
            f"Nothing can be served at {authority(host, port)}: {error.strerror or error}. Stop what is running "
            f"there, or choose another port, for example PORT={port + 1 if port < 65535 else 8000}."
        ) from error


def web_command(*, listen: Path, threads: int) -> list[str]:
    """gunicorn's command line; everything but the socket and the threads stands in gunicorn_settings.py.

    threads: for pages; what else there is (front.backend.BESIDE_PAGES) has threads of its own.
    """
    return [
        sys.executable, "-m", "gunicorn", "diagnosis_tool.app:from_env()",
        "--config", "python:diagnosis_tool.gunicorn_settings",
        "--bind", f"unix:{listen}", "--threads", str(threads + sum(BESIDE_PAGES.values())),
    ]  # fmt: skip


def _short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of ours, 0700, for a socket, whose path the system wants short. Source: unix(7), sun_path."""
    wanted = tempfile.gettempdir()
    folder = "/tmp" if len(wanted) > _LONG_PATH and os.access("/tmp", os.W_OK) else wanted  # noqa: S108  a new one there
    return tempfile.TemporaryDirectory(prefix="diagnosis-tool-", dir=folder)


@contextmanager
def web_commands(*, host: str, port: int, threads: int, proxies: int, data_dir: Path) -> Iterator[dict[str, list[str]]]:
    """Front and web process by their names, with a socket between them in a folder that nobody else can open.

    threads: for pages. proxies: how many stand before the server and say who asks. The folder goes when the block ends;
    the secret by which the two know each other stands in the environment.
    """
    os.environ[ENV_KEY] = secrets.token_hex(32)
    with _short_folder() as folder:
        listen = Path(folder) / "web"
        front = [host, str(port), str(listen), str(threads), str(proxies), str(data_dir)]
        yield {
            FRONT: [sys.executable, "-m", "diagnosis_tool.front", *front],
            WEB: web_command(listen=listen, threads=threads),
        }


def worker_commands(workers: int) -> dict[str, list[str]]:
    """The workers' command lines by their names. workers: how many; each is told, for they share the cores."""
    command = [sys.executable, "-m", "diagnosis_tool.cli", "worker", "--workers", str(workers), "--name"]
    return {name: [*command, name] for name in (f"worker-{k + 1}" for k in range(workers))}
