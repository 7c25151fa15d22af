"""Studies and their images in the database."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, delete, func, insert, select, union_all

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.domain.studies import (
    LEAST_COUNTED_BYTES,
    ImageName,
    Instance,
    InstanceState,
    Study,
    StudyProgress,
    counted_bytes,
    require_quota,
)
from diagnosis_tool.errors import NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.database import portions, read_transaction, write_transaction
from diagnosis_tool.storage.instances import instance_of, is_seen, select_instances
from diagnosis_tool.storage.jobs import add_jobs
from diagnosis_tool.storage.predictions import forget_contents, predictions_of
from diagnosis_tool.storage.users import only_project

_log: Final = logging.getLogger(__name__)
MAX_PRIORS: Final = 200
_DELETED_AT_ONCE: Final = 50
"""Studies: the statements that remove them name each of their images."""
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
    """Studies with their jobs and files. What reads or removes takes whose studies there are: see Projects."""

    def __init__(self, engine: Engine, blobs: BlobStore) -> None:
        self._engine = engine
        self._blobs = blobs

    def add(
        self,
        *,
        uid: str,
        created_at: datetime,
        user_id: int,
        instances: Sequence[NewInstance],
        patient: str | None = None,
        project_id: int | None = None,
        quota_bytes: int | None = None,
        row: AuditRow | None = None,
    ) -> None:
        """One transaction: the study, its instances in this order, and a queued job for each.

        patient: whose images they are, where the files do not say. project_id: None is the user's only one.
        quota_bytes: how much the user may keep. row: written beside it.
        Raises QuotaExceeded, UploadRefused without project_id for who has not exactly one, and Conflict when a file is
        no longer there.
        """
        with write_transaction(self._engine) as db:  # no other upload or deletion comes between the checks and the rows
            self._blobs.require(new.sha256 for new in instances)
            more_bytes = sum(counted_bytes(new.size_bytes) for new in instances)
            require_quota(_bytes_of_user(db, user_id), more_bytes, quota_bytes)
            study = {"uid": uid, "created_at": created_at, "user_id": user_id, "patient": patient}
            study["project_id"] = only_project(db, user_id) if project_id is None else project_id
            study_id = db.execute(insert(t.studies).values(study).returning(t.studies.c.id)).scalar_one()
            common = {"study_id": study_id, "state": InstanceState.QUEUED}
            images = [{**common, "position": k, **asdict(new)} for k, new in enumerate(instances)]
            db.execute(insert(t.instances), images)
            add_jobs(db, study_id, created_at)
            worklist.refresh(db, [study_id])
            worklist.index_text(db, study_id)
            if row is not None:
                row.write(db, study_uids=[uid])

    def delete(self, uids: Sequence[str], projects: Projects, *, row: AuditRow | None = None) -> int:
        """Removes these studies, `row` for each beside it, and each file that no other study has; how many there were.

        Rows go first: what a crash leaves is a file that nobody names, never a row without its file.
        """
        with write_transaction(self._engine) as db:
            deleted, orphans = delete_rows(db, uids, projects)
            if row is not None and deleted:
                row.write(db, study_uids=deleted)
        for sha256 in orphans:
            self.drop_content(sha256)
        _log.info("deleted %d studies and %d files", len(deleted), len(orphans))
        return len(deleted)

    def drop_content(self, sha256: str) -> None:
        """Removes this file unless a row names it by now, under the lock that uploads wait for."""
        with write_transaction(self._engine) as db:
            if not _named(db, {sha256}):
                self._blobs.remove(sha256)

    def study(self, uid: str, projects: Projects) -> Study:
        """The study with its instances and predictions. Raises NotFound."""
        with read_transaction(self._engine) as db:
            head = db.execute(
                select(t.studies, t.users.c.name)
                .join_from(t.studies, t.users)
                .where(t.studies.c.uid == uid, is_seen(projects))
            ).one_or_none()
            if head is None:
                raise NotFound(_NO_STUDY)
            rows = db.execute(select_instances().where(t.instances.c.study_id == head.id)).all()
            return Study(
                uid=head.uid, created_at=head.created_at, user_name=head.name, instances=_with_predictions(db, rows)
            )

    def progress(self, uid: str, projects: Projects) -> StudyProgress:
        """The states of the study's instances. Raises NotFound."""
        i = t.instances.c
        query = (
            select(i.uid, i.state)
            .join_from(t.instances, t.studies)
            .where(t.studies.c.uid == uid, is_seen(projects))
            .order_by(i.position)
        )
        with read_transaction(self._engine) as db:
            rows = db.execute(query).all()
        if not rows:  # a study has at least one image
            raise NotFound(_NO_STUDY)
        return StudyProgress(uid=uid, states=tuple((row.uid, InstanceState(row.state)) for row in rows))

    def instance(self, uid: str, projects: Projects) -> Instance:
        """One instance with its prediction, if it has one. Raises NotFound."""
        with read_transaction(self._engine) as db:
            rows = db.execute(select_instances().where(t.instances.c.uid == uid, is_seen(projects))).all()
            if not rows:
                raise NotFound(_NO_INSTANCE)
            return _with_predictions(db, rows)[0]

    def name_of(self, instance_uid: str, projects: Projects) -> ImageName:
        """What the image is called, nothing of what is known of it. Raises NotFound."""
        i = t.instances.c
        query = select(i.uid, t.studies.c.uid.label("study_uid"), i.file_name, i.sha256)
        with read_transaction(self._engine) as db:
            row = db.execute(
                query.join_from(t.instances, t.studies).where(i.uid == instance_uid, is_seen(projects))
            ).one_or_none()
        if row is None:
            raise NotFound(_NO_INSTANCE)
        return ImageName(**row._mapping)

    def bytes_of_user(self, user_id: int) -> int:
        """How much all files take together that this user uploaded, in whatever project."""
        with read_transaction(self._engine) as db:
            return _bytes_of_user(db, user_id)

    def named(self, uids: Collection[str], projects: Projects) -> dict[str, str | None]:
        """Those of the uids that are a study's, or an image's: study uid to the image's."""
        s, i = t.studies.c, t.instances.c
        images = select(s.uid, i.uid.label("image")).join_from(t.instances, t.studies)
        found: dict[str, str | None] = {}
        with read_transaction(self._engine) as db:
            for some in portions(uids):
                found |= dict.fromkeys(db.execute(select(s.uid).where(s.uid.in_(some), is_seen(projects))).scalars())
                rows = db.execute(images.where(i.uid.in_(some), is_seen(projects)))
                found |= {row.uid: row.image for row in rows}
        return found

    def of_patient(self, instance_uid: str, projects: Projects, *, limit: int = MAX_PRIORS) -> tuple[Instance, ...]:
        """The instance and all others of its patient, oldest first; alone when it names none. Raises NotFound.

        At most `limit`: the latest, and the instance itself.
        """
        i, s = t.instances.c, t.studies.c
        with read_transaction(self._engine) as db:
            found = db.execute(
                select(i.id, func.coalesce(i.patient_id, s.patient).label("patient"))
                .join_from(t.instances, t.studies)
                .where(i.uid == instance_uid, is_seen(projects))
            ).one_or_none()
            if found is None:
                raise NotFound(_NO_INSTANCE)
            own = {found.id}
            if found.patient is not None:
                of_file = select(i.id, func.coalesce(i.acquired_at, s.created_at).label("dated")).join_from(
                    t.instances, t.studies
                )
                both = union_all(
                    of_file.where(i.patient_id == found.patient, is_seen(projects)),
                    of_file.where(i.patient_id.is_(None), s.patient == found.patient, is_seen(projects)),
                ).subquery()
                own |= set(db.execute(select(both.c.id).order_by(both.c.dated.desc()).limit(limit)).scalars())
            rows = db.execute(
                select_instances()
                .where(i.id.in_(own))
                .order_by(None)
                .order_by(func.coalesce(i.acquired_at, s.created_at), i.study_id, i.position)
            ).all()
            return _with_predictions(db, rows)

    def neighbours(self, uid: str, projects: Projects) -> tuple[str | None, str | None]:
        """First images of the studies uploaded just before this one and just after; None where there is none."""
        i, s = t.instances.c, t.studies.c
        own = select(s.id).where(s.uid == uid).scalar_subquery()
        first = select(i.uid).join_from(t.instances, t.studies).where(i.position == 0, is_seen(projects)).limit(1)
        with read_transaction(self._engine) as db:
            older = db.execute(first.where(i.study_id < own).order_by(i.study_id.desc())).scalar_one_or_none()
            newer = db.execute(first.where(i.study_id > own).order_by(i.study_id)).scalar_one_or_none()
        return older, newer

    def thumbnail(self, instance_uid: str, projects: Projects) -> bytes:
        """The thumbnail as JPEG. Raises NotFound while there is none."""
        with read_transaction(self._engine) as db:
            jpeg = db.execute(
                select(t.thumbnails.c.jpeg)
                .join(t.instances, t.instances.c.sha256 == t.thumbnails.c.image_sha256)
                .join(t.studies)
                .where(t.instances.c.uid == instance_uid, is_seen(projects))
            ).scalar_one_or_none()
        if jpeg is None:
            raise NotFound("This image has no thumbnail: it is not read yet, or could not be.")
        return bytes(jpeg)


