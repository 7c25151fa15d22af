"""Tries inputs that hypothesis draws: some in `make test`, for a time box in `make test-long`.

    FUZZ_SECONDS=60 .venv/bin/python -m pytest tests/fuzz -k "long and png"

FUZZ_SECONDS: of each target in test-long, 600 by default. FUZZ_SEED: of the first round; else the clock's, printed.
What a run finds is made small by hypothesis, printed, and kept in build/fuzz; it belongs among the seeds
(tests/fuzz/test_seeds.py), which `make test` tries each time.

Hypothesis and no coverage-guided fuzzer: atheris counts branches of Python alone, has no wheel for every Python that we
run on, and does not make findings small; what decodes is native code, which it would not see into.
"""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.errors import HypothesisWarning
from hypothesis.strategies import SearchStrategy

from diagnosis_tool.errors import DiagnosisToolError

Value = TypeVar("Value")
BOTH: Final = pytest.mark.parametrize(
    "box", [pytest.param(False, id="smoke"), pytest.param(True, id="long", marks=pytest.mark.long)]
)
"""A target's two tests. box: whether it goes on for FUZZ_SECONDS."""
KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "fuzz"
_ROUND: Final = 50
MOST_CPU_S: Final = 10.0
"""Of one input, however busy the machine is."""


def fuzz(values: SearchStrategy[Value], promise: Callable[[Value], object], *, box: bool, smoke: int) -> None:
    """Draws values and has `promise` raise for one that breaks it. smoke: how many where there is no time box."""
    if not box:
        _try(values, promise, examples=smoke, seed=14)
        return
    end = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("FUZZ_SEED", str(time.time_ns())))
    tried = 0
    while time.monotonic() < end:  # between rounds alone: what is being made small must not change its outcome
        print(f"FUZZ_SEED={seed}")
        _try(values, promise, examples=_ROUND, seed=seed)
        seed, tried = seed + 1, tried + _ROUND
    print(f"{tried} inputs")


def words(error: DiagnosisToolError, most: int) -> None:
    """What an error says can be shown anywhere, and is not what somebody sent."""
    assert 10 < len(str(error)) < most
    str(error).encode()


def _try(values: SearchStrategy[Value], promise: Callable[[Value], object], *, examples: int, seed: int) -> None:
    failed: list[Value] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,  # of the clock: other processes would break it
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @hypothesis.given(values)
    def attempt(value: Value) -> None:
        start = time.process_time()
        try:
            promise(value)
            assert time.process_time() - start < MOST_CPU_S
        except Exception:
            failed.append(value)
            raise

    attempt: Any
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # that an input is long
        try:
            attempt()
        except BaseException:
            _keep(failed)
            raise


def _keep(failed: list[Value]) -> None:
    """The last one that failed, which is the smallest."""
    for value in failed[-1:]:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{time.time_ns()}").write_bytes(value if isinstance(value, bytes) else repr(value).encode())
