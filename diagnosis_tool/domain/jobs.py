"""Jobs: one for each image that is to be read. Pure."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

MAX_ATTEMPTS: Final = 3
"""After this many attempts that broke down (also by killing the worker) an image is marked failed."""


class JobState(StrEnum):
    """QUEUED waits; LEASED is being read until its lease ends; DONE is over, whatever came of it."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"


class Priority(IntEnum):
    """What is read first: the larger number; among equals, what was sent first."""

    SLOW = -1
    """Takes long to decode: read when nothing else waits."""
    NORMAL = 0
    ON_A_PAGE = 1
    """Among the next unread images of a study whose page is open."""
    LOOKED_AT = 2
    """Open in the viewer: somebody waits for this very image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job in the hands of a worker. worker and attempt are the fencing token: a later claim makes this one void."""

    id: int
    instance_id: int
    instance_uid: str
    image_sha256: str
    size_bytes: int
    worker: str
    attempt: int

    @property
    def is_suspect(self) -> bool:
        """True when an earlier attempt broke down, perhaps with its worker: such an image is read alone."""
        return self.attempt > 1


class WorkerState(StrEnum):
    """What a worker says of itself."""

    WARMING = "warming"
    READY = "ready"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker's last sign of life. detail: the bundle when READY, the reason when BROKEN."""

    name: str
    state: WorkerState
    detail: str
    age_s: float
