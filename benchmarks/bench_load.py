"""Claim: 50 users upload 40 films each at one moment while 10 others open worklist and viewer: all are answered, none
is lost, memory stays flat, and the worklist's 95th percentile is under 300 ms.

A smaller form: BENCH_LOAD_UPLOADS, BENCH_LOAD_FILMS, BENCH_LOAD_READERS; BENCH_LOAD_BUNDLE=test for a small network.
"""

import hashlib
import http.client
import multiprocessing
import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from benchmarks.record import not_measured, record
from benchmarks.served import READY_S, chosen_engine, distinct_films, machine
from diagnosis_tool.domain.access import Role
from testing import accounts
from testing.bundles import write_bundle
from testing.serving import Server, serve, wait_for

LONG = True
_PAUSE_S: Final = 1.0
"""A reader looks at what a page shows before the next."""
_LOOK_S: Final = 0.5
_READ_S: Final = 3600.0
_SPARE: Final = 3
"""The disk has to have room for the films so many times: on their way, stored, and database and heatmaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many users upload, how many films each, and how many others read meanwhile. bundle: of the worker."""

    uploads: int = 50
    films: int = 40
    readers: int = 10
    bundle: str = "default"

    @classmethod
    def from_env(cls) -> "Size":
        """As the environment says it."""
        told = {name: os.environ.get(f"BENCH_LOAD_{name.upper()}") for name in ("uploads", "films", "readers")}
        return cls(
            **{name: int(value) for name, value in told.items() if value},
            bundle=os.environ.get("BENCH_LOAD_BUNDLE", "default"),
        )


Pages = list[tuple[float, float]]
"""When each was asked for, in seconds from the uploads' start, and how many ms it took."""


@dataclass(slots=True)
class Outcome:
    """What came of it. answered: uploads; lost: films that were answered for and are not there.

    worklist, viewer: of each page, when it was asked for, in seconds from the uploads' start, and how many ms it took.
    """

    answered: int = 0
    lost: int = 0
    worklist: Pages = field(default_factory=list)
    viewer: Pages = field(default_factory=list)
    upload_s: list[float] = field(default_factory=list)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    all_answered_s: float = 0.0
    all_read_s: float = 0.0


class Browser:
    """Somebody who is signed in by cookie, on one kept connection."""

    def __init__(self, server: Server, name: str, role: Role) -> None:
        user = accounts.account(server.context, role, name=name)
        self._cookie = f"diagnosis_tool={accounts.cookie_of(server.context, user, server.data_dir)['value']}"
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=600)

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[str, bytes]:
        """Where the answer leads, and what it says. Raises RuntimeError for a refusal."""
        own = {"Cookie": self._cookie, "Accept": "text/html", **(headers or {})}
        self._connection.request("GET" if body is None else "POST", path, body, own)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{path.partition('?')[0]}: {answer.status}")
        if renewed := re.match(r"diagnosis_tool=[^;]+", answer.headers.get("Set-Cookie", "")):
            self._cookie = renewed[0]
        return answer.headers.get("Location", ""), content

    def upload(self, films: Sequence[tuple[str, bytes]], token: str) -> str:
        """Sends them as the page does, with its token; the study's uid."""
        part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        body = b"".join(part % (name.encode(), data) for name, data in films) + b"--x--\r\n"
        form = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRFToken": token}
        return self.ask("/studies", body, form)[0].rsplit("/", 1)[-1]

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


