"""The queue: leased rows in the database. The job table is the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, and_, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from diagnosis_tool.cxr.types import Reading
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Job, JobState, WorkerState, WorkerStatus
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.errors import Conflict
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.session import reading, writing

LEASE_S: Final = 120.0
"""Far longer than any reading takes: a worker that holds a job this long hangs."""
BROKE_DOWN: Final = (
    f"Reading this image broke down {MAX_ATTEMPTS} times. Nothing is known about it; try another export of the image."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedReading:
    """What a worker made of one image: the model's reading and what the pages need."""

    reading: Reading
    width_px: int
    height_px: int
    thumbnail_jpeg: bytes
    seconds: float


class JobStore:
    """Claims jobs and records what became of them; every transition is one transaction."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def claim(self, worker: str) -> Job | None:
        """Leases the next job to this worker; None when there is none.

        Open are queued jobs, and leased ones whose lease has ended. A job that was attempted MAX_ATTEMPTS times is
        closed instead, its image marked failed.
        """
        j = t.jobs.c
        query = (
            select(j.id, j.instance_id, j.attempts, t.instances.c.uid, t.instances.c.sha256, t.instances.c.size_bytes)
            .join_from(t.jobs, t.instances)
            .where(or_(j.state == JobState.QUEUED, and_(j.state == JobState.LEASED, j.lease_until < self._now())))
            .order_by(j.priority.desc(), j.id)
            .limit(1)
        )
        with reading(self._engine) as db:  # an idle worker never takes the write lock
            if db.execute(query).one_or_none() is None:
                return None
        with writing(self._engine) as db:
            while True:
                row = db.execute(query).one_or_none()
                if row is None:
                    return None
                if row.attempts >= MAX_ATTEMPTS:
                    self._close(db, row.id, row.instance_id, InstanceState.FAILED, BROKE_DOWN)
                    continue
                self._lease(db, row.id, row.instance_id, worker, row.attempts + 1)
                return Job(
                    id=row.id,
                    instance_id=row.instance_id,
                    instance_uid=row.uid,
                    image_sha256=row.sha256,
                    size_bytes=row.size_bytes,
                    worker=worker,
                    attempt=row.attempts + 1,
                )

    def release_all(self, worker: str) -> int:
        """Puts back what this worker held when it died: called when it starts again. Returns how many."""
        with writing(self._engine) as db:
            held = select(t.jobs.c.instance_id).where(t.jobs.c.worker == worker, t.jobs.c.state == JobState.LEASED)
            db.execute(update(t.instances).where(t.instances.c.id.in_(held)).values(state=InstanceState.QUEUED))
            return db.execute(
                update(t.jobs)
                .where(t.jobs.c.worker == worker, t.jobs.c.state == JobState.LEASED)
                .values(state=JobState.QUEUED, worker=None, lease_until=None)
            ).rowcount

    def complete(self, job: Job, finished: FinishedReading) -> None:
        """Stores the prediction and marks the image done. Raises Conflict when the lease was lost meanwhile."""
        with writing(self._engine) as db:
            self._check_lease(db, job)
            self._store_picture(db, job, finished.width_px, finished.height_px, finished.thumbnail_jpeg)
            prediction_id = self._store_prediction(db, job.image_sha256, finished)
            db.execute(
                update(t.instances).where(t.instances.c.id == job.instance_id).values(prediction_id=prediction_id)
            )
            self._close(db, job.id, job.instance_id, InstanceState.DONE, None)

    def refuse(self, job: Job, message: str) -> None:
        """Marks the image refused, with the reason for the reader. Raises Conflict when the lease was lost."""
        with writing(self._engine) as db:
            self._check_lease(db, job)
            self._close(db, job.id, job.instance_id, InstanceState.REFUSED, message)

    def fail(self, job: Job, message: str) -> None:
        """Puts the job back for another attempt, or marks the image failed after the last one.

        Raises Conflict when the lease was lost.
        """
        with writing(self._engine) as db:
            self._check_lease(db, job)
            if job.attempt >= MAX_ATTEMPTS:
                self._close(db, job.id, job.instance_id, InstanceState.FAILED, message)
                return
            db.execute(update(t.jobs).where(t.jobs.c.id == job.id).values(state=JobState.QUEUED, worker=None))
            db.execute(
                update(t.instances).where(t.instances.c.id == job.instance_id).values(state=InstanceState.QUEUED)
            )

    def heartbeat(self, worker: str, state: WorkerState, detail: str) -> None:
        """Records that the worker lives."""
        values = {"state": state, "detail": detail, "seen_at": self._now()}
        with writing(self._engine) as db:
            db.execute(
                upsert(t.workers).values(name=worker, **values).on_conflict_do_update([t.workers.c.name], set_=values)
            )

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Each worker's last sign of life."""
        with reading(self._engine) as db:
            rows = db.execute(select(t.workers).order_by(t.workers.c.name)).all()
        return tuple(
            WorkerStatus(
                name=row.name,
                state=WorkerState(row.state),
                detail=row.detail,
                age_s=(self._now() - row.seen_at).total_seconds(),
            )
            for row in rows
        )

    def _lease(self, db: Connection, job_id: int, instance_id: int, worker: str, attempt: int) -> None:
        db.execute(
            update(t.jobs)
            .where(t.jobs.c.id == job_id)
            .values(
                state=JobState.LEASED,
                worker=worker,
                attempts=attempt,
                lease_until=self._now() + timedelta(seconds=LEASE_S),
            )
        )
        db.execute(update(t.instances).where(t.instances.c.id == instance_id).values(state=InstanceState.READING))

    def _close(self, db: Connection, job_id: int, instance_id: int, state: InstanceState, error: str | None) -> None:
        db.execute(
            update(t.jobs)
            .where(t.jobs.c.id == job_id)
            .values(state=JobState.DONE, finished_at=self._now(), lease_until=None)
        )
        db.execute(update(t.instances).where(t.instances.c.id == instance_id).values(state=state, error=error))

    @staticmethod
    def _check_lease(db: Connection, job: Job) -> None:
        j = t.jobs.c
        mine = (j.id == job.id, j.state == JobState.LEASED, j.worker == job.worker, j.attempts == job.attempt)
        if db.execute(select(j.id).where(*mine)).one_or_none() is None:
            raise Conflict(f"Job {job.id} was taken over by another worker.")

    @staticmethod
    def _store_picture(db: Connection, job: Job, width_px: int, height_px: int, thumbnail_jpeg: bytes) -> None:
        db.execute(
            upsert(t.thumbnails).values(image_sha256=job.image_sha256, jpeg=thumbnail_jpeg).on_conflict_do_nothing()
        )
        db.execute(
            update(t.instances)
            .where(t.instances.c.id == job.instance_id)
            .values(width_px=width_px, height_px=height_px)
        )

    def _store_prediction(self, db: Connection, image_sha256: str, finished: FinishedReading) -> int:
        identity = finished.reading.identity
        key = {
            "image_sha256": image_sha256,
            "bundle_sha256": identity.bundle_sha256,
            "engine": identity.engine,
            "precision": identity.precision,
        }
        p = t.predictions.c
        known = db.execute(select(p.id).where(*(p[k] == v for k, v in key.items()))).scalar_one_or_none()
        if known is not None:
            return int(known)
        prediction_id = db.execute(
            insert(t.predictions)
            .values(
                **key,
                bundle_name=identity.bundle_name,
                bundle_version=identity.bundle_version,
                created_at=self._now(),
                seconds=finished.seconds,
            )
            .returning(p.id)
        ).scalar_one()
        db.execute(
            insert(t.prediction_outputs),
            [
                {
                    "prediction_id": prediction_id,
                    "position": position,
                    "name": output.name,
                    "kind": output.kind,
                    "logit": output.logit,
                    "probability": output.probability,
                    "threshold": output.threshold,
                    "heatmap": output.heatmap.values.tobytes(),
                    "heatmap_height": output.heatmap.values.shape[0],
                    "heatmap_width": output.heatmap.values.shape[1],
                    "heatmap_scale": output.heatmap.scale,
                }
                for position, output in enumerate(finished.reading.outputs)
            ],
        )
        return int(prediction_id)
