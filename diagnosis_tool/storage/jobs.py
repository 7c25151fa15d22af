"""The queue: leased rows in the database. The job table is the truth; predictions are storage.predictions' matter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, func, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.audit import Action, Event, NotRead, Outcome
from diagnosis_tool.domain.jobs import MAX_ATTEMPTS, Job, JobState, Priority, WorkerState, WorkerStatus
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.studies import ImageFacts, InstanceState, Reason
from diagnosis_tool.errors import Conflict, NotFound, StorageFull
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist
from diagnosis_tool.storage.audit import AuditLog, AuditRow
from diagnosis_tool.storage.database import read_transaction, write_transaction
from diagnosis_tool.storage.instances import facts_row, is_seen, reason_text, store_facts

LEASE_S: Final = 120.0
"""Far longer than any image takes: a worker that holds a job this long hangs."""
RAISED_AT_ONCE: Final = 4
"""A page that is open raises so many images at a time, so that a large study cannot crowd out another page's."""
_BROKE_DOWN: Final = Reason(
    message=gettext_noop(
        "Reading this image broke down %(n)s times. Nothing is known about it; try another export of the image."
    ),
    values={"n": str(MAX_ATTEMPTS)},
)

_OUTCOMES: Final = {
    InstanceState.DONE: Outcome.SUCCESS,
    InstanceState.REFUSED: Outcome.REFUSED,
    InstanceState.FAILED: Outcome.FAILED,
}
_waiting: Final = t.jobs.alias()
_HIGHEST: Final = select(func.max(_waiting.c.priority)).where(_waiting.c.state == JobState.QUEUED).scalar_subquery()
_QUEUE: Final = (
    select(
        t.jobs.c.id,
        t.jobs.c.instance_id,
        t.jobs.c.attempts,
        t.instances.c.uid,
        t.instances.c.sha256,
        t.instances.c.size_bytes,
    )
    .join_from(t.jobs, t.instances)
    .where(t.jobs.c.state == JobState.QUEUED, t.jobs.c.priority == _HIGHEST)
    .order_by(t.jobs.c.id)  # of one priority: ix_jobs_queue holds them in this order, so none is sorted
)


