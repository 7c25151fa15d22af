"""malloc's settings are taken by this machine's C library, or left alone where it is not glibc."""

import ctypes
import subprocess
import sys

import pytest

from diagnosis_tool.worker import memory


def test_a_large_block_comes_from_the_heap_and_is_kept() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("not glibc")
    # /proc/self/maps names the heap; a block that is mapped on its own lies elsewhere
    code = """
import ctypes
from diagnosis_tool.worker import memory
memory.keep_flat()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
address = libc.malloc(ctypes.c_size_t(64 << 20))
heap = next(line for line in open("/proc/self/maps") if "[heap]" in line).split()[0].split("-")
print(int(heap[0], 16) <= address < int(heap[1], 16))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True", run.stderr


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.keep_flat()
    memory.give_back_free()