def delete_rows(db: Connection, uids: Sequence[str], projects: Projects) -> tuple[list[str], list[str]]:
    """Removes the studies with all that is known of their images; (their uids, contents that no row names any more).

    A worker that has one of them in hand loses its lease, and with it its prediction.
    """
    deleted: list[str] = []
    orphans: list[str] = []
    for some in portions(uids, _DELETED_AT_ONCE):
        own, contents = _delete_some(db, some, projects)
        deleted += own
        orphans += contents
    return deleted, orphans


def _delete_some(db: Connection, uids: Sequence[str], projects: Projects) -> tuple[list[str], list[str]]:
    s, i, w = t.studies.c, t.instances.c, t.worklist.c
    studies = db.execute(select(s.id, s.uid).where(s.uid.in_(uids), is_seen(projects)).order_by(s.id)).all()
    study_ids = [study.id for study in studies]
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
    return [study.uid for study in studies], orphans


def _bytes_of_user(db: Connection, user_id: int) -> int:
    size_bytes = t.instances.c.size_bytes
    counted = case((size_bytes < LEAST_COUNTED_BYTES, LEAST_COUNTED_BYTES), else_=size_bytes)
    query = select(func.coalesce(func.sum(counted), 0)).join_from(t.studies, t.instances)
    return int(db.execute(query.where(t.studies.c.user_id == user_id)).scalar_one())


def _named(db: Connection, sha256s: set[str]) -> set[str]:
    i = t.instances.c
    return set(db.execute(select(i.sha256).where(i.sha256.in_(sha256s)).distinct()).scalars())


def _with_predictions(db: Connection, rows: Sequence[Any]) -> tuple[Instance, ...]:
    found = predictions_of(db, {row.prediction_id for row in rows if row.prediction_id is not None})
    return tuple(instance_of(row, found.get(row.prediction_id)) for row in rows)
