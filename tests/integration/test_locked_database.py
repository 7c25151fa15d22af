"""Eight who write at once wait for one another; none is turned away. The figure: docs/results/reliability.md."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.services.check import check_store
from testing.stores import open_store
from tests.stores import film, send

_WRITERS = 8


def write(data_dir: Path, writer: int, times: int) -> float:
    """One in ten is an upload, the rest are signs of life; the longest that one took, in seconds."""
    context, longest = open_store(data_dir), 0.0
    data = film(writer)
    for n in range(times):
        start = time.monotonic()
        if n % 10 == 0:
            send(context, data)
        else:
            context.jobs.heartbeat(f"worker-{writer}", WorkerState.READY, str(n))
        longest = max(longest, time.monotonic() - start)
    return longest


@pytest.mark.parametrize("times", [30, pytest.param(1000, marks=pytest.mark.long)])
def test_eight_writers_at_once(tmp_path: Path, times: int) -> None:
    open_store(tmp_path)
    with ThreadPoolExecutor(_WRITERS) as threads:
        longest = list(threads.map(lambda writer: write(tmp_path, writer, times), range(_WRITERS)))
    print(f"{_WRITERS} x {times} writes, the longest took {max(longest):.2f} s")
    report = check_store(open_store(tmp_path), in_flight_s=0)
    assert (report.faults, report.studies) == ((), _WRITERS * times // 10)
