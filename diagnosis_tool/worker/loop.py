"""The worker's loop: claim, read, repeat, until asked to stop."""

import threading
import time
from typing import Final

from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.diagnose import diagnose
from diagnosis_tool.services.health import HEARTBEAT_S

_IDLE_S: Final = 0.1
"""How long an idle worker waits before it asks again: the most that a lone upload waits for nothing."""


def run(context: Context, classifier: Classifier, *, worker: str, stop: threading.Event) -> int:
    """Reads queued images one after another until `stop` is set; the image in hand is finished. Returns how many."""
    context.jobs.release_all(worker)
    read = 0
    last_beat = float("-inf")
    while not stop.is_set():
        if time.monotonic() - last_beat >= HEARTBEAT_S:
            context.jobs.heartbeat(worker, WorkerState.READY, classifier.identity.bundle)
            last_beat = time.monotonic()
        job = context.jobs.claim(worker)
        if job is None:
            stop.wait(_IDLE_S)
            continue
        diagnose(context, classifier, job)
        read += 1
    return read
