"""deploy/venv.sh, as the Makefile runs it: which Python it takes and what it says; the interpreters are made up."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.files import ROOT

_TOOLS = ("bash", "sh", "env", "make", "mkdir", "cat", "chmod", "touch", "rm")
_INTERPRETER = """#!/bin/sh
# says its version; 'makes' an environment with itself in it; as pip, notes what it was asked for
case "$1 $2" in
  "-c "*) echo {version} ;;
  "-m venv") for folder; do :; done
    if [ "$3" = --clear ]; then rm -r "$folder"; fi
    mkdir -p "$folder/bin"
    touch "$folder/pyvenv.cfg"
    cat "$0" > "$folder/bin/python"
    chmod +x "$folder/bin/python" ;;
  "-m pip") echo "$*" >> "{log}"
    echo "Collecting torch==2.13.0"
    echo "  Downloading small-1.0-py3-none-any.whl (12 kB)"
    echo "  Downloading torch-2.13.0-cp311.whl (190.1 MB)"
    echo "Installing collected packages: small, torch"
    {after} ;;
esac
"""


class Machine:
    """A PATH with the tools that make needs and the interpreters that are put there."""

    def __init__(self, home: Path) -> None:
        self.path = home / "bin"
        self.path.mkdir()
        self.venv = home / "venv"
        self._log = home / "pip.log"
        for name in _TOOLS:
            tool = shutil.which(name)
            assert tool is not None
            (self.path / name).symlink_to(tool)

    def put(self, name: str, version: str, after: str = ":") -> None:
        file = self.path / name
        file.write_text(_INTERPRETER.format(version=version, log=self._log, after=after))
        file.chmod(0o755)

    def make(self, target: str = "install", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "--no-print-directory", target, f"VENV={self.venv}"],
            cwd=ROOT, env={"PATH": str(self.path), **env}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def asked_of_pip(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3.11": "3.11", "python3.12": "3.12", "python3": "3.12"}, "python3.11"),
        ({"python3.13": "3.13", "python3.12": "3.12"}, "python3.12"),
        ({"python3.13": "3.13", "python3.10": "3.10"}, "python3.13"),
        ({"python3.10": "3.10", "python3": "3.12"}, "python3"),
        ({"python3": "3.14", "python": "3.11"}, "python"),
    ],
)
def test_whichever_fits_is_taken(machine: Machine, there: dict[str, str], taken: str) -> None:
    for name, version in there.items():
        machine.put(name, version)
    done = machine.make()
    assert done.returncode == 0, done.stderr
    assert f"Python {there[taken]} ({machine.path / taken})" in done.stdout
    assert ("untried" in done.stdout) == (there[taken] != "3.11")
    assert (machine.venv / ".installed").exists()


def test_python_says_another(machine: Machine) -> None:
    machine.put("python3.11", "3.11")
    machine.put("mine", "3.13")
    assert f"({machine.path / 'mine'})" in machine.make(PYTHON=str(machine.path / "mine")).stdout


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("old", "3.10", "old is Python 3.10"),
        ("new", "3.14", "new is Python 3.14"),
        ("none", None, "none was not found"),
    ],
)
def test_what_cannot_be_taken_is_told(machine: Machine, name: str, version: str | None, said: str) -> None:
    machine.put("python3.11", "3.11")
    if version:
        machine.put(name, version)
    done = machine.make(PYTHON=name)
    assert done.returncode != 0
    assert said in done.stderr
    assert not machine.venv.exists()


def test_no_python_at_all(machine: Machine) -> None:
    machine.put("python3", "3.9")
    done = machine.make()
    assert done.returncode != 0
    assert "no Python 3.11, 3.12 or 3.13 was found" in done.stderr


def test_each_step_is_told_and_of_the_files_the_large_ones(machine: Machine) -> None:
    machine.put("python3.11", "3.11")
    lines = [line.strip() for line in machine.make().stdout.splitlines()]
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["1/3", "2/3", "3/3"]
    assert "torch-2.13.0-cp311.whl (190.1 MB)" in lines
    assert "unpacking 2 packages" in lines
    assert not any("small-1.0" in line or "Collecting" in line for line in lines)


def test_torch_comes_from_where_torch_index_says(machine: Machine) -> None:
    machine.put("python3.11", "3.11")
    machine.make("install-dev", TORCH_INDEX="https://torch.example/cpu")
    torch, product, again, extras = machine.asked_of_pip()
    assert "--index-url https://torch.example/cpu --no-deps torch torchvision" in torch
    assert torch == again
    assert product.endswith(" -e .")
    assert extras.endswith(" -e .[training,dev]")
    assert not any("torch.example" in line for line in (product, extras))
    assert all("-c constraints.txt" in line for line in (torch, product))


def test_an_environment_that_is_there_is_kept_and_pips_failure_is_ours(machine: Machine) -> None:
    machine.put("python3.11", "3.11")
    machine.make()
    (machine.venv / ".installed").unlink()
    (machine.venv / "kept").touch()
    machine.put("python3.11", "3.11", after="exit 1")
    shutil.copy(machine.path / "python3.11", machine.venv / "bin" / "python")
    done = machine.make()
    assert done.returncode != 0
    assert "installed\n" not in done.stdout
    assert not (machine.venv / ".installed").exists()
    assert (machine.venv / "kept").exists()


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_an_environment_that_was_left_unfinished_is_made_anew(machine: Machine, version: str) -> None:
    """As Debian leaves it where python3-venv is missing: with a Python, without pip."""
    machine.put("python3", version)
    assert machine.make().returncode == 0
    (machine.venv / ".installed").unlink()
    (machine.venv / "bin" / "python").write_text(f'#!/bin/sh\ncase "$2" in *pip*) exit 1 ;; esac\necho {version}\n')
    (machine.venv / "left").touch()
    done = machine.make()
    assert done.returncode == 0, done.stderr
    assert f"Python {version} ({machine.path / 'python3'})" in done.stdout
    assert not (machine.venv / "left").exists()


def test_a_folder_that_is_no_environment_loses_nothing(machine: Machine) -> None:
    machine.put("python3.11", "3.11")
    machine.venv.mkdir()
    (machine.venv / "thesis").touch()
    assert machine.make().returncode == 0
    assert (machine.venv / "thesis").exists()


def test_the_versions_are_those_of_pyproject() -> None:
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()
    assert 'others="3.12 3.13"' in (ROOT / "deploy" / "venv.sh").read_text()
