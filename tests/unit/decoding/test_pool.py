"""What a file does to its decoder, it does to nothing else. All processes are real; none of a decoder is mocked."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding import wire
from diagnosis_tool.decoding.limits import Limits
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import BrokenOff, DecodersBusy, DecodersMissing, UnreadableInput, UnsupportedImage
from tests.conftest import phantom_png
from tests.dicom_files import FILM, dicom

FILM_FILE = phantom_png(1, 96)
LIMITS = Limits(memory_bytes=600_000_000, cpu_s=1, wall_s=2.5, patience_s=0.3, long_cpu_s=900, long_wall_s=900)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(limits=LIMITS, module="tests.hostile_decoder") as pool:
        yield pool


def same(first: Radiograph, second: Radiograph) -> bool:
    others = [f.name for f in fields(Radiograph) if f.name != "pixels"]
    assert first.pixels.dtype == second.pixels.dtype
    np.testing.assert_array_equal(first.pixels, second.pixels)
    return all(getattr(first, name) == getattr(second, name) for name in others)


def runs(pid: int) -> bool:
    """Whether there is such a process, be it only its exit code that nobody fetched."""
    return Path(f"/proc/{pid}").exists()


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_film_is_what_it_would_be_here() -> None:
    deep = FILM.astype(np.uint16) * 16
    elements = {
        "PatientName": "Yamada^Tarou", "PatientID": "7", "PatientAge": "057Y", "PatientSex": "F",
        "AcquisitionDateTime": "20240229101112.5+0900", "PixelSpacing": [0.2, 0.3], "BitsStored": 12, "HighBit": 11,
    }  # fmt: skip
    with Pool(warm=1) as pool:
        for data in (FILM_FILE, dicom(deep, **elements), dicom()):
            assert same(pool.decode(data), decode_radiograph(data))
        for data in (b"", b"text", dicom(Modality="CT")):
            with pytest.raises((UnreadableInput, UnsupportedImage)) as here:
                decode_radiograph(data)
            with pytest.raises(type(here.value)) as there:
                pool.decode(data)
            assert (there.value.message, there.value.values) == (here.value.message, here.value.values)
        pids = pool.pids()
    assert pids
    assert not any(map(runs, pids))


@pytest.mark.parametrize(
    ("does", "kind", "words"),
    [
        ("sleep", UnsupportedImage, "takes longer"),
        ("hold", UnsupportedImage, "takes longer"),
        ("spin", UnsupportedImage, "takes longer"),
        ("eat", UnsupportedImage, "more memory"),
        ("crash", UnreadableInput, "broke down"),
        ("abort", UnreadableInput, "broke down"),
        ("leave", UnreadableInput, "broke down"),
        ("babble", UnreadableInput, "broke down"),
    ],
)
def test_a_decoder_that_is_ended_is_a_refusal_of_its_file(
    pool: Pool, does: str, kind: type[Exception], words: str
) -> None:
    until(lambda: len(pool.pids()) >= 2)
    before = pool.pids()
    with pytest.raises(kind, match=words):
        pool.decode(f"{does}:".encode() + FILM_FILE)
    assert same(pool.decode(FILM_FILE), decode_radiograph(FILM_FILE))
    until(lambda: len(pool.pids()) >= 2)
    assert not any(runs(pid) for pid in set(before) - set(pool.pids()))


def test_a_fault_of_ours_is_told_by_its_place_and_not_its_words(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match=r"KeyError.*hostile_decoder\.py:\d") as broken:
        pool.decode(b"bug:")
    assert "DOE" not in str(broken.value)
    with pytest.raises(UnreadableInput, match="broke down"):  # it may write nothing
        pool.decode(b"write:" + FILM_FILE)
    assert not Path("/tmp/what-a-decoder-writes").exists() or not Path("/tmp/what-a-decoder-writes").stat().st_size


def test_a_decoder_holds_no_model_no_server_no_database_and_no_key(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "k" * 32)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with Pool(warm=1, limits=LIMITS, module="tests.hostile_decoder") as own, pytest.raises(UnreadableInput) as told:
        own.decode(b"tell:")
    modules, environment, core, files = str(told.value).split("|")
    assert {"torch", "flask", "sqlalchemy", "dash", "openvino"}.isdisjoint(modules.split(","))
    assert "SECRET_KEY" not in environment
    assert "TZ" in environment.split(",")  # times without a zone are this machine's
    assert core == "(0, 0)"
    assert len(files.split(",")) <= 7  # three streams, the two files and one mapped, the folder


def later(pool: Pool, threads: ThreadPoolExecutor, *files: bytes) -> "list[Future[Radiograph]]":
    """Each is slow by now."""
    slow = [threading.Event() for _ in files]
    waiting = [threads.submit(pool.decode, data, event.set) for data, event in zip(files, slow, strict=True)]
    assert all(event.wait(20) for event in slow)
    return waiting


SLOW_FILE = b"sleep 300:" + FILM_FILE


def test_nobody_waits_for_slow_ones_and_one_too_many_gives_way() -> None:
    limits = replace(LIMITS, wall_s=300)
    with ThreadPoolExecutor(4) as threads, Pool(limits=limits, module="tests.hostile_decoder") as pool:
        slow = later(pool, threads, *[SLOW_FILE] * 3)
        for _ in range(5):
            pool.decode(FILM_FILE)
        with pytest.raises(DecodersBusy, match="Try again"):
            pool.decode(SLOW_FILE)
        assert not any(waiting.done() for waiting in slow)
        pool.decode(FILM_FILE)
        pool.break_off()


def test_nobody_waits_for_those_that_wait_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind ten files that never end a film waited for 11 s, for five of which none of them was being decoded."""
    monkeypatch.setattr("diagnosis_tool.decoding.pool._FOR_A_PLACE_S", 300)
    limits = replace(LIMITS, wall_s=300)
    with ThreadPoolExecutor(5) as threads, Pool(limits=limits, module="tests.hostile_decoder") as pool:
        waiting = later(pool, threads, *[SLOW_FILE] * 3)
        waiting += later(pool, threads, *[SLOW_FILE] * 2)
        pool.decode(FILM_FILE)
        assert not any(each.done() for each in waiting)
        pool.break_off()
        for each in waiting:
            with pytest.raises(BrokenOff):
                each.result(20)


