"""The queue: each job is claimed by one, put back when its worker dies, and given up after three breakdowns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.types import Prediction, Radiograph
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.audit import NotRead
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Job, Priority, WorkerState
from diagnosis_tool.domain.studies import ImageFacts, Instance, InstanceState, Reason
from diagnosis_tool.errors import Conflict
from diagnosis_tool.storage import jobs as jobs_module
from diagnosis_tool.storage.audit import AuditLog
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.database import open_database, read_transaction
from diagnosis_tool.storage.jobs import LEASE_S, JobStore
from diagnosis_tool.storage.predictions import PredictionStore
from diagnosis_tool.storage.studies import NewInstance, StudyStore
from testing.stores import DATABASE, migrated_database
from tests.fakes.classifier import FakeClassifier

SMALL = Reason(message="only %(width)s px wide", values={"width": "20"})
BROKE = Reason(message="it broke")


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
        folder.joinpath(DATABASE).write_bytes(migrated_database())
        engine = open_database(folder / DATABASE)
        self.clock = Clock()
        self.audit = AuditLog(engine, self.clock, key=b"k", head_file=folder / "head")
        self.jobs = JobStore(engine, self.clock, self.audit)
        self.predictions = PredictionStore(engine, self.clock, self.jobs)
        self.studies = StudyStore(engine, BlobStore(folder / "blobs"))
        self._folder = folder
        self._engine = engine

    def add(self, *hashes: str) -> None:
        new = [NewInstance(uid=f"i{h}", file_name=f"{h}.png", sha256=h * 64, size_bytes=1) for h in hashes]
        for h in hashes:
            blob = self._folder / "blobs" / (h * 2) / (h * 64)
            blob.parent.mkdir(exist_ok=True)
            blob.touch()
        self.studies.add(uid="s" + "".join(hashes), created_at=self.clock(), user_id=1, instances=new)

    def claim(self, worker: str = "w") -> Job:
        (job,) = self.jobs.claim(worker, 1)
        return job

    def explain_claim(self) -> list[object]:
        """SQLite's plan for finding the next jobs."""
        with read_transaction(self._engine) as db:
            query = jobs_module._QUEUE.limit(3).compile(self._engine, compile_kwargs={"literal_binds": True})
            return list(db.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))

    def instance(self, uid: str) -> Instance:
        return self.studies.instance(uid, ALL_PROJECTS)

    def complete(self, job: Job, prediction: Prediction) -> None:
        facts = ImageFacts(width_px=80, height_px=80)
        self.predictions.complete(job, prediction, facts=facts, thumbnail_jpeg=b"jpeg", seconds=0.1)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


@pytest.fixture
def prediction() -> Prediction:
    pixels = np.tile(np.arange(80, dtype=np.uint8), (80, 1))
    return FakeClassifier().predict(Radiograph(pixels=pixels, source_format="PNG"))


def test_jobs_come_in_the_order_they_were_sent(queue: Queue) -> None:
    queue.add("a", "b")
    assert [queue.claim().instance_uid, queue.claim().instance_uid] == ["ia", "ib"]
    assert queue.jobs.claim("w", 1) == ()
    assert queue.instance("ia").state is InstanceState.READING


def test_two_workers_never_hold_the_same_job(queue: Queue) -> None:
    queue.add(*"0123456789")
    claimed = [queue.claim(f"w{k % 3}").id for k in range(10)]
    assert len(set(claimed)) == 10


def test_complete_stores_everything(queue: Queue, prediction: Prediction) -> None:
    queue.add("a")
    queue.complete(queue.claim(), prediction)
    instance = queue.instance("ia")
    assert instance.state is InstanceState.DONE
    assert (instance.width_px, instance.has_thumbnail) == (80, True)
    assert instance.prediction is not None
    assert instance.prediction.identity == prediction.identity
    for stored, told in zip(instance.prediction.outputs, prediction.outputs, strict=True):
        assert (stored.name, stored.probability, stored.threshold) == (told.name, told.probability, told.threshold)
        np.testing.assert_array_equal(stored.heatmap.values, told.heatmap.values)


def test_the_same_content_shares_one_prediction(queue: Queue, prediction: Prediction) -> None:
    queue.add("a")
    new = [NewInstance(uid="again", file_name="copy.png", sha256="a" * 64, size_bytes=1)]
    queue.studies.add(uid="s2", created_at=queue.clock(), user_id=1, instances=new)
    for _ in range(2):
        queue.complete(queue.claim(), prediction)
    first, second = queue.instance("ia"), queue.instance("again")
    assert first.prediction is not None
    assert second.prediction is not None
    assert first.predicted_at == second.predicted_at is not None


def test_refused_is_final_and_has_its_reason(queue: Queue) -> None:
    queue.add("a")
    queue.jobs.refuse(queue.claim(), SMALL, NotRead.UNSUPPORTED)
    instance = queue.instance("ia")
    assert (instance.state, instance.error, instance.prediction) == (InstanceState.REFUSED, SMALL, None)
    assert queue.jobs.claim("w", 1) == ()


def test_a_failure_is_tried_again_then_given_up(queue: Queue) -> None:
    queue.add("a")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert queue.instance("ia").state is InstanceState.QUEUED
        job = queue.claim()
        assert job.attempt == attempt
        queue.jobs.fail(job, BROKE)
    instance = queue.instance("ia")
    assert (instance.state, instance.error) == (InstanceState.FAILED, BROKE)


