"""`python -m benchmarks load` in small: uploads at one moment while others read, and nothing is lost."""

from pathlib import Path

import pytest

from benchmarks.bench_load import Size, measured
from tests.conftest import phantom_png


@pytest.mark.long
def test_uploads_at_one_moment_lose_nothing(tmp_path: Path) -> None:
    films = [(f"{k}.png", phantom_png(k, 512)) for k in range(4)]
    outcome = measured(tmp_path, Size(uploads=12, films=len(films), readers=3, bundle="test"), films)
    assert (outcome.answered, outcome.lost) == (12, 0)
    assert outcome.worklist
    assert outcome.viewer
    assert set(outcome.memory_mb) == {"front", "web", "worker"}
    assert max(outcome.memory_mb["front"]) < 200
