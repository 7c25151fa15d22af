"""glibc's malloc, told how a worker uses memory: large blocks of the same sizes, again and again, for weeks."""

import ctypes
import logging
from typing import Final

_log = logging.getLogger(__name__)

# Source: glibc, malloc.h and mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_BLOCK_BYTES: Final = 1 << 30
_TRIM_BYTES: Final = 256 << 20
_ARENAS: Final = 2


def keep_flat() -> None:
    """To be called before anything large is allocated; does nothing where the C library is not glibc.

    Blocks come from the heap and are used again, where malloc would map some anew and have the kernel clear them; two
    arenas instead of eight a core, for a thread's own arena keeps what the thread once needed. What it brings, and
    what not: docs/results/worker.md.
    """
    settings = ((_M_MMAP_THRESHOLD, _BLOCK_BYTES), (_M_TRIM_THRESHOLD, _TRIM_BYTES), (_M_ARENA_MAX, _ARENAS))
    try:
        library = ctypes.CDLL(None)
        refused = [option for option, value in settings if library.mallopt(option, value) != 1]
    except (OSError, AttributeError):
        return
    if refused:
        _log.warning("malloc did not take the options %s", refused)


def give_back_free() -> None:
    """Hands what is free to the system: loading a model needs its weights twice."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
