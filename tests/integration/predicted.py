"""`diagnosis-tool predict` on made files."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def predicted(files: Sequence[tuple[Any, ...]], bundle: Path, folder: Path) -> list[dict[str, Any]]:
    """What it prints of each; some are refused, so it exits with 2. files: name, bytes, and whatever else."""
    for name, data, *_ in files:
        (folder / name).write_bytes(data)
    command = [sys.executable, "-m", "diagnosis_tool.cli", "predict", "--json", "--bundle", str(bundle)]
    done = subprocess.run(
        [*command, *(str(folder / name) for name, *_ in files)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "ENGINE": "torch"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows
