"""Whatever stores something is killed at its steps, and nothing that was answered with success is lost.

In a process of its own, since it forks; the whole of it: python -m tests.reliability (docs/results/reliability.md).
"""

import json
import subprocess
import sys

import pytest

ALL = {"submit", "predict", "delete", "review", "backup", "restore"}


def killed(*options: str) -> dict[str, int]:
    """How often each trial was killed; fails when anything was lost."""
    command = [sys.executable, "-m", "tests.reliability", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(count["lost"] == [] for count in found)
    return {count["trial"]: count["killed"] for count in found}


def test_killed_at_one_of_seven_steps() -> None:
    counts = killed("--stride", "7")
    assert set(counts) == ALL
    assert min(counts.values()) >= 4


@pytest.mark.long
def test_killed_at_every_step_and_at_any_moment() -> None:
    counts = killed("--every-statement", "--at-moments", "50")
    assert set(counts) == ALL
    assert counts["submit"] > 60
