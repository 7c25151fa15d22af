"""Web process, worker and SQLite together, as `make run` starts them."""

import os
import signal
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from testing.serving import Server, serve, wait_for
from testing.stores import DATABASE
from tests.conftest import phantom_png


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    with serve(tmp_path_factory.mktemp("serve") / "data", tiny_bundle) as running:
        yield running


def test_every_file_has_its_own_outcome(server: Server, film_files: list[Path]) -> None:
    good = [(file.name, file.read_bytes()) for file in film_files]
    study = server.finished(server.upload([good[0], ("empty.png", b""), good[1], ("../../a.png", b"text"), good[2]]))
    assert set(study) == {"uid", "created_at", "instances"}
    states = [instance["state"] for instance in study["instances"]]
    assert states == ["done", "refused", "done", "refused", "done"]
    for instance in study["instances"]:
        keys = {"file", "sha256", "state", "error", "findings", "top4", "heatmaps", "bundle"}
        assert set(instance) == keys
        if instance["state"] == "done":
            assert len(instance["findings"]) == 15
            assert set(instance["heatmaps"]) == set(instance["top4"])
            assert len(instance["top4"]) == 4
            for url in instance["heatmaps"].values():
                assert server.get(url).startswith(b"\x89PNG")
        else:
            assert instance["error"]
            assert instance["findings"] == []
    assert study["instances"][3]["file"] == "a.png"
    assert not list(server.data_dir.parent.glob("a.png"))


def test_a_study_outlives_a_restart(tiny_bundle: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", tiny_bundle) as server:
        *_, ready, who, link = wait_for(lambda: _told(server), "the address was not told")
        assert ready == f"Ready: {server.url}/"
        assert "signs in, once" in who
        assert link.strip().startswith(f"{server.url}/sign-in/once/")
        before = server.finished(server.upload([("a.png", phantom_png(7))]))
    _open_to_all(tmp_path / "data")
    with serve(tmp_path / "data", tiny_bundle) as server:
        assert server.get_json(f"/studies/{before['uid']}.json") == before
        server.finished(server.upload([("b.png", phantom_png(8))]))
        assert "was open to other accounts of this machine" in server.log.read_text()
        for path in (server.data_dir, *server.data_dir.rglob("*")):
            assert not path.stat().st_mode & 0o077, path


def _open_to_all(folder: Path) -> None:
    """As a release left it that knew no better."""
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(0o755)
    (folder / DATABASE).chmod(0o644)


def _told(server: Server) -> list[str] | None:
    """What the server printed and logged, once the last line is the link."""
    lines = server.log.read_text().splitlines()
    return lines if any(line.startswith("Ready:") for line in lines) and "/once/" in lines[-1] else None


def test_a_batch_is_finished_though_its_worker_is_killed(server: Server) -> None:
    uid = server.upload([(f"{k}.png", phantom_png(100 + k, 512)) for k in range(40)])
    killed = 0
    for _ in range(3):
        wait_for(lambda: _some_done(server, uid), "no image was read")
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.3)
    study = server.finished(uid)
    assert killed >= 2
    assert [instance["state"] for instance in study["instances"]] == ["done"] * 40


@pytest.mark.long
def test_what_was_answered_outlives_kills_of_web_and_worker(tiny_bundle: Path, tmp_path: Path) -> None:
    """Uploads go on while web and worker are killed in turns, then all processes at once; the figure is printed."""
    answered: list[str] = []
    with serve(tmp_path / "data", tiny_bundle) as server:
        over = threading.Event()
        sender = threading.Thread(target=_keep_sending, args=(server, answered, over))
        sender.start()
        killed = 0
        for round_ in range(10):
            before = len(answered)
            wait_for(lambda before=before: len(answered) > before or None, "nothing is answered any more")
            time.sleep(0.07 * round_)  # in the midst of what comes next
            for pid in server.worker_pids() if round_ % 2 else _web_pids(server):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        over.set()
        sender.join(60)
        everything = [server.process.pid, *server.worker_pids(), *_web_pids(server)]
        for pid in everything:  # in mid-batch
            os.kill(pid, signal.SIGKILL)
    with serve(tmp_path / "data", tiny_bundle) as server:
        for uid in answered:
            states = [instance["state"] for instance in server.finished(uid)["instances"]]
            assert states == ["done"] * 3
    print(f"{killed + len(everything)} processes killed, {len(answered)} uploads answered, none lost")
    assert len(answered) >= killed // 2


def _keep_sending(server: Server, answered: list[str], over: threading.Event) -> None:
    seed = 1000
    while not over.is_set():
        seed += 3
        files = [(f"{k}.png", phantom_png(seed + k, 128)) for k in range(3)]
        with suppress(OSError, HTTPException):  # cut off, or nobody listens: it was not answered
            answered.append(server.upload(files, show=False))
            time.sleep(0.05)


def _web_pids(server: Server) -> list[int]:
    """gunicorn and what it started."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    masters = [pid for pid in children if int(pid) not in server.worker_pids()]
    workers = [pid for own in masters for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    return [int(pid) for pid in (*masters, *workers)]


def _some_done(server: Server, uid: str) -> bool | None:
    states = [instance["state"] for instance in server.get_json(f"/studies/{uid}.json")["instances"]]
    return True if "done" in states and server.worker_pids() else None


def test_two_hundred_files_in_one_upload(server: Server) -> None:
    data = phantom_png(1, 128)
    study = server.finished(server.upload([(f"{k}.png", data) for k in range(200)]))
    assert {instance["state"] for instance in study["instances"]} == {"done"}
    assert [instance["file"] for instance in study["instances"]] == [f"{k}.png" for k in range(200)]