def run() -> None:
    """As the environment's size says; the released default bundle unless it names another."""
    size = Size.from_env()
    films, what = distinct_films(size.films)
    needed = _SPARE * size.uploads * sum(len(data) for _, data in films)
    with tempfile.TemporaryDirectory() as scratch:
        room = os.statvfs(scratch)
        if room.f_bavail * room.f_frsize < needed:
            not_measured("load", f"{needed / 1e9:.0f} GB of disk are needed in {tempfile.gettempdir()}")
            return
        outcome = measured(Path(scratch), size, films)
    sent = size.uploads * size.films
    how = (
        f"{size.uploads} users upload {size.films} films each at one moment, {size.readers} others read, bundle "
        f"{size.bundle}; {what}, each upload's its own files; {machine()}"
    )
    record("load_answered", outcome.answered, f"of {size.uploads}", f"in {outcome.all_answered_s:.0f} s; {how}")
    record("load_lost", outcome.lost, f"of {sent} films", f"by the database's rows and each file's sha256; {how}")
    slowest = f"slowest {max(outcome.upload_s):.1f} s, {sent / outcome.all_read_s:.1f} films/s until all were read"
    record("load_upload_median_s", float(np.median(outcome.upload_s)), "s", f"{slowest}; {how}")
    for name, pages in (("worklist", outcome.worklist), ("viewer", outcome.viewer)):
        for until, end_s in (("uploads", outcome.all_answered_s), ("all_read", outcome.all_read_s)):
            taken = [ms for at_s, ms in pages if at_s <= end_s] or [0.0]
            asked = f"of {len(taken)}, a reader asks every {_PAUSE_S:.0f} s; median {np.median(taken):.0f} ms"
            record(f"load_{name}_p95_{until}_ms", float(np.percentile(taken, 95)), "ms", f"{asked}; {how}")
    for process, resident in outcome.memory_mb.items():
        steps = " ".join(f"{value:.0f}" for value in resident[:: max(1, len(resident) // 12)])
        grown = f"highest less first; on the way: {steps}"
        record(f"load_{process}_rss_growth_mb", max(resident) - resident[0], "MB", f"{grown}; {how}")


def measured(folder: Path, size: Size, films: Sequence[tuple[str, bytes]]) -> Outcome:
    """Starts a server there, and does it all."""
    bundle = write_bundle(folder / "bundle") if size.bundle == "test" else size.bundle
    settings = {"QUOTA_GB": "0", **({"TORCH_THREADS": "1"} if size.bundle == "test" else chosen_engine())}
    outcome = Outcome()
    with serve(folder / "data", bundle, settings, ready_s=READY_S) as server:
        first = server.upload(films[:2], show=False)  # something to look at; and everything is warm
        server.finished(first)
        image = server.image_uids(first)[0]
        uploaders = [Browser(server, f"uploader {k}", Role.TECHNICIAN) for k in range(size.uploads)]
        readers = [Browser(server, f"reader {k}", Role.RADIOLOGIST) for k in range(size.readers)]
        with _beside(lambda over: _watch(server, outcome, over)), _reading(readers, image, outcome) as began:
            sent = _upload_all(uploaders, films, outcome)
            outcome.all_answered_s = time.monotonic() - began
            _wait_until_read(server, len(sent))
            outcome.all_read_s = time.monotonic() - began
        outcome.lost = _lost(server, sent)
        for browser in uploaders:
            browser.close()
    return outcome


def _upload_all(uploaders: Sequence[Browser], films: Sequence[tuple[str, bytes]], outcome: Outcome) -> list[str]:
    """The sha256 of every film that was answered for."""
    start = threading.Barrier(len(uploaders))

    def upload(k: int) -> list[str]:
        # what follows a PNG's end is no part of its picture, but of the file's sha256
        own = [(name, data + f"{k}".encode()) for name, data in films]
        token = accounts.csrf_token(uploaders[k].ask("/")[1].decode())
        start.wait(60)
        begin = time.monotonic()
        uploaders[k].upload(own, token)
        outcome.upload_s.append(time.monotonic() - begin)
        outcome.answered += 1
        return [hashlib.sha256(data).hexdigest() for _, data in own]

    with ThreadPoolExecutor(len(uploaders)) as pool:
        return [digest for digests in pool.map(upload, range(len(uploaders))) for digest in digests]


@contextmanager
def _reading(readers: Sequence[Browser], image: str, outcome: Outcome) -> Iterator[float]:
    """Readers at work, in a process of their own: in this one they would wait for those who upload. Since when."""
    spawned = multiprocessing.get_context("spawn")
    over, (told, tells) = spawned.Event(), spawned.Pipe(duplex=False)
    process = spawned.Process(target=_read_all, args=(readers, image, over, tells))
    process.start()
    tells.close()
    with suppress(EOFError):
        told.recv()  # it is there
    began = time.monotonic()  # one clock for all processes
    try:
        yield began
    finally:
        over.set()
        with suppress(EOFError):  # it failed, and said why
            pages: tuple[Pages, Pages] = told.recv()
            outcome.worklist, outcome.viewer = ([(at_s - began, ms) for at_s, ms in taken] for taken in pages)
        process.join()
    if process.exitcode:
        raise RuntimeError("a reader was refused")


def _read_all(readers: Sequence[Browser], image: str, over: Event, tells: Connection) -> None:
    tells.send(())
    worklist: Pages = []
    viewer: Pages = []
    with ThreadPoolExecutor(len(readers)) as pool:
        reading = [pool.submit(_read, reader, image, over, worklist, viewer) for reader in readers]
    for done in reading:
        done.result()
    tells.send((worklist, viewer))


def _read(reader: Browser, image: str, over: Event, worklist: Pages, viewer: Pages) -> None:
    """Opens worklist and viewer in turns, as the pages' own scripts ask for them, until it is over."""
    over.wait(random.uniform(0, _PAUSE_S))  # noqa: S311  people do not come in step
    address = f"/viewer/?instance={image}"
    while not over.is_set():
        begin = time.monotonic()
        reader.ask("/")
        worklist.append((begin, 1e3 * (time.monotonic() - begin)))
        over.wait(_PAUSE_S)
        begin = time.monotonic()
        reader.ask(address)
        reader.ask("/viewer/_dash-layout", headers={"Referer": f"http://localhost{address}"})
        reader.ask(f"/instances/{image}/pixels")
        viewer.append((begin, 1e3 * (time.monotonic() - begin)))
        over.wait(_PAUSE_S)
    reader.close()


@contextmanager
def _beside(body: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=body, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(server: Server, outcome: Outcome, over: threading.Event) -> None:
    """Resident memory of each process, again and again."""
    processes = {"front": server.front_pids(), "web": server.web_pids(), "worker": server.worker_pids()}
    while not over.wait(_LOOK_S):
        for name, pids in processes.items():
            outcome.memory_mb.setdefault(name, []).append(sum(map(_resident_mb, pids)))


def _resident_mb(pid: int) -> float:
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024 / 1e6


def _wait_until_read(server: Server, count: int) -> None:
    def look() -> bool | None:
        queue = server.context.metrics.queue()
        return True if queue.waiting + queue.leased == 0 else None

    wait_for(look, f"{count} films were not read; see {server.log}", deadline_s=_READ_S, every_s=1.0)


def _lost(server: Server, sent: Sequence[str]) -> int:
    """How many films have no row, or no file of their own content."""
    named = {content.sha256 for content in server.context.inventory.named() if content.images}
    lost = 0
    for digest in sent:
        try:
            with server.context.blobs.open(digest) as file:
                is_there = hashlib.sha256(file.read()).hexdigest() == digest
        except Exception:  # noqa: BLE001  whatever it is: the film cannot be had
            is_there = False
        lost += not (is_there and digest in named)
    return lost
