"""A film that takes long to decode, or for ever, holds no other up; the loop's rules hold for it as for all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.decoding.limits import Limits
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Priority
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.worker import loop
from diagnosis_tool.worker.watchdog import Watchdog
from testing.serving import wait_for
from testing.stores import open_store
from tests.fakes.classifier import FakeClassifier
from tests.stores import film, send

LIMITS = Limits(memory_bytes=600_000_000, cpu_s=60, wall_s=300, patience_s=0.2, long_cpu_s=900, long_wall_s=900)
DONE, REFUSED = InstanceState.DONE, InstanceState.REFUSED
QUEUED, READING = InstanceState.QUEUED, InstanceState.READING


@contextmanager
def reading(data_dir: Path, limits: Limits, classifier: FakeClassifier) -> Iterator[Context]:
    """A worker's loop with real processes that decode (tests/hostile_decoder.py), and a watchdog that bites."""
    bitten: list[str] = []
    dog = Watchdog(30.0, end=lambda what, _: bitten.append(what))
    with Pool(limits=limits, module="tests.hostile_decoder") as pool:
        context = replace(open_store(data_dir), decoder=pool)
        stop = threading.Event()
        thread = threading.Thread(target=lambda: loop.run(context, classifier, worker="w", stop=stop, guard=dog.step))
        thread.start()
        try:
            with dog.watching():
                yield context
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()
    assert bitten == []


def states(context: Context, uid: str) -> list[InstanceState]:
    return [instance.state for instance in browse.get_study(context, uid).instances]


def until(reached: Callable[[], bool]) -> None:
    wait_for(lambda: reached() or None, "it never came to that", 60)


def slow(release: Path, seed: int) -> bytes:
    """A film that is not decoded before this file is there."""
    return f"await {release}:".encode() + film(seed)


def test_others_are_read_while_decoders_hang_which_are_refusals_then(tmp_path: Path) -> None:
    classifier = FakeClassifier()
    with reading(tmp_path, LIMITS, classifier) as context:
        hostile = send(context, b"sleep:", b"hold:" + film(50), b"sleep:")  # the third is the first once more
        good = send(context, *(film(seed) for seed in range(4)))
        until(lambda: states(context, good) == [DONE] * 4)
        assert states(context, hostile) == [READING] * 3
    with reading(tmp_path, replace(LIMITS, wall_s=1.0), classifier) as context:
        until(lambda: states(context, hostile) == [REFUSED] * 3)
    assert classifier.predicted == 4
    for instance in browse.get_study(context, hostile).instances:
        assert "takes longer than any radiograph" in str(instance.error)


def test_slow_films_are_read_once_each_and_the_same_content_once_for_all(tmp_path: Path) -> None:
    classifier, release = FakeClassifier(), tmp_path / "go"
    with reading(tmp_path / "data", LIMITS, classifier) as context:
        uid = send(context, *[slow(release, 1)] * 3, slow(release, 2))
        until(lambda: states(context, uid) == [READING] * 4)
        release.touch()
        until(lambda: states(context, uid) == [DONE] * 4)
    assert classifier.predicted == 2


def test_one_too_many_waits_until_nothing_else_does_whoever_looks_at_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    release = tmp_path / "go"
    with reading(tmp_path / "data", LIMITS, FakeClassifier()) as context:
        held = send(context, *(slow(release, seed) for seed in range(3)))
        late = send(context, slow(release, 9))
        until(lambda: "it waits until nothing else does" in caplog.text)
        context.jobs.raise_priority_of_study(late, ALL_PROJECTS, Priority.ON_A_PAGE)
        (instance,) = browse.get_study(context, late).instances
        context.jobs.raise_priority(instance.uid, ALL_PROJECTS, Priority.LOOKED_AT)
        good = send(context, film(10))
        until(lambda: states(context, good) == [DONE])
        assert states(context, late) == [QUEUED]
        assert states(context, held) == [READING] * 3
        release.touch()
        until(lambda: states(context, held) == [DONE] * 3 and states(context, late) == [DONE])


def test_no_image_fails_because_no_decoder_can_be_started(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without memory for another process all that waited was marked failed, within seconds."""
    stop = threading.Event()
    with Pool(module="tests.no_such_module") as none:
        context = replace(open_store(tmp_path), decoder=none)
        uid = send(context, *(film(seed) for seed in range(3)))
        thread = threading.Thread(target=lambda: loop.run(context, FakeClassifier(), worker="w", stop=stop))
        thread.start()
        try:
            until(lambda: caplog.text.count("cannot be started") > 1)
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()
    assert states(context, uid) == [QUEUED] * 3
    with reading(tmp_path, LIMITS, FakeClassifier()) as context:
        until(lambda: states(context, uid) == [DONE] * 3)


def test_a_stop_gives_what_is_slow_back_uncounted(tmp_path: Path) -> None:
    with reading(tmp_path, LIMITS, FakeClassifier()) as context:
        uid = send(context, b"hold:" + film(1), film(2))
        until(lambda: states(context, uid) == [READING, DONE])
    assert states(context, uid) == [QUEUED, DONE]
    assert [job.attempt for job in context.jobs.claim("other", 2)] == [1]


class Breaking(FakeClassifier):
    """Cannot prepare anything while `is_broken`."""

    is_broken = True

    def prepare(self, radiograph: Radiograph) -> NDArray[np.uint8]:
        if self.is_broken:
            raise RuntimeError("boom")
        return super().prepare(radiograph)


def test_a_suspect_is_read_alone_and_what_is_slow_loses_no_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier, release = Breaking(), tmp_path / "go"
    with reading(tmp_path / "data", LIMITS, classifier) as context:
        held = send(context, slow(release, 1))
        suspect = send(context, film(2))
        until(lambda: states(context, suspect) == [InstanceState.FAILED])
        classifier.is_broken = False
        release.touch()
        until(lambda: states(context, held) == [DONE])
    assert caplog.text.count("broke down") == MAX_ATTEMPTS
