"""What passes between a process that decodes and the one that asks: lengths, JSON and pixels. Never a pickle: whoever
took a decoder over must not come out of its process by what it answers."""

import json
import mmap
import os
import socket
import struct
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import numpy as np
from cattrs.preconf.json import make_converter

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput, UnsupportedImage

READY: Final = b"ready"
"""What a process says first."""
_LENGTH: Final = struct.Struct("<Q")
OUTBOX_BYTES: Final = 2 * MAX_PIXELS
"""The largest film, 16 bit."""
_KEPT_BYTES: Final = 32_000_000
_BLOCK_BYTES: Final = 512  # of st_blocks, stat(2)
_MOST_JSON: Final = 1_000_000
_CONVERTER: Final = make_converter()
_TYPES: Final = {name: kind for name, kind in get_type_hints(Radiograph).items() if name != "pixels"}
_REFUSALS: Final = {kind.__name__: kind for kind in (UnreadableInput, UnsupportedImage)}
_DEPTHS: Final = {"uint8": np.uint8, "uint16": np.uint16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The decoder raised what it should not. memory: it had too little. where: files and lines, without any words."""

    memory: bool
    where: tuple[str, ...] = ()


Answer = Radiograph | DiagnosisToolError | Broken


def anonymous_file(name: str) -> int:
    """The descriptor of a file in memory that has no name anywhere and is gone with who holds it."""
    if sys.platform == "linux":
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Asking:
    """The side that asks. Files and pixels lie in two anonymous files, as neither side then waits for the other to read
    a piece; what is said of them passes through the socket. Nothing of what the other side may change is mapped."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        with ExitStack() as undo:  # where files run out, each try would keep one more
            undo.callback(connection.close)
            self.inbox = anonymous_file("to-decode")
            undo.callback(os.close, self.inbox)
            self.outbox = anonymous_file("decoded")
            undo.callback(os.close, self.outbox)
            os.ftruncate(self.outbox, OUTBOX_BYTES)  # takes no room until it is written to
            undo.pop_all()

    def send_file(self, data: bytes) -> None:
        """A file to be decoded. Raises OSError when the other side is gone, or there is no memory for the file."""
        view = memoryview(data)
        while len(view):
            view = view[os.pwrite(self.inbox, view, len(data) - len(view)) :]
        self._connection.sendall(_LENGTH.pack(len(data)))

    def receive_answer(self, deadline: float) -> Answer:
        """What came of the file. deadline: time.monotonic().

        Raises EOFError when the other side is gone, TimeoutError, ValueError for an answer that makes no sense.
        """
        (length,) = _LENGTH.unpack(self._receive(_LENGTH.size, deadline))
        if length > _MOST_JSON:
            raise ValueError("the answer is too long")
        text = self._receive(length, deadline)
        try:
            return _answer(json.loads(text), self.outbox)
        except MemoryError:  # ours, for which no file is to blame
            raise
        except Exception as error:  # a process that was taken over may say anything
            raise ValueError("the answer makes no sense") from error
        finally:
            self._give_back_room()

    def close(self) -> None:
        """Lets go of all."""
        self._connection.close()
        os.close(self.inbox)
        os.close(self.outbox)

    def _give_back_room(self) -> None:
        """Of large films. The room of others is used again, which saves the kernel from clearing it."""
        for descriptor, size in ((self.inbox, 0), (self.outbox, OUTBOX_BYTES)):
            if os.fstat(descriptor).st_blocks * _BLOCK_BYTES > _KEPT_BYTES:
                os.ftruncate(descriptor, 0)
                os.ftruncate(descriptor, size)

    def _receive(self, length: int, deadline: float) -> bytes:
        data = b""
        while len(data) < length:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            piece = self._connection.recv(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


class Answering:
    """The side that decodes. inbox, outbox: descriptors that it was started with."""

    def __init__(self, connection: socket.socket, inbox: int, outbox: int) -> None:
        self._connection = connection
        self._inbox = inbox
        self._outbox = mmap.mmap(outbox, OUTBOX_BYTES)  # by write() it may write no file at all

    def say_ready(self) -> None:
        """Once, before all else."""
        self._connection.sendall(READY)

    def receive_file(self) -> bytes | None:
        """The next file; None when the other side is gone."""
        head = self._connection.recv(_LENGTH.size, socket.MSG_WAITALL)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        return os.pread(self._inbox, length, 0)

    def send_answer(self, answer: Answer) -> None:
        """What came of the file."""
        said: dict[str, Any]
        if isinstance(answer, Radiograph):
            values = {name: _CONVERTER.unstructure(getattr(answer, name), kind) for name, kind in _TYPES.items()}
            shape, depth = answer.pixels.shape, answer.pixels.dtype
            said = {"kind": "radiograph", "shape": shape, "depth": depth.name, "values": values}
            np.frombuffer(self._outbox, depth, answer.pixels.size).reshape(shape)[...] = answer.pixels
        elif isinstance(answer, DiagnosisToolError):
            values = {name: value if isinstance(value, int) else str(value) for name, value in answer.values.items()}
            said = {"kind": "refused", "error": type(answer).__name__, "message": answer.message, "values": values}
        else:
            said = {"kind": "broken", "memory": answer.memory, "where": answer.where}
        text = json.dumps(said).encode()
        self._connection.sendall(_LENGTH.pack(len(text)) + text)


def _answer(said: dict[str, Any], outbox: int) -> Answer:
    if said["kind"] == "refused":
        return _REFUSALS[said["error"]](str(said["message"]), **said["values"])
    if said["kind"] == "broken":
        return Broken(memory=bool(said["memory"]), where=tuple(map(str, said["where"])))
    depth = _DEPTHS[said["depth"]]
    height, width = map(int, said["shape"])
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise ValueError("no film has this size")
    values = {name: _CONVERTER.structure(said["values"][name], kind) for name, kind in _TYPES.items()}
    pixels_HW = np.empty((height, width), depth)
    view, at = pixels_HW.data.cast("B"), 0
    while at < len(view):
        count = os.preadv(outbox, [view[at:]], at)
        if count == 0:
            raise ValueError("pixels are missing")
        at += count
    return Radiograph(pixels=pixels_HW, **values)
