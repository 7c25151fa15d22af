"""What is counted for operators: the queue as it is, and what the audit log says has happened since."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, func, select, text

from diagnosis_tool.domain.audit import Action
from diagnosis_tool.domain.jobs import JobState
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.database import read_transaction

_AT_ONCE: Final = 2000
_COUNTED: Final = (Action.UPLOAD, Action.PREDICT, Action.SIGN_IN, Action.EXPORT, Action.DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMetrics:
    """Images that wait and that a worker holds; how long the oldest has waited, 0 when none waits."""

    waiting: int
    leased: int
    oldest_wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedEvent:
    """A row of the audit log as far as it is counted.

    prediction_id, wait_s, predict_s: of a PREDICT whose image is still there; wait_s: from upload to its start.
    """

    seq: int
    action: str
    outcome: str
    detail: str
    prediction_id: int | None
    wait_s: float | None
    predict_s: float | None


class MetricStore:
    """Counts; changes nothing."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def is_readable(self) -> bool:
        """True when the database can be read and has a schema."""
        with read_transaction(self._engine) as db:
            return bool(db.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1)

    def queue(self) -> QueueMetrics:
        """The queue as it is now."""
        j = t.jobs.c
        with read_transaction(self._engine) as db:
            open_jobs = select(j.state, func.count(), func.min(j.created_at)).where(j.state != JobState.DONE)
            found = {state: (n, oldest) for state, n, oldest in db.execute(open_jobs.group_by(j.state))}
        waiting, oldest = found.get(JobState.QUEUED, (0, None))
        age_s = (self._now() - oldest).total_seconds() if oldest else 0.0
        return QueueMetrics(
            waiting=waiting, leased=found.get(JobState.LEASED, (0, None))[0], oldest_wait_s=max(age_s, 0.0)
        )

    def newest(self) -> int:
        """The number of the audit log's newest row; 0 while there is none."""
        with read_transaction(self._engine) as db:
            return int(db.execute(select(func.coalesce(func.max(t.audit.c.seq), 0))).scalar_one())

    def events(self, after: int) -> tuple[CountedEvent, ...]:
        """Rows after this number, at most a few thousand, oldest first."""
        a, i, j, p = t.audit.c, t.instances.c, t.jobs.c, t.predictions.c
        query = (
            select(a.seq, a.action, a.outcome, a.detail, p.id, p.seconds, j.created_at, j.finished_at)
            .select_from(t.audit)
            .outerjoin(t.instances, i.uid == a.instance_uid)
            .outerjoin(t.predictions, p.id == i.prediction_id)
            .outerjoin(t.jobs, j.instance_id == i.id)
            .where(a.seq > after, a.action.in_(_COUNTED))
            .order_by(a.seq)
            .limit(_AT_ONCE)
        )
        with read_transaction(self._engine) as db:
            rows = db.execute(query).all()
        return tuple(
            CountedEvent(
                seq=row.seq,
                action=row.action,
                outcome=row.outcome,
                detail=row.detail,
                prediction_id=row.id,
                wait_s=_wait_s(row.created_at, row.finished_at, row.seconds),
                predict_s=row.seconds,
            )
            for row in rows
        )


def _wait_s(created_at: datetime | None, finished_at: datetime | None, predict_s: float | None) -> float | None:
    if created_at is None or finished_at is None:
        return None
    return max((finished_at - created_at).total_seconds() - (predict_s or 0.0), 0.0)
