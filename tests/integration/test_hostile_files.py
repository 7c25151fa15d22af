"""Files made to do harm, sent to the running server and given to predict: each a refusal in words, and nothing ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

from testing.serving import serve
from tests.conftest import phantom_png
from tests.hostile_files import FILES


def test_each_is_a_refusal_and_everything_goes_on(tiny_bundle: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", tiny_bundle, {"TORCH_THREADS": "1"}) as server:
        workers = server.worker_pids()
        hostile = server.upload([(name, data) for name, data, _ in FILES], show=False)
        good = server.finished(server.upload([("good.png", phantom_png(9, 200))]))
        study = server.finished(hostile)
        page = server.get(f"/studies/{hostile}").decode()
        assert server.worker_pids() == workers
        for instance in study["instances"]:
            if instance["state"] == "done":
                uid = server.image_uids(hostile)[[i["file"] for i in study["instances"]].index(instance["file"])]
                assert server.get(f"/instances/{uid}/radiograph.png").startswith(b"\x89PNG")
                assert b"viewer" in server.get(f"/viewer/?instance={uid}")
    assert [instance["state"] for instance in good["instances"]] == ["done"]
    for (name, _, words), instance in zip(FILES, study["instances"], strict=True):
        assert (instance["file"], instance["state"]) == (name, "refused" if words else "done")
        assert words is None or words in instance["error"]
        assert len(instance["error"] or "") < 400
    assert "passes" in page
    assert len(page) < 300_000


def test_predict_says_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    for name, data, _ in FILES:
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-m", "diagnosis_tool.cli", "predict", "--json", "--bundle", str(tiny_bundle)]
    done = subprocess.run(
        [*command, *(str(tmp_path / name) for name, *_ in FILES)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "ENGINE": "torch"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    for (name, _, words), row in zip(FILES, json.loads(done.stdout), strict=True):
        assert words is None or words in row["refused"], name
        assert (row["refused"] is None) == (words is None), name
