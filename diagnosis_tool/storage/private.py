"""The data folder is closed to the machine's other accounts: films, database and keys lie in it as they are."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.storage.archive import DATABASE, KEYS

_log: Final = logging.getLogger(__name__)
UMASK: Final = 0o077
"""What is made from then on is this account's alone; also the files beside the database, which SQLite makes."""
_FOLDERS: Final = ("blobs", "engines", "restoring")
_FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", *KEYS, "audit_head")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_private(data_dir: Path) -> int:
    """Sets this process's umask, makes data_dir and closes what is ours there already; how much was open.

    What belongs to another account stays as it is, and the log says so: a volume is closed by whoever mounts it.
    Raises SettingsInvalid when the folder cannot be made.
    """
    os.umask(UMASK)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(f"The data folder {data_dir} cannot be made: {error.strerror}.") from error
    closed = sum(_close(path) for path in _ours(data_dir))
    if closed:
        _log.warning(
            "%s was open to other accounts of this machine; %d files and folders were closed", data_dir, closed
        )
    _log.info("umask 077; %s is %s", data_dir, stat.filemode(data_dir.stat().st_mode))
    return closed


def _ours(data_dir: Path) -> Iterator[Path]:
    if data_dir.stat().st_mode & stat.S_ISVTX:  # such as /tmp: it is everybody's, and has to stay so
        _log.warning("%s is a folder that all accounts share: give DATA_DIR a folder of its own", data_dir)
    else:
        yield data_dir
    yield from (data_dir / name for name in _FILES)
    for name in _FOLDERS:
        for folder, _, _ in os.walk(data_dir / name):
            yield Path(folder)


def _close(path: Path) -> bool:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & _OTHERS:
            return False
        path.chmod(mode & ~_OTHERS)
    except FileNotFoundError:
        return False
    except OSError as error:
        _log.warning("%s is open to other accounts and could not be closed: %s", path, error.strerror)
        return False
    return True
