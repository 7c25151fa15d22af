"""Whether the tool can read images now."""

from dataclasses import dataclass
from typing import Final

from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.services.context import Context

HEARTBEAT_S: Final = 5.0
_SILENT_S: Final = 3 * HEARTBEAT_S + 15
"""A worker says nothing while it reads one image; a large model on a slow machine takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """ready: uploads are being read. reason: in words when they are not. bundle: what they are read with."""

    ready: bool
    reason: str
    bundle: str | None


def readiness(context: Context) -> Readiness:
    """Ready when a worker has loaded its bundle and was heard of lately."""
    alive = [w for w in context.jobs.workers() if w.age_s <= _SILENT_S]
    for worker in alive:
        if worker.state is WorkerState.READY:
            return Readiness(ready=True, reason="", bundle=worker.detail)
    for worker in alive:
        if worker.state is WorkerState.BROKEN:
            return Readiness(ready=False, reason=f"The worker cannot start: {worker.detail}", bundle=None)
    if alive:
        return Readiness(ready=False, reason="The worker is loading its model.", bundle=None)
    return Readiness(ready=False, reason="No worker is running. Uploads wait until one is.", bundle=None)
