"""A process that decodes as ours does, but does what its file says first: for tests of what a decoder may do to us.

Started by decoding.pool.Pool(module="tests.hostile_decoder"): all but the decoder itself is the real thing.
"""

import ctypes
import os
import resource
import sys
import time

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding import child
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import UnreadableInput

_WORDS = {"sleep", "await", "hold", "spin", "eat", "crash", "abort", "leave", "babble", "bug", "write", "tell"}


def decode(data: bytes) -> Radiograph:
    """`word argument:film`; a plain film is decoded."""
    head, _, film = data.partition(b":")
    word, _, argument = head.decode("latin-1").partition(" ")
    if word in _WORDS:
        _do(word, argument)
        return decode_radiograph(film)
    return decode_radiograph(data)


def _do(word: str, argument: str) -> None:
    if word == "sleep":
        time.sleep(float(argument or 300))
    elif word == "await":
        while not os.path.exists(argument):
            time.sleep(0.02)
    elif word == "hold":
        ctypes.PyDLL(None).sleep(300)
    elif word == "spin":
        while True:
            pass
    elif word == "eat":
        _ = b"x" * 4_000_000_000
    elif word == "crash":
        ctypes.string_at(0)
    elif word == "abort":
        os.abort()
    elif word == "leave":
        os._exit(0)
    elif word == "babble":
        os.write(0, b"\xff" * 4096)
        time.sleep(300)
    elif word == "bug":
        raise KeyError("DOE^JANE")
    elif word == "write":
        with open("/tmp/what-a-decoder-writes", "wb") as file:
            file.write(b"x" * 10)
    elif word == "tell":
        raise UnreadableInput(
            "%(modules)s|%(env)s|%(core)s|%(files)s",
            modules=",".join(sys.modules),
            env=",".join(os.environ),
            core=resource.getrlimit(resource.RLIMIT_CORE),
            files=",".join(os.listdir("/proc/self/fd")),
        )


if __name__ == "__main__":
    child.run(decode)