class JobStore:
    """Claims jobs and records what became of them; every transition is one transaction, its audit row with it."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], audit: AuditLog) -> None:
        self._engine = engine
        self._now = now
        self._audit = audit

    def claim(self, worker: str, limit: int, least: Priority = Priority.SLOW) -> tuple[Job, ...]:
        """Leases the next jobs, at most `limit`, to this worker: of the highest priority that waits, as they were sent.

        Jobs whose lease has ended are open again. A job that was attempted before comes alone: whatever breaks its
        worker must not count against others. One that was attempted MAX_ATTEMPTS times is closed instead, its image
        marked failed. Nothing below the priority `least` is claimed.
        """
        queue = _QUEUE.where(t.jobs.c.priority >= least)
        with read_transaction(self._engine) as db:  # an idle worker never takes the write lock
            if db.execute(queue.limit(1)).one_or_none() is None and not self._expired(db):
                return ()
        claimed: list[Job] = []
        with write_transaction(self._engine) as db:
            self._put_back(db, self._expired(db))
            while not claimed and (rows := db.execute(queue.limit(limit)).all()):
                for row in rows:
                    job = _job(row, worker)
                    if row.attempts >= MAX_ATTEMPTS:
                        self.close(db, job, InstanceState.FAILED, detail=NotRead.BROKE_DOWN, error=_BROKE_DOWN)
                    elif row.attempts == 0 or not claimed:
                        self._lease(db, job)
                        claimed.append(job)
                    if row.attempts > 0 and claimed:
                        break
            worklist.begin(db, [job.instance_id for job in claimed])
        return tuple(claimed)

    def raise_priority(self, instance_uid: str, projects: Projects, priority: Priority) -> None:
        """Raises the image's job, if it still waits, to this priority; on a full disk all waits as it does.

        What was found slow stays where it is: whoever looks at such images must not hold others up.
        """
        image = select(t.instances.c.id).join_from(t.instances, t.studies)
        self._raise(image.where(t.instances.c.uid == instance_uid, is_seen(projects)), priority)

    def raise_priority_of_study(
        self, study_uid: str, projects: Projects, priority: Priority, count: int = RAISED_AT_ONCE
    ) -> None:
        """Raises the first `count` jobs of the study that still wait to this priority, as `raise_priority`."""
        i, j = t.instances.c, t.jobs.c
        first = (
            select(i.id)
            .join_from(t.instances, t.studies)
            .join(t.jobs, j.instance_id == i.id)
            .where(
                t.studies.c.uid == study_uid, is_seen(projects), j.state == JobState.QUEUED, j.priority > Priority.SLOW
            )
            .order_by(i.position)
            .limit(count)
        )
        self._raise(first, priority)

    def give_back(self, job: Job) -> None:
        """Puts back a job that was claimed and not begun; it counts as no attempt. Raises Conflict when it was lost."""
        with self.held(job) as db:
            self._put_back(db, [job.id])
            db.execute(update(t.jobs).where(t.jobs.c.id == job.id).values(attempts=job.attempt - 1))

    def defer(self, job: Job) -> None:
        """Puts back a job whose image takes long to decode, to wait until nothing else does; it counts as no attempt.

        Raises Conflict when it was lost.
        """
        with self.held(job) as db:
            self._put_back(db, [job.id])
            waits = {"attempts": job.attempt - 1, "priority": Priority.SLOW}
            db.execute(update(t.jobs).where(t.jobs.c.id == job.id).values(**waits))

    def release_all(self, worker: str, *, counted: bool = True) -> int:
        """Puts back what a worker that starts again held when it died, counted as an attempt or not; how many."""
        j = t.jobs.c
        with write_transaction(self._engine) as db:
            held = db.execute(select(j.id).where(j.worker == worker, j.state == JobState.LEASED)).scalars().all()
            self._put_back(db, held)
            if not counted:
                db.execute(update(t.jobs).where(j.id.in_(held), j.attempts > 0).values(attempts=j.attempts - 1))
        return len(held)

    def refuse(self, job: Job, reason: Reason, why: NotRead, facts: ImageFacts | None = None) -> None:
        """Marks the image refused. Raises Conflict when the lease was lost.

        why: for the audit log and metrics. facts: when the image could be decoded at least.
        """
        with self.held(job) as db:
            if facts is not None:
                store_facts(db, job.instance_id, facts_row(facts))
            self.close(db, job, InstanceState.REFUSED, detail=why, error=reason)

    def fail(self, job: Job, reason: Reason) -> None:
        """Puts the job back for another attempt, or marks the image failed after the last one.

        Raises Conflict when the lease was lost.
        """
        with self.held(job) as db:
            if job.attempt >= MAX_ATTEMPTS:
                self.close(db, job, InstanceState.FAILED, detail=NotRead.BROKE_DOWN, error=reason)
            else:
                self._put_back(db, [job.id])

    @contextmanager
    def held(self, job: Job) -> Iterator[Connection]:
        """A write transaction in which the job is still this worker's. Raises Conflict when its lease was lost."""
        j = t.jobs.c
        mine = (j.id == job.id, j.state == JobState.LEASED, j.worker == job.worker, j.attempts == job.attempt)
        with write_transaction(self._engine) as db:
            if db.execute(select(j.id).where(*mine)).one_or_none() is None:
                raise Conflict("Job %(job)s was taken over by another worker.", job=job.id)
            yield db

    def close(
        self, db: Connection, job: Job, state: InstanceState, *, detail: str, error: Reason | None = None
    ) -> None:
        """The job is over, its image in this state for the reason `error`; detail: for the audit row."""
        i = t.instances.c
        db.execute(
            update(t.jobs)
            .where(t.jobs.c.id == job.id)
            .values(state=JobState.DONE, finished_at=self._now(), lease_until=None)
        )
        db.execute(update(t.instances).where(i.id == job.instance_id).values(state=state, error=reason_text(error)))
        worklist.refresh_of(db, [job.instance_id])
        study_uid = select(t.studies.c.uid).join_from(t.instances, t.studies).where(i.id == job.instance_id)
        event = Event(
            action=Action.PREDICT,
            outcome=_OUTCOMES[state],
            user_name=job.worker,
            study_uid=db.execute(study_uid).scalar_one(),
            instance_uid=job.instance_uid,
            detail=detail,
        )
        self._audit.append(db, [event])

    def retry(self, instance_uid: str, projects: Projects, *, row: AuditRow | None = None) -> None:
        """Queues an image again that failed, `row` beside it. Raises NotFound, and Conflict when it did not fail."""
        i, j = t.instances.c, t.jobs.c
        with write_transaction(self._engine) as db:
            image = db.execute(
                select(i.id, i.state, j.id.label("job_id"), t.studies.c.uid.label("study_uid"))
                .join_from(t.instances, t.jobs)
                .join(t.studies)
                .where(i.uid == instance_uid, is_seen(projects))
            ).one_or_none()
            if image is None:
                raise NotFound("There is no such image. Its study may have been deleted; go back to the worklist.")
            if image.state != InstanceState.FAILED:
                raise Conflict("Only an image whose reading failed can be tried again. Reload the page.")
            db.execute(update(t.jobs).where(j.id == image.job_id).values(attempts=0, finished_at=None))
            db.execute(update(t.instances).where(i.id == image.id).values(error=None))
            self._put_back(db, [image.job_id])
            if row is not None:
                row.write(db, study_uids=[image.study_uid], instance_uid=instance_uid)

    def heartbeat(self, worker: str, state: WorkerState, detail: str) -> None:
        """Records that the worker lives, and notes the head of the audit log that its rows were added to."""
        values = {"state": state, "detail": detail, "seen_at": self._now()}
        with write_transaction(self._engine) as db:
            db.execute(
                upsert(t.workers).values(name=worker, **values).on_conflict_do_update([t.workers.c.name], set_=values)
            )
        self._audit.note_head()

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Each worker's last sign of life."""
        with read_transaction(self._engine) as db:
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

    def _expired(self, db: Connection) -> Sequence[int]:
        j = t.jobs.c
        query = select(j.id).where(j.state == JobState.LEASED, j.lease_until < self._now())
        return db.execute(query).scalars().all()

    @staticmethod
    def _put_back(db: Connection, job_ids: Sequence[int]) -> None:
        j, i = t.jobs.c, t.instances.c
        db.execute(update(t.jobs).where(j.id.in_(job_ids)).values(state=JobState.QUEUED, worker=None, lease_until=None))
        held = select(j.instance_id).where(j.id.in_(job_ids))
        instance_ids = db.execute(
            update(t.instances).where(i.id.in_(held)).values(state=InstanceState.QUEUED).returning(i.id)
        ).scalars()
        worklist.refresh_of(db, instance_ids.all())

    def _raise(self, instance_ids: Select[tuple[int]], priority: Priority) -> None:
        j = t.jobs.c
        lower = (j.state == JobState.QUEUED, j.priority < priority, j.priority > Priority.SLOW)
        with read_transaction(self._engine) as db:  # a page that asks again and again takes the write lock once
            jobs = db.execute(select(j.id).where(j.instance_id.in_(instance_ids), *lower)).scalars().all()
        if jobs:
            with suppress(StorageFull), write_transaction(self._engine) as db:
                db.execute(update(t.jobs).where(j.id.in_(jobs), *lower).values(priority=priority))

    def _lease(self, db: Connection, job: Job) -> None:
        lease = {"worker": job.worker, "lease_until": self._now() + timedelta(seconds=LEASE_S)}
        db.execute(
            update(t.jobs).where(t.jobs.c.id == job.id).values(state=JobState.LEASED, attempts=job.attempt, **lease)
        )
        db.execute(update(t.instances).where(t.instances.c.id == job.instance_id).values(state=InstanceState.READING))


def add_jobs(db: Connection, study_id: int, created_at: datetime) -> None:
    """Queues all images of a new study, in the order in which they were sent."""
    new = {"state": JobState.QUEUED, "priority": Priority.NORMAL, "attempts": 0, "created_at": created_at}
    columns = [literal(value, t.jobs.c[name].type) for name, value in new.items()]
    images = select(t.instances.c.id, *columns).where(t.instances.c.study_id == study_id)
    db.execute(insert(t.jobs).from_select(["instance_id", *new], images.order_by(t.instances.c.position)))


def _job(row: Any, worker: str) -> Job:
    return Job(
        id=row.id,
        instance_id=row.instance_id,
        instance_uid=row.uid,
        image_sha256=row.sha256,
        size_bytes=row.size_bytes,
        worker=worker,
        attempt=row.attempts + 1,
    )
