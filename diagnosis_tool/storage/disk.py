"""What the stores ask of the disk."""

import errno
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Makes a file's bytes, or the names in a folder, survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether it failed for want of room, the disk's or the user's share of it."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
