"""What decoding one file may cost."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one process that decodes. memory_bytes: address space beyond what it has when it is ready.

    cpu_s, wall_s: for one file. patience_s: after so long a file counts as slow, and others are not to wait for it.
    long_cpu_s, long_wall_s: after so long a slow one gives way where too many are slow.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: float
    patience_s: float
    long_cpu_s: float
    long_wall_s: float


LIMITS: Final = Limits(
    memory_bytes=2_400_000_000, cpu_s=40, wall_s=80.0, patience_s=0.6, long_cpu_s=3.0, long_wall_s=8.0
)
"""TODO Wall: twice the CPU, for two cores on which a model reads; below the watchdog's limit and a lease's
(worker/watchdog.py, storage/jobs.py). Patience: with what starting another takes, nobody waits for a second.
docs/results/reliability.md has the figures."""