def test_a_lease_that_ended_is_claimed_by_another(queue: Queue, prediction: Prediction) -> None:
    queue.add("a")
    slow = queue.claim("slow")
    assert queue.jobs.claim("quick", 1) == ()
    queue.clock.forward(LEASE_S + 1)
    quick = queue.claim("quick")
    assert quick.attempt == 2
    for outcome in (
        lambda: queue.complete(slow, prediction),
        lambda: queue.jobs.refuse(slow, SMALL, NotRead.UNSUPPORTED),
        lambda: queue.jobs.fail(slow, BROKE),
    ):
        _lost(outcome)
    queue.complete(quick, prediction)
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
    assert "3 times" in str(instance.error)


def test_a_batch_is_claimed_at_once_in_order(queue: Queue) -> None:
    queue.add(*"abcde")
    assert [job.instance_uid for job in queue.jobs.claim("w", 3)] == ["ia", "ib", "ic"]
    assert [job.instance_uid for job in queue.jobs.claim("w", 3)] == ["id", "ie"]


def test_what_was_attempted_before_is_claimed_alone(queue: Queue) -> None:
    queue.add(*"abcd")
    queue.jobs.claim("w", 2)
    queue.jobs.release_all("w")  # it died with a and b in hand; one of them may have killed it
    claimed = [[job.instance_uid for job in queue.jobs.claim("w", 3)] for _ in range(3)]
    assert claimed == [["ia"], ["ib"], ["ic", "id"]]


def test_an_image_that_kills_its_worker_takes_no_other_with_it(queue: Queue, prediction: Prediction) -> None:
    queue.add(*"abcd")
    for _ in range(20):
        jobs = queue.jobs.claim("w", 3)
        if any(job.instance_uid == "ib" for job in jobs):
            queue.jobs.release_all("w")
            continue
        for job in jobs:
            queue.complete(job, prediction)
    states = {uid: queue.instance(uid).state for uid in ("ia", "ib", "ic", "id")}
    done = InstanceState.DONE
    assert states == {"ia": done, "ib": InstanceState.FAILED, "ic": done, "id": done}


def test_what_is_given_back_was_no_attempt(queue: Queue) -> None:
    queue.add("a")
    for _ in range(MAX_ATTEMPTS + 1):
        job = queue.claim()
        assert job.attempt == 1
        queue.jobs.give_back(job)
        assert queue.instance("ia").state is InstanceState.QUEUED
    _lost(lambda: queue.jobs.give_back(job))


def test_the_image_looked_at_comes_first_then_the_open_page(queue: Queue) -> None:
    queue.add(*"abc")
    queue.add(*"def")
    queue.jobs.raise_priority_of_study("sdef", ALL_PROJECTS, Priority.ON_A_PAGE, 2)
    queue.jobs.raise_priority("ic", ALL_PROJECTS, Priority.LOOKED_AT)
    queue.jobs.raise_priority("ic", ALL_PROJECTS, Priority.ON_A_PAGE)  # never lowered
    claimed = [[job.instance_uid for job in queue.jobs.claim("w", 6)] for _ in range(3)]
    assert claimed == [["ic"], ["id", "ie"], ["ia", "ib", "if"]]


def test_a_page_raises_the_next_images_that_still_wait(queue: Queue) -> None:
    queue.add(*"abc")
    queue.add(*"def")
    queue.jobs.raise_priority_of_study("sdef", ALL_PROJECTS, Priority.ON_A_PAGE, 1)
    assert queue.claim().instance_uid == "id"
    queue.jobs.raise_priority_of_study("sdef", ALL_PROJECTS, Priority.ON_A_PAGE, 1)
    assert queue.claim().instance_uid == "ie"
    assert queue.claim().instance_uid == "ia"


def test_a_content_answered_before_is_completed_unread(queue: Queue, prediction: Prediction) -> None:
    queue.add("a")
    identity = prediction.identity
    job = queue.claim()
    assert not queue.predictions.complete_known(job, identity)
    queue.complete(job, prediction)
    new = [NewInstance(uid="again", file_name="copy.png", sha256="a" * 64, size_bytes=1)]
    queue.studies.add(uid="s2", created_at=queue.clock(), user_id=1, instances=new)
    job = queue.claim()
    for other in ({"engine": "other"}, {"precision": "bf16"}, {"bundle_sha256": "0" * 64}):
        assert not queue.predictions.complete_known(job, replace(identity, **other))
    assert queue.predictions.complete_known(job, identity)
    first, second = queue.instance("ia"), queue.instance("again")
    assert (second.state, second.width_px, second.has_thumbnail) == (InstanceState.DONE, 80, True)
    assert first.prediction is not None
    assert second.prediction is not None
    assert first.predicted_at == second.predicted_at is not None


def test_a_claim_reads_the_queue_in_its_index_order(queue: Queue) -> None:
    plan = " ".join(str(row) for row in queue.explain_claim())
    assert "ix_jobs_queue" in plan
    assert "TEMP B-TREE" not in plan


def test_heartbeats(queue: Queue) -> None:
    queue.jobs.heartbeat("w", WorkerState.WARMING, "")
    queue.jobs.heartbeat("w", WorkerState.READY, "b7")
    queue.clock.forward(7)
    (status,) = queue.jobs.workers()
    assert (status.name, status.state, status.detail, status.age_s) == ("w", WorkerState.READY, "b7", 7.0)
