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
"""The largest lawful film has 100 million pixels (cxr.image_file.MAX_PIXELS).

Memory: as baseline JPEG in a DICOM file, the costliest kind, it passes with 2.0 GB and not with 1.6.
CPU: as JPEG 2000 of 16 bits it takes 12 s on a core of 2026, and a machine may be a few times slower.
Wall: twice that, for cores on which a model reads; below the watchdog's limit and a lease's (worker/watchdog.py,
storage/jobs.py). Patience: with what starting another takes, nobody waits for a second. Long: a film of 9 million
pixels as JPEG 2000, which is large for an ordinary one, takes 1 to 2 s. docs/results/reliability.md has the figures.
"""
