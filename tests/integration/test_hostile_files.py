"""Files made to do harm, sent to the running server and given to predict: each a refusal in words, and nothing ends."""

import os
import signal
from pathlib import Path

import pytest

from testing.serving import Server, serve, wait_for
from tests.conftest import phantom_png
from tests.hostile_files import FILES
from tests.hostile_large import runs_of_one
from tests.integration.predicted import predicted

READY = {"TORCH_THREADS": "1"}


def decoders(above: int) -> set[int]:
    """The processes that decode among the descendants of this one."""
    parents, own = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"diagnosis_tool.decoding.child" in (folder / "cmdline").read_bytes().split(b"\0"):
                own.add(int(folder.name))
        except OSError:  # it has just ended
            continue
    return {pid for pid in own if above in _line(pid, parents)}


def _line(pid: int, parents: dict[int, int]) -> list[int]:
    line = [pid]
    while line[-1] in parents:
        line.append(parents[line[-1]])
    return line


def gone(pids: set[int]) -> bool | None:
    """Whether none of them lives, be it as an exit code that the machine's first process is slow to fetch."""
    files = [file for pid in pids if (file := Path(f"/proc/{pid}/cmdline")).exists()]
    return not any(b"diagnosis_tool.decoding" in file.read_bytes() for file in files) or None


def test_each_is_a_refusal_and_everything_goes_on(tiny_bundle: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", tiny_bundle, READY) as server:
        workers = server.worker_pids()
        hostile = server.upload([(name, data) for name, data, _ in FILES], show=False)
        good = server.finished(server.upload([("good.png", phantom_png(9, 200))]))
        study = server.finished(hostile)
        page = server.get(f"/studies/{hostile}").decode()
        assert server.worker_pids() == workers
        for uid, instance in zip(server.image_uids(hostile), study["instances"], strict=True):
            if instance["state"] == "done":
                assert server.get(f"/instances/{uid}/radiograph.png").startswith(b"\x89PNG")
                assert server.get(f"/viewer/?instance={uid}")
        _kill_worker_and_decoders(server)
        again = server.finished(server.upload([("again.png", phantom_png(10, 200))]))
        running = decoders(server.process.pid)
        assert running
    wait_for(lambda: gone(running), "processes that decode outlived the server")
    assert [instance["state"] for study in (good, again) for instance in study["instances"]] == ["done"] * 2
    for (name, _, words), instance in zip(FILES, study["instances"], strict=True):
        assert (instance["file"], instance["state"]) == (name, "refused" if words else "done")
        assert words is None or words in instance["error"]
        assert len(instance["error"] or "") < 400
    assert "passes" in page
    assert len(page) < 300_000


def _kill_worker_and_decoders(server: Server) -> None:
    (worker,) = server.worker_pids()
    own = decoders(worker)
    assert own
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: gone(own), "processes that decode outlived their worker")


def test_predict_says_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    for (name, _, words), row in zip(FILES, predicted(FILES, tiny_bundle, tmp_path), strict=True):
        assert words is None or words in row["refused"], name
        assert (row["refused"] is None) == (words is None), name


@pytest.mark.long
def test_no_other_waits_for_a_film_that_is_unpacked_for_half_a_minute(tiny_bundle: Path, tmp_path: Path) -> None:
    """Lawful by all that can be told of it, and as long as a film may be: read, or ended by the limit of CPU time."""
    with serve(tmp_path / "data", tiny_bundle, READY) as server:
        endless = server.upload([("endless.dcm", runs_of_one(100_000_000))], show=False)
        for seed in range(3):
            study = server.finished(server.upload([("good.png", phantom_png(seed, 200))]))
            assert [instance["state"] for instance in study["instances"]] == ["done"]
        (instance,) = server.get_json(f"/studies/{endless}.json")["instances"]
        assert instance["state"] in {"queued", "reading"}
        (instance,) = server.finished(endless)["instances"]
        assert instance["state"] == "done" or "takes longer than any radiograph does" in instance["error"]
