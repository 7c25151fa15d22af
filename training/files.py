"""Files that are either whole or not there: written to a temporary name beside the target, then renamed."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from training.errors import TrainingFailed


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A fresh folder beside `target` that takes its name when the block ends well and is removed when it does not.

    An existing target is replaced. Raises TrainingFailed when the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    scratch.chmod(0o755)  # mkdtemp's own 0700 would travel with the rename
    try:
        with disk_full_named(target):
            yield scratch
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(target: Path, data: bytes | memoryview) -> None:
    """Writes `data` under `target`'s name, all of it or nothing. Raises TrainingFailed when the disk is full."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with disk_full_named(target), scratch.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_full_named(target: Path) -> Iterator[None]:
    """Turns 'no space left' into a TrainingFailed that names where it happened; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise TrainingFailed(
            f"The disk is full: {target} could not be written, nothing half-written was left. Free some space."
        ) from error
