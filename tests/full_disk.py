"""A disk that can be full: a small file system in memory. Needs root; what cannot mount one is skipped with words."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, kilobytes: int = 4096) -> Iterator[Path]:
    """A file system of this size at the folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED, a full disk: no file system can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leaves no room."""
    descriptor = os.open(disk / _BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        pass
    finally:
        os.close(descriptor)


def free(disk: Path) -> None:
    """Room again."""
    (disk / _BALLAST).unlink()
