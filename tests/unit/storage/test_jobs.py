"""The queue: each job is claimed by one, put back when its worker dies, and given up after three breakdowns."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool import resources
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Job, WorkerState
from diagnosis_tool.domain.studies import Instance, InstanceState
from diagnosis_tool.errors import Conflict
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage.jobs import LEASE_S, FinishedReading, JobStore
from diagnosis_tool.storage.session import open_database
from diagnosis_tool.storage.studies import NewInstance, StudyStore
from tests.fakes.classifier import FakeClassifier


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Queue:
    """A database with a study of n images."""

    def __init__(self, folder: Path) -> None:
        migrate_database(folder / "db.sqlite", resources.migrations_dir())
        engine = open_database(folder / "db.sqlite")
        self.clock = Clock()
        self.jobs = JobStore(engine, self.clock)
        self.studies = StudyStore(engine)

    def add(self, *hashes: str) -> None:
        new = [NewInstance(uid=f"i{h}", file_name=f"{h}.png", sha256=h * 64, size_bytes=1) for h in hashes]
        self.studies.add(uid="s" + "".join(hashes), created_at=self.clock(), user_id=1, instances=new)

    def claim(self, worker: str = "w") -> Job:
        job = self.jobs.claim(worker)
        assert job is not None
        return job

    def instance(self, uid: str) -> Instance:
        return self.studies.instance(uid)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


@pytest.fixture
def finished() -> FinishedReading:
    pixels = np.tile(np.arange(80, dtype=np.uint8), (80, 1))
    reading = FakeClassifier().read(Radiograph(pixels=pixels, source_format="PNG"))
    return FinishedReading(reading=reading, width_px=80, height_px=80, thumbnail_jpeg=b"jpeg", seconds=0.1)


def test_jobs_come_in_the_order_they_were_sent(queue: Queue) -> None:
    queue.add("a", "b")
    assert [queue.claim().instance_uid, queue.claim().instance_uid] == ["ia", "ib"]
    assert queue.jobs.claim("w") is None
    assert queue.instance("ia").state is InstanceState.READING


def test_two_workers_never_hold_the_same_job(queue: Queue) -> None:
    queue.add(*"0123456789")
    claimed = [queue.claim(f"w{k % 3}").id for k in range(10)]
    assert len(set(claimed)) == 10


def test_complete_stores_everything(queue: Queue, finished: FinishedReading) -> None:
    queue.add("a")
    queue.jobs.complete(queue.claim(), finished)
    instance = queue.instance("ia")
    assert instance.state is InstanceState.DONE
    assert (instance.width_px, instance.has_thumbnail) == (80, True)
    assert instance.prediction is not None
    assert instance.prediction.identity == finished.reading.identity
    for stored, told in zip(instance.prediction.outputs, finished.reading.outputs, strict=True):
        assert (stored.name, stored.probability, stored.threshold) == (told.name, told.probability, told.threshold)
        np.testing.assert_array_equal(stored.heatmap.values, told.heatmap.values)


def test_the_same_content_shares_one_prediction(queue: Queue, finished: FinishedReading) -> None:
    queue.add("a")
    new = [NewInstance(uid="again", file_name="copy.png", sha256="a" * 64, size_bytes=1)]
    queue.studies.add(uid="s2", created_at=queue.clock(), user_id=1, instances=new)
    for _ in range(2):
        queue.jobs.complete(queue.claim(), finished)
    first, second = queue.instance("ia").prediction, queue.instance("again").prediction
    assert first is not None
    assert second is not None
    assert first.created_at == second.created_at


def test_refused_is_final_and_has_its_reason(queue: Queue) -> None:
    queue.add("a")
    queue.jobs.refuse(queue.claim(), "too small")
    instance = queue.instance("ia")
    assert (instance.state, instance.error, instance.prediction) == (InstanceState.REFUSED, "too small", None)
    assert queue.jobs.claim("w") is None


def test_a_failure_is_tried_again_then_given_up(queue: Queue) -> None:
    queue.add("a")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert queue.instance("ia").state is InstanceState.QUEUED
        job = queue.claim()
        assert job.attempt == attempt
        queue.jobs.fail(job, "it broke")
    instance = queue.instance("ia")
    assert (instance.state, instance.error) == (InstanceState.FAILED, "it broke")


def test_a_lease_that_ended_is_claimed_by_another(queue: Queue, finished: FinishedReading) -> None:
    queue.add("a")
    slow = queue.claim("slow")
    assert queue.jobs.claim("quick") is None
    queue.clock.forward(LEASE_S + 1)
    quick = queue.claim("quick")
    assert quick.attempt == 2
    for outcome in (
        lambda: queue.jobs.complete(slow, finished),
        lambda: queue.jobs.refuse(slow, "no"),
        lambda: queue.jobs.fail(slow, "no"),
    ):
        _lost(outcome)
    queue.jobs.complete(quick, finished)
    assert queue.instance("ia").state is InstanceState.DONE


def _lost(outcome: Callable[[], None]) -> None:
    with pytest.raises(Conflict, match="taken over"):
        outcome()


def test_a_worker_that_starts_again_puts_its_jobs_back_at_once(queue: Queue) -> None:
    queue.add("a", "b")
    queue.claim("w1")
    queue.claim("w2")
    assert queue.jobs.release_all("w1") == 1
    assert queue.instance("ia").state is InstanceState.QUEUED
    assert queue.instance("ib").state is InstanceState.READING


def test_an_image_that_kills_its_worker_is_given_up(queue: Queue) -> None:
    queue.add("a", "b")
    for _ in range(MAX_ATTEMPTS):
        assert queue.claim().instance_uid == "ia"
        queue.jobs.release_all("w")
    assert queue.claim().instance_uid == "ib"
    instance = queue.instance("ia")
    assert instance.state is InstanceState.FAILED
    assert instance.error is not None
    assert "3 times" in instance.error


def test_heartbeats(queue: Queue) -> None:
    queue.jobs.heartbeat("w", WorkerState.WARMING, "")
    queue.jobs.heartbeat("w", WorkerState.READY, "b7")
    queue.clock.forward(7)
    (status,) = queue.jobs.workers()
    assert (status.name, status.state, status.detail, status.age_s) == ("w", WorkerState.READY, "b7", 7.0)
