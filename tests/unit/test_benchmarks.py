"""`make bench` measures what can be measured here, and says why of the rest."""

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["benchmarks", "testing"])
def test_what_benchmarks_use_lives_apart_from_tests(folder: str) -> None:
    for file in (ROOT / folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"tests", "pytest"}, file


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the made-up benchmarks that ran: `loader` does, `train` goes wrong, `worker` lacks a library."""
    ran: list[str] = []

    def fake(name: str, error: Exception | None = None) -> None:
        def run() -> None:
            ran.append(name)
            if error:
                raise error

        module = ModuleType(name)
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"benchmarks.bench_{name}", module)

    fake("loader")
    fake("train", RuntimeError("no memory"))
    fake("worker", ImportError("No module named 'openvino'"))
    return ran


def test_without_a_browser_the_others_are_measured(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["viewer", "worker", "loader"]) == 0
    assert measured == ["worker", "loader"]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("viewer: not measured: no Chromium on this system: testing/system-packages.sh")
    assert said[1:] == ["worker: not measured: No module named 'openvino'"]


def test_a_name_of_ours_that_is_gone_is_no_missing_tool(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        from diagnosis_tool.errors import NoSuchName  # type: ignore[attr-defined]  # noqa: F401

    monkeypatch.setattr(sys.modules["benchmarks.bench_train"], "run", run)
    assert main(["train", "loader"]) == 1
    assert measured == ["loader"]
    assert "train: not measured: it went wrong (ImportError" in capsys.readouterr().out


def test_one_that_goes_wrong_is_told_at_the_end(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "loader"]) == 1
    assert measured == ["train", "loader"]
    said = capsys.readouterr()
    assert "train: not measured: it went wrong (RuntimeError" in said.out
    assert "no memory" in said.err
