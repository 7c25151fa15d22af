"""Runs the real thing for tests: `diagnosis-tool serve` on a free port, with a data folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from uuid import uuid4

from diagnosis_tool.domain.access import Role, User
from diagnosis_tool.services.context import Context
from testing import accounts
from testing.stores import open_store

_DEADLINE_S = 120.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server. url has no slash at its end. What it is asked for, it is asked by an administrator's token."""

    url: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path
    context: Context = field(repr=False)
    user: User
    token: str = field(repr=False)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.request(path), timeout=60) as answer:
            return bytes(answer.read())

    def request(
        self, path: str, data: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> urllib.request.Request:
        """With the token; a POST where there is data."""
        own = {"Authorization": f"Bearer {self.token}", **headers}
        return urllib.request.Request(self.url + path, data, own)

    def signed_in(self, user: User | None = None) -> dict[str, Any]:
        """What a browser of Playwright's is given as storage_state, so that this user (its own) is signed in there."""
        cookie = accounts.cookie_of(self.context, user or self.user, self.data_dir)
        return {"cookies": [{**cookie, "domain": "127.0.0.1", "path": "/"}]}

    def get_json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def upload(self, files: Sequence[tuple[str, bytes]], *, show: bool = True) -> str:
        """Sends files as one multipart form; returns the study's uid. show: fetches the study's page, too."""
        boundary = uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + data
            + b"\r\n"
            for name, data in files
        ]
        request = self.request(
            "/studies",
            b"".join(parts) + f"--{boundary}--\r\n".encode(),
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        opener = urllib.request.build_opener() if show else urllib.request.build_opener(_StayHere)
        with opener.open(request, timeout=120) as answer:
            return str(answer.headers.get("Location") or answer.url).rsplit("/", 1)[-1]

    def finished(self, uid: str) -> dict[str, Any]:
        """The study's JSON once nothing more will happen to it."""

        def look() -> dict[str, Any] | None:
            study: dict[str, Any] = self.get_json(f"/studies/{uid}.json")
            over = all(i["state"] in {"done", "refused", "failed"} for i in study["instances"])
            return study if over else None

        return wait_for(look, f"study {uid} did not finish; see {self.log}")

    def image_uids(self, uid: str) -> list[str]:
        """The study's images, in the order they were sent."""
        return [str(i["uid"]) for i in self.get_json(f"/studies/{uid}/status.json")["instances"]]

    def predicted(self, files: Sequence[tuple[str, bytes]]) -> tuple[str, list[str]]:
        """Sends files as one study and waits until nothing more will happen to it; the study and its images."""
        study = self.upload(files)
        self.finished(study)
        return study, self.image_uids(study)

    def worker_pids(self) -> list[int]:
        """Process ids of the workers under the supervisor."""
        return self.pids(b"worker")

    def pids(self, word: bytes) -> list[int]:
        """Process ids of the supervisor's children whose command line has this word."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]

    def front_pids(self) -> list[int]:
        """Process ids of the front."""
        return self.pids(b"diagnosis_tool.front")

    def web_pids(self) -> list[int]:
        """gunicorn's processes: the one that watches, and the one that answers."""
        masters = self.pids(b"gunicorn")
        return masters + [
            int(pid) for own in masters for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()
        ]

    def web_socket(self) -> str:
        """Where gunicorn listens, behind the front."""
        (front,) = self.front_pids()
        words = Path(f"/proc/{front}/cmdline").read_bytes().split(b"\0")
        return words[words.index(b"diagnosis_tool.front") + 3].decode()


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Answers with the redirect itself."""

    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return fp


def wait_for(look: Callable[[], T | None], message: str, deadline_s: float = _DEADLINE_S, every_s: float = 0.05) -> T:
    """Asks again and again until the answer is not None."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        answer = look()
        if answer is not None:
            return answer
        time.sleep(every_s)
    raise AssertionError(message)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(
    data_dir: Path,
    bundle: Path | str,
    settings: Mapping[str, str] = MappingProxyType({"TORCH_THREADS": "1"}),
    *,
    ready_s: float = _DEADLINE_S,
) -> Iterator[Server]:
    """Starts the server and waits until it is ready; stops it by SIGTERM at the end. settings: environment keys.

    ready_s: how long it may take; converting a large network for OpenVINO takes a minute and more on a busy machine.
    """
    port = free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    context = open_store(data_dir)
    user = accounts.account(context, Role.ADMIN, name=accounts.LOCAL_READER)
    log = data_dir.parent / f"{data_dir.name}.log"
    # ENGINE: each server has a data folder of its own, and would convert the network anew
    own = {"PORT": str(port), "DATA_DIR": str(data_dir), "BUNDLE": str(bundle), "ENGINE": "torch"}
    env = {**os.environ, **own, **settings}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "diagnosis_tool.cli", "serve"], env=env, stdout=stream, stderr=stream
        )
    server = Server(
        url=f"http://127.0.0.1:{port}", process=process, data_dir=data_dir, log=log,
        context=context, user=user, token=accounts.token_of(context, user),
    )  # fmt: skip
    try:
        wait_for(lambda: _ok(server, "/readyz"), f"the server did not become ready; see {log}", ready_s)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _ok(server: Server, path: str) -> bool | None:
    try:
        server.get(path)
    except (HTTPError, URLError, ConnectionError):
        return None
    return True
