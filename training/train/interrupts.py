"""What ends a run early, and what is said then: Ctrl-C, memory that ran out."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from training.errors import TrainingFailed
from training.recipes.config import Recipe


class Stopped(Exception):
    """The user asked to stop; the checkpoint is written."""


@dataclass
class Stop:
    """asked: set by the first signal."""

    asked: bool = False


@contextlib.contextmanager
def ask_to_stop() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM is noted and obeyed between steps; the second of its kind acts at once.

    Of its kind: torchrun answers a Ctrl-C, which its processes have got as well, by sending them SIGTERM.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        stop.asked = True
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:  # not in the main thread: the caller stops us otherwise
        before.clear()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def failures_named(recipe: Recipe) -> Iterator[None]:
    """Turns out-of-memory into a TrainingFailed that says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error):
            raise TrainingFailed(_memory_advice(recipe)) from error
        raise


def _memory_advice(recipe: Recipe) -> str:
    loop = recipe.loop
    return (
        f"Memory ran out with batches of {loop.batch_size} at {recipe.preprocess.size_px} px. Halve loop.batch_size "
        f"(--set loop.batch_size={max(1, loop.batch_size // 2)}) and double loop.accumulate "
        f"(--set loop.accumulate={2 * loop.accumulate}): the result is nearly the same. Or lower "
        "preprocess.size_px, or say loop.precision=bf16."
    )
