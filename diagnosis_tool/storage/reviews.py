"""Reviews in the database: one row a revision, none ever changed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, insert, select

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.reviews import (
    Opinion,
    Review,
    ReviewBox,
    ReviewConflict,
    ReviewState,
    Revision,
    Verdict,
    after_change,
)
from diagnosis_tool.errors import Conflict, NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.database import read_transaction, write_transaction
from diagnosis_tool.storage.instances import is_seen

_NEWER = gettext_noop(
    "%(by)s changed this review meanwhile. Nothing of yours was stored: look at what is new, then save again."
)
_SIGNED = gettext_noop("This review was signed by %(by)s already, and nothing changed since.")


class ReviewStore:
    """Reads reviews of an image's current prediction, and adds revisions to them. All take whose studies there are."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def get(self, instance_uid: str, projects: Projects) -> Review:
        """The newest revision with its history; revision 0 while there is none. Raises NotFound."""
        with read_transaction(self._engine) as db:
            return _review(db, _subject(db, instance_uid, projects))

    def all(self, study_uids: Sequence[str] | None, projects: Projects) -> Iterator[tuple[str, Review]]:
        """(instance uid, newest revision of its current prediction), studies in the order they came; None: of all.

        One image is in memory at a time.
        """
        i, s, p, r = t.instances.c, t.studies.c, t.predictions.c, t.reviews.c
        query = (
            select(i.uid)
            .join_from(t.instances, t.studies)
            .join(t.predictions, p.id == i.prediction_id)
            .join(t.reviews, and_(r.instance_id == i.id, r.bundle_sha256 == p.bundle_sha256))
            .where(is_seen(projects))
            .distinct()
            .order_by(i.study_id, i.position)
        )
        if study_uids is not None:
            query = query.where(s.uid.in_(study_uids))
        with read_transaction(self._engine) as db:
            uids = db.execute(query).scalars().all()
        for uid in uids:
            yield uid, self.get(uid, projects)

    def save(
        self,
        instance_uid: str,
        opinion: Opinion,
        projects: Projects,
        *,
        based_on: int,
        user_id: int,
        row: AuditRow | None = None,
    ) -> Review:
        """Adds a revision, `row` beside it.

        Raises ReviewConflict unless `based_on` is the newest, Conflict for an unread image.
        """
        with write_transaction(self._engine) as db:
            subject = _subject(db, instance_uid, projects)
            current = _expected(db, subject, based_on)
            self._add(db, subject, current, opinion, state=after_change(current.state), user_id=user_id, row=row)
            return _review(db, subject)

    def sign(
        self, instance_uid: str, projects: Projects, *, based_on: int, user_id: int, row: AuditRow | None = None
    ) -> Review:
        """Adds a signed revision of the same content. Raises as save, and ReviewConflict when it is signed already."""
        with write_transaction(self._engine) as db:
            subject = _subject(db, instance_uid, projects)
            current = _expected(db, subject, based_on)
            if current.state is ReviewState.SIGNED:
                raise ReviewConflict(_SIGNED, current, by=current.signed_by)
            self._add(db, subject, current, current.opinion, state=ReviewState.SIGNED, user_id=user_id, row=row)
            return _review(db, subject)

    def _add(
        self,
        db: Connection,
        subject: Any,
        current: Review,
        opinion: Opinion,
        *,
        state: ReviewState,
        user_id: int,
        row: AuditRow | None,
    ) -> None:
        now = self._now()
        last = _rows(db, subject)[-1:]
        signed = (
            (user_id, now) if state is ReviewState.SIGNED else next(((r.signed_by, r.signed_at) for r in last), None)
        )
        db.execute(
            insert(t.reviews).values(
                instance_id=subject.id,
                bundle_sha256=subject.bundle_sha256,
                bundle=current.bundle,
                revision=current.revision + 1,
                state=state,
                verdicts={name: str(verdict) for name, verdict in opinion.verdicts.items()},
                added=list(opinion.added),
                note=opinion.note,
                boxes=[[box.finding, box.x, box.y, box.width, box.height] for box in opinion.boxes],
                user_id=user_id,
                created_at=now,
                signed_by=signed[0] if signed else None,
                signed_at=signed[1] if signed else None,
            )
        )
        worklist.refresh(db, [subject.study_id])
        if row is not None:
            row.write(db, study_uids=[subject.study_uid], instance_uid=subject.uid)


def _subject(db: Connection, instance_uid: str, projects: Projects) -> Any:
    i, p = t.instances.c, t.predictions.c
    row = db.execute(
        select(
            i.id,
            i.uid,
            i.study_id,
            t.studies.c.uid.label("study_uid"),
            p.bundle_sha256,
            p.bundle_name,
            p.bundle_version,
        )
        .join_from(t.instances, t.studies)
        .outerjoin(t.predictions, p.id == i.prediction_id)
        .where(i.uid == instance_uid, is_seen(projects))
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such image. Its study may have been deleted; go back to the worklist.")
    return row


def _expected(db: Connection, subject: Any, based_on: int) -> Review:
    if subject.bundle_sha256 is None:
        raise Conflict("This image is not read, so there is nothing to review yet.")
    current = _review(db, subject)
    if current.revision != based_on:
        by = current.history[-1].by if current.history else "Somebody"
        raise ReviewConflict(_NEWER, current, by=by)
    return current


def _rows(db: Connection, subject: Any) -> Sequence[Any]:
    r = t.reviews.c
    signers = t.users.alias()
    return db.execute(
        select(t.reviews, t.users.c.name.label("reader"), signers.c.name.label("signer"))
        .join_from(t.reviews, t.users, r.user_id == t.users.c.id)
        .outerjoin(signers, r.signed_by == signers.c.id)
        .where(r.instance_id == subject.id, r.bundle_sha256 == subject.bundle_sha256)
        .order_by(r.revision)
    ).all()


def _review(db: Connection, subject: Any) -> Review:
    bundle = None if subject.bundle_sha256 is None else f"{subject.bundle_name}-{subject.bundle_version}"
    rows = _rows(db, subject)
    if not rows:
        return Review(bundle=bundle)
    last = rows[-1]
    return Review(
        bundle=bundle,
        revision=last.revision,
        opinion=opinion_of(last),
        state=ReviewState(last.state),
        signed_by=last.signer,
        signed_at=last.signed_at,
        history=tuple(
            Revision(number=row.revision, by=row.reader, at=row.created_at, state=ReviewState(row.state))
            for row in rows
        ),
    )


def opinion_of(row: Any) -> Opinion:
    """What a row of t.reviews says."""
    return Opinion(
        verdicts={name: Verdict(verdict) for name, verdict in row.verdicts.items()},
        added=tuple(row.added),
        note=row.note,
        boxes=tuple(
            ReviewBox(finding=finding, x=x, y=y, width=width, height=height)
            for finding, x, y, width, height in row.boxes
        ),
    )