def test_the_one_that_takes_longest_gives_way_to_the_next() -> None:
    limits = replace(LIMITS, wall_s=300, long_wall_s=0.1)
    with ThreadPoolExecutor(4) as threads, Pool(limits=limits, module="tests.hostile_decoder") as pool:
        first, second, third = (later(pool, threads, SLOW_FILE)[0] for _ in range(3))
        last = threads.submit(pool.decode, b"sleep 1:" + FILM_FILE)
        with pytest.raises(DecodersBusy):
            first.result(30)
        assert same(last.result(30), decode_radiograph(FILM_FILE))
        assert not any(waiting.done() for waiting in (second, third))
        pool.break_off()


def test_what_is_broken_off_says_so_and_what_comes_later_is_decoded(pool: Pool) -> None:
    with ThreadPoolExecutor(2) as threads:
        slow = later(pool, threads, b"sleep:" + FILM_FILE, b"hold:" + FILM_FILE)
        pool.break_off()
        for waiting in slow:
            with pytest.raises(BrokenOff):
                waiting.result(20)
    assert same(pool.decode(FILM_FILE), decode_radiograph(FILM_FILE))


def test_a_process_that_somebody_kills_costs_no_film(tmp_path: Path) -> None:
    with Pool(limits=replace(LIMITS, wall_s=300), module="tests.hostile_decoder") as pool:
        _kill_them(pool, tmp_path / "go")


def _kill_them(pool: Pool, release: Path) -> None:
    until(lambda: len(pool.pids()) >= 2)
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
    assert same(pool.decode(FILM_FILE), decode_radiograph(FILM_FILE))
    with ThreadPoolExecutor(1) as threads:
        (waiting,) = later(pool, threads, f"await {release}:".encode() + FILM_FILE)
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)
        release.touch()
        assert same(waiting.result(20), decode_radiograph(FILM_FILE))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_parent_leaves_nothing_behind() -> None:
    shared = sorted(os.listdir("/dev/shm"))
    code = """
import threading, time
from diagnosis_tool.decoding.pool import Pool
pool = Pool(module="tests.hostile_decoder")
slow = threading.Event()
threading.Thread(target=pool.decode, args=(b"hold:", slow.set), daemon=True).start()
slow.wait(30)
while len(pool.pids()) < 3: time.sleep(0.02)
print(*pool.pids(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(_lives, pids))
        parent.kill()
    until(lambda: not any(map(_lives, pids)))
    assert sorted(os.listdir("/dev/shm")) == shared


def _lives(pid: int) -> bool:
    """As runs, but not as an exit code that this machine's first process may be slow to fetch."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_what_cannot_be_started_is_an_error_and_no_wait() -> None:
    with Pool(warm=1, module="tests.no_such_module") as pool, pytest.raises(DecodersMissing):
        pool.decode(FILM_FILE)


def test_what_runs_out_here_is_no_fault_of_the_file(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for the file, or for its film: neither makes a refusal, which would be for good."""

    def fails(kind: Exception) -> Callable[..., int]:
        def fail(*_: object) -> int:
            raise kind

        return fail

    for name, kind, expected in (
        ("pwrite", OSError(errno.ENOMEM, "no memory"), DecodersMissing),
        ("preadv", MemoryError(), MemoryError),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"diagnosis_tool.decoding.wire.os.{name}", fails(kind))
            with pytest.raises(expected):
                pool.decode(FILM_FILE)
        assert same(pool.decode(FILM_FILE), decode_radiograph(FILM_FILE))


def test_a_process_that_cannot_be_started_keeps_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    connection, other = socket.socketpair()
    with other:
        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr("diagnosis_tool.decoding.wire.os.ftruncate", fail)
        with pytest.raises(OSError, match="too many"):
            wire.Asking(connection)
        assert len(os.listdir("/proc/self/fd")) == len(before) - 1  # the connection is closed as well
