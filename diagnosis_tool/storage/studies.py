"""Studies and their images in the database."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, true, union_all

from diagnosis_tool.domain.jobs import JobState, Priority
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.studies import Instance, InstanceState, Study, StudyProgress
from diagnosis_tool.errors import NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.database import read_transaction, write_transaction
from diagnosis_tool.storage.instances import instance_of, select_instances
from diagnosis_tool.storage.predictions import forget_contents, predictions_of
from diagnosis_tool.storage.users import first_project

_NO_STUDY: Final = gettext_noop("There is no such study. It may have been deleted; go back to the worklist.")
_NO_INSTANCE: Final = gettext_noop("There is no such image. Its study may have been deleted; go back to the worklist.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """An instance to be stored; its blob is already durable."""

    uid: str
    file_name: str
    sha256: str
    size_bytes: int


class StudyStore:
    """Reads studies, and adds them with their jobs.

    projects: whose studies there are; those of other projects are as if there were none. None: all.
    """

    def __init__(self, engine: Engine, projects: Collection[int] | None = None) -> None:
        self._engine = engine
        self._projects = projects

    def within(self, projects: Collection[int]) -> "StudyStore":
        """The same store, as who belongs to these projects sees it."""
        return StudyStore(self._engine, projects)

    def _is_seen(self) -> ColumnElement[bool]:
        return true() if self._projects is None else t.studies.c.project_id.in_(list(self._projects))

    def add(
        self,
        *,
        uid: str,
        created_at: datetime,
        user_id: int,
        instances: Sequence[NewInstance],
        patient: str | None = None,
        project_id: int | None = None,
        check: Callable[[], None] = lambda: None,
        row: AuditRow | None = None,
    ) -> Study:
        """One transaction: the study, its instances in this order, and a queued job for each.

        patient: whose images they are, where the files do not say. project_id: None is the user's first one.
        check: called last; what it raises undoes all. row: written beside it.
        """
        with write_transaction(self._engine) as db:
            study_id = db.execute(
                insert(t.studies)
                .values(
                    uid=uid,
                    created_at=created_at,
                    user_id=user_id,
                    patient=patient,
                    project_id=project_id or first_project(user_id),
                )
                .returning(t.studies.c.id)
            ).scalar_one()
            for position, new in enumerate(instances):
                instance_id = db.execute(
                    insert(t.instances)
                    .values(
                        uid=new.uid,
                        study_id=study_id,
                        position=position,
                        file_name=new.file_name,
                        sha256=new.sha256,
                        size_bytes=new.size_bytes,
                        state=InstanceState.QUEUED,
                    )
                    .returning(t.instances.c.id)
                ).scalar_one()
                db.execute(
                    insert(t.jobs).values(
                        instance_id=instance_id,
                        state=JobState.QUEUED,
                        priority=Priority.NORMAL,
                        attempts=0,
                        created_at=created_at,
                    )
                )
            worklist.refresh(db, [study_id])
            worklist.index_text(db, study_id)
            if row is not None:
                row.write(db, study_uids=[uid])
            check()
        return self.study(uid)

    def delete(self, uids: Sequence[str], *, row: AuditRow | None = None) -> tuple[int, tuple[str, ...]]:
        """Removes the studies with all that is known of their images; (how many, contents that no row names any more).

        row: written beside it, for each study that was there.

        A worker that has one of them in hand loses its lease, and with it its answer.
        """
        s, i, w = t.studies.c, t.instances.c, t.worklist.c
        with write_transaction(self._engine) as db:
            found = db.execute(select(s.id, s.uid).where(s.uid.in_(uids), self._is_seen()).order_by(s.id)).all()
            study_ids = [study.id for study in found]
            rows = db.execute(select(i.id, i.sha256).where(i.study_id.in_(study_ids))).all()
            ids = [row.id for row in rows]
            for table in (t.jobs, t.reviews):
                db.execute(delete(table).where(table.c.instance_id.in_(ids)))
            db.execute(delete(t.instances).where(i.id.in_(ids)))
            db.execute(delete(t.worklist_findings).where(t.worklist_findings.c.study_id.in_(study_ids)))
            db.execute(delete(t.worklist_text).where(t.worklist_text.c.rowid.in_(study_ids)))
            db.execute(delete(t.worklist).where(w.study_id.in_(study_ids)))
            db.execute(delete(t.studies).where(s.id.in_(study_ids)))
            orphans = sorted({row.sha256 for row in rows} - _named(db, {row.sha256 for row in rows}))
            forget_contents(db, orphans)
            if row is not None and found:
                row.write(db, study_uids=[study.uid for study in found])
        return len(study_ids), tuple(orphans)

    def drop_content(self, sha256: str, remove: Callable[[str], None]) -> None:
        """Calls `remove` unless a row names this content again by now, under the lock that uploads wait for."""
        with write_transaction(self._engine) as db:
            if not _named(db, {sha256}):
                remove(sha256)

    def study(self, uid: str) -> Study:
        """The study with its instances and predictions. Raises NotFound."""
        with read_transaction(self._engine) as db:
            head = db.execute(
                select(t.studies, t.users.c.name)
                .join_from(t.studies, t.users)
                .where(t.studies.c.uid == uid, self._is_seen())
            ).one_or_none()
            if head is None:
                raise NotFound(_NO_STUDY)
            rows = db.execute(select_instances().where(t.instances.c.study_id == head.id)).all()
            return Study(
                uid=head.uid, created_at=head.created_at, user_name=head.name, instances=_with_predictions(db, rows)
            )

    def progress(self, uid: str) -> StudyProgress:
        """The states of the study's instances. Raises NotFound."""
        i = t.instances.c
        query = (
            select(i.uid, i.state)
            .join_from(t.instances, t.studies)
            .where(t.studies.c.uid == uid, self._is_seen())
            .order_by(i.position)
        )
        with read_transaction(self._engine) as db:
            rows = db.execute(query).all()
        if not rows:  # a study has at least one image
            raise NotFound(_NO_STUDY)
        return StudyProgress(uid=uid, states=tuple((row.uid, InstanceState(row.state)) for row in rows))

    def instance(self, uid: str) -> Instance:
        """One instance with its prediction, if it has one. Raises NotFound."""
        with read_transaction(self._engine) as db:
            rows = db.execute(select_instances().where(t.instances.c.uid == uid, self._is_seen())).all()
            if not rows:
                raise NotFound(_NO_INSTANCE)
            return _with_predictions(db, rows)[0]

    def bytes_of_user(self, user_id: int) -> int:
        """How much all files take together that this user uploaded, in whatever project."""
        i, s = t.instances.c, t.studies.c
        query = select(func.coalesce(func.sum(i.size_bytes), 0)).join_from(t.studies, t.instances)
        with read_transaction(self._engine) as db:
            return int(db.execute(query.where(s.user_id == user_id)).scalar_one())

    def named(self, uids: Collection[str]) -> dict[str, str | None]:
        """Those of the uids that are a study's, or an image's: study uid to the image's, whosever they are."""
        s, i = t.studies.c, t.instances.c
        images = select(s.uid, i.uid.label("image")).join_from(t.instances, t.studies).where(i.uid.in_(uids))
        with read_transaction(self._engine) as db:
            studies: dict[str, str | None] = dict.fromkeys(db.execute(select(s.uid).where(s.uid.in_(uids))).scalars())
            return studies | {row.uid: row.image for row in db.execute(images)}

    def of_patient(self, instance_uid: str, *, limit: int) -> tuple[Instance, ...]:
        """The instance and all others of its patient, oldest first; alone when it names none. Raises NotFound.

        At most `limit`: the latest, and the instance itself.
        """
        i, s = t.instances.c, t.studies.c
        with read_transaction(self._engine) as db:
            found = db.execute(
                select(i.id, func.coalesce(i.patient_id, s.patient).label("patient"))
                .join_from(t.instances, t.studies)
                .where(i.uid == instance_uid, self._is_seen())
            ).one_or_none()
            if found is None:
                raise NotFound(_NO_INSTANCE)
            own = {found.id}
            if found.patient is not None:
                of_file = select(i.id, func.coalesce(i.acquired_at, s.created_at).label("dated")).join_from(
                    t.instances, t.studies
                )
                both = union_all(
                    of_file.where(i.patient_id == found.patient, self._is_seen()),
                    of_file.where(i.patient_id.is_(None), s.patient == found.patient, self._is_seen()),
                ).subquery()
                own |= set(db.execute(select(both.c.id).order_by(both.c.dated.desc()).limit(limit)).scalars())
            rows = db.execute(
                select_instances()
                .where(i.id.in_(own))
                .order_by(None)
                .order_by(func.coalesce(i.acquired_at, s.created_at), i.study_id, i.position)
            ).all()
            return _with_predictions(db, rows)

    def neighbours(self, uid: str) -> tuple[str | None, str | None]:
        """First images of the studies uploaded just before this one and just after; None where there is none."""
        i, s = t.instances.c, t.studies.c
        own = select(s.id).where(s.uid == uid).scalar_subquery()
        first = select(i.uid).join_from(t.instances, t.studies).where(i.position == 0, self._is_seen()).limit(1)
        with read_transaction(self._engine) as db:
            older = db.execute(first.where(i.study_id < own).order_by(i.study_id.desc())).scalar_one_or_none()
            newer = db.execute(first.where(i.study_id > own).order_by(i.study_id)).scalar_one_or_none()
        return older, newer

    def thumbnail(self, instance_uid: str) -> bytes:
        """The thumbnail as JPEG. Raises NotFound while there is none."""
        with read_transaction(self._engine) as db:
            jpeg = db.execute(
                select(t.thumbnails.c.jpeg)
                .join(t.instances, t.instances.c.sha256 == t.thumbnails.c.image_sha256)
                .join(t.studies)
                .where(t.instances.c.uid == instance_uid, self._is_seen())
            ).scalar_one_or_none()
        if jpeg is None:
            raise NotFound("This image has no thumbnail: it is not read yet, or could not be.")
        return bytes(jpeg)


def _named(db: Connection, sha256s: set[str]) -> set[str]:
    i = t.instances.c
    return set(db.execute(select(i.sha256).where(i.sha256.in_(sha256s)).distinct()).scalars())


def _with_predictions(db: Connection, rows: Sequence[Any]) -> tuple[Instance, ...]:
    found = predictions_of(db, {row.prediction_id for row in rows if row.prediction_id is not None})
    return tuple(instance_of(row, found.get(row.prediction_id)) for row in rows)
