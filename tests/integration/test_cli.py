"""The command line, as scripts call it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from diagnosis_tool.cli import main
from diagnosis_tool.cxr.findings import NIH_OUTPUTS


def run(*arguments: str, code: int = 0) -> str:
    env = {**os.environ, "ENGINE": "auto"}  # tests/conftest.py says torch
    command = [sys.executable, "-m", "diagnosis_tool.cli", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code != 1 else done.stderr


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """As run, in this process: it has loaded torch already."""
    monkeypatch.setenv("ENGINE", "auto")

    def run_here(*arguments: str, code: int = 0) -> str:
        assert main(arguments) == code
        said = capsys.readouterr()
        return said.out if code != 1 else said.err

    return run_here


def without_seconds(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in answer.items() if k != "seconds"} for answer in answers]


def test_predict_answers_for_every_file_in_order(
    here: Callable[..., str], tiny_bundle: Path, film_files: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no image")
    files = [str(film_files[0]), str(text), str(tmp_path / "missing.png"), str(film_files[1])]
    answers = json.loads(here("predict", *files, "--json", "--bundle", str(tiny_bundle), code=2))
    assert [answer["file"] for answer in answers] == files
    keys = {"file", "sha256", "findings", "top4", "refused", "bundle", "engine", "precision", "seconds"}
    assert all(set(answer) == keys for answer in answers)
    assert [answer["refused"] is None for answer in answers] == [True, False, False, True]
    assert [f["finding"] for f in answers[0]["findings"]] == list(NIH_OUTPUTS)
    assert answers[1]["findings"] == []
    assert answers[2]["sha256"] is None
    assert len(answers[0]["top4"]) == 4


def test_predict_says_the_same_twice(tiny_bundle: Path, film_files: list[Path]) -> None:
    command = ("predict", *map(str, film_files), "--json", "--bundle", str(tiny_bundle))
    first, second = (without_seconds(json.loads(run(*command))) for _ in range(2))
    assert first == second
    assert {(answer["engine"], answer["precision"]) for answer in first} == {("openvino", "f32")}


def test_verify_bundle(here: Callable[..., str], tiny_bundle: Path, tmp_path: Path) -> None:
    said = here("verify-bundle", str(tiny_bundle))
    assert "is valid" in said
    assert "reproduced by openvino f32" in said
    assert "No bundle" in here("verify-bundle", str(tmp_path), code=1)


def test_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage" in run("--help")  # as a program
    for command in ("serve", "users", "tokens", "worker", "migrate", "predict", "verify-bundle"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["predict", "frobnicate"])
def test_wrong_usage_exits_2(command: str) -> None:
    run(command, code=2)


def test_serve_does_not_start_where_another_server_listens(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        env = {**os.environ, "PORT": str(other.getsockname()[1]), "DATA_DIR": str(tmp_path / "data")}
        command = [sys.executable, "-m", "diagnosis_tool.cli", "serve"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another port" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_predict_prints_any_name_on_any_terminal(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "胸部.png"
    file.write_text("no image")
    command = ["predict", str(file), "--bundle", str(tiny_bundle)]
    for encoding, more in (("latin-1", ["--json"]), ("latin-1", []), ("utf-8", ["--json"])):
        with TextIOWrapper(BytesIO(), encoding=encoding) as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            assert main([*command, *more]) == 2
            terminal.seek(0)
            if more:
                assert json.load(terminal)[0]["file"] == str(file)
    as_program = [sys.executable, "-m", "diagnosis_tool.cli", *command, "--json"]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(as_program, env=env, capture_output=True, check=False)
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)[0]["file"] == str(file)
