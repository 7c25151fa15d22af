"""The commands that README.md tells users to type are run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- test: .*?-->\n```sh\n(.*?)```", text, re.S)
    assert block is not None
    return block[1].splitlines()


def test_the_block_holds_what_users_need() -> None:
    assert any("predict" in command for command in commands())


@pytest.mark.parametrize("command", [c for c in commands() if not c.startswith("make ")])
def test_command_works(command: str, film_files: list[Path], tmp_path: Path) -> None:
    shutil.copy(film_files[0], tmp_path / "film.png")
    line = command.replace(".venv/bin/diagnosis-tool", f"{sys.executable} -m diagnosis_tool.cli").split()
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "target", ["run", "install", "check", "test", "test-long", "bench", "bench-long", "screenshots", "image"]
)
def test_make_knows_the_target(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
