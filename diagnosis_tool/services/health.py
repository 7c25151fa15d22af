"""Whether the tool can read images now, part by part."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from diagnosis_tool.domain.jobs import WorkerState, WorkerStatus
from diagnosis_tool.services.context import Context

HEARTBEAT_S: Final = 5.0
LEAST_FREE_BYTES: Final = 500_000_000
"""Below this much room an upload of a few films may already be refused."""
_SILENT_S: Final = 3 * HEARTBEAT_S + 15
"""A worker says nothing while it reads one image; a large model on a slow machine takes seconds."""


class HealthState(StrEnum):
    """WARMING: not yet, but soon, by itself. FAILING: somebody has to look."""

    OK = "ok"
    WARMING = "warming"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPart:
    """One thing that predicting needs. says: what is wrong or being done, '' when all is well."""

    name: str
    state: HealthState
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """ready: uploads are being read. bundle: what they are read with. workers: those heard of lately."""

    parts: tuple[HealthPart, ...]
    bundle: str | None
    workers: tuple[WorkerStatus, ...]

    @property
    def ready(self) -> bool:
        """True when every part is."""
        return self.state is HealthState.OK

    @property
    def state(self) -> HealthState:
        """The worst of the parts."""
        states = [part.state for part in self.parts]
        return max(states, key=list(HealthState).index)

    @property
    def reason(self) -> str:
        """What the first part that is not well says."""
        return next((part.says for part in self.parts if part.state is self.state and part.says), "")


def readiness(context: Context) -> Readiness:
    """Ready when the database answers, the disk has room, and a worker that was heard of lately proved its bundle."""
    if (database := _database(context)).state is HealthState.FAILING:
        return Readiness(parts=(database, _disk(context)), bundle=None, workers=())
    workers = tuple(worker for worker in context.jobs.workers() if worker.age_s <= _SILENT_S)
    bundle = next((worker.detail for worker in workers if worker.state is WorkerState.READY), None)
    return Readiness(
        parts=(database, _disk(context), _worker(workers), _bundle(workers)), bundle=bundle, workers=workers
    )


def _database(context: Context) -> HealthPart:
    try:
        is_readable = context.metrics.is_readable()
    except Exception:  # noqa: BLE001  whatever broke: it does not answer, and that is what is asked here
        is_readable = False
    says = "" if is_readable else "The database does not answer. Look at the server's log."
    return HealthPart(name="database", state=HealthState.OK if is_readable else HealthState.FAILING, says=says)


def _disk(context: Context) -> HealthPart:
    free = context.blobs.free_bytes()
    if free >= LEAST_FREE_BYTES:
        return HealthPart(name="disk", state=HealthState.OK)
    return HealthPart(
        name="disk",
        state=HealthState.FAILING,
        says=f"The disk has only {free // 1_000_000} MB left. Make room in DATA_DIR.",
    )


def _worker(workers: tuple[WorkerStatus, ...]) -> HealthPart:
    if workers:
        return HealthPart(name="worker", state=HealthState.OK)
    return HealthPart(name="worker", state=HealthState.FAILING, says="No worker is running. Uploads wait until one is.")


def _bundle(workers: tuple[WorkerStatus, ...]) -> HealthPart:
    name = "bundle"
    if any(worker.state is WorkerState.READY for worker in workers):
        return HealthPart(name=name, state=HealthState.OK)
    for worker in workers:
        if worker.state is WorkerState.BROKEN:
            return HealthPart(name=name, state=HealthState.FAILING, says=f"The worker cannot start: {worker.detail}")
    for worker in workers:
        doing = f" ({worker.detail})" if worker.detail else ""
        return HealthPart(name=name, state=HealthState.WARMING, says=f"The worker is loading its model{doing}.")
    return HealthPart(name=name, state=HealthState.FAILING, says="No worker has proved its model.")
