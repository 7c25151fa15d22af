"""Claim: a film is decoded in another process for hardly more than here; what such a process holds."""

import os
import re
import time
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.record import interleaved_medians, record
from benchmarks.served import distinct_films
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.dicom.decode import decode_radiograph

_ROUNDS: Final = 41
_CPU_ROUNDS: Final = 20


def run() -> None:
    """A film of 1024 px and one of 3000 px and 16 bits, in turns here and in a pool of one process."""
    small = distinct_films(1)[0][0][1]
    with Pool(warm=1) as pool:
        start = time.perf_counter()
        pool.decode(small)
        record("decoder_first_s", time.perf_counter() - start, "s", "from the pool's start to its first film")
        (pid,) = pool.pids()
        record("decoder_rss_mb", _resident_mb(pid), "MB", "of one process, after a film of 1024 px")
        for name, film in (("1024 px", small), ("3000 px, 16 bit", _large())):
            seconds = interleaved_medians(
                {"here": lambda film=film: decode_radiograph(film), "there": lambda film=film: pool.decode(film)},  # type: ignore[misc]
                _ROUNDS,
            )
            here_ms, there_ms = seconds["here"] * 1e3, seconds["there"] * 1e3
            how = f"PNG of {name}; {here_ms:.1f} ms here, {there_ms:.1f} ms in another process"
            record("decoder_time_vs_here", seconds["there"] / seconds["here"], "x", how)
            here_s, there_s = _cpu_s(film), _cpu_s(film, pool)
            how = f"PNG of {name}; {here_s * 1e3:.1f} ms of CPU here, {there_s * 1e3:.1f} ms of both processes"
            record("decoder_cpu_vs_here", there_s / here_s, "x", how)
        for pid in pool.pids():
            record("decoder_rss_after_large_mb", _resident_mb(pid), "MB", "of one process, after both")


def _large() -> bytes:
    noise = np.random.default_rng(0).integers(0, 4096, (3000, 3000), np.uint16)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _cpu_s(film: bytes, pool: Pool | None = None) -> float:
    """CPU seconds of this process, and of the one that decodes where there is a pool, for one film."""
    before = _used_s(pool)
    for _ in range(_CPU_ROUNDS):
        _ = pool.decode(film) if pool else decode_radiograph(film)
    return (_used_s(pool) - before) / _CPU_ROUNDS


def _used_s(pool: Pool | None) -> float:
    ticks = 0
    for pid in pool.pids() if pool else ():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) * 1024 / 1e6
