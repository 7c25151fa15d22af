"""Studies, instances and predictions in the database."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy import Connection, Engine, Row, Select, func, insert, select

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, OutputReading
from diagnosis_tool.domain.jobs import JobState, Priority
from diagnosis_tool.domain.studies import Instance, InstanceState, Prediction, Study, StudyProgress, StudySummary
from diagnosis_tool.errors import NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.session import reading, writing

_STRIP: Final = 4
_NO_STUDY: Final = "There is no such study. It may have been deleted; go back to the worklist."
_NO_INSTANCE: Final = "There is no such image. Its study may have been deleted; go back to the worklist."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """An instance to be stored; its blob is already durable."""

    uid: str
    file_name: str
    sha256: str
    size_bytes: int


class StudyStore:
    """Reads studies, and adds them with their jobs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, *, uid: str, created_at: datetime, user_id: int, instances: Sequence[NewInstance]) -> Study:
        """One transaction: the study, its instances in this order, and a queued job for each."""
        with writing(self._engine) as db:
            study_id = db.execute(
                insert(t.studies).values(uid=uid, created_at=created_at, user_id=user_id).returning(t.studies.c.id)
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
        return self.study(uid)

    def study(self, uid: str) -> Study:
        """The study with its instances and predictions. Raises NotFound."""
        with reading(self._engine) as db:
            head = db.execute(
                select(t.studies, t.users.c.name).join_from(t.studies, t.users).where(t.studies.c.uid == uid)
            ).one_or_none()
            if head is None:
                raise NotFound(_NO_STUDY)
            rows = db.execute(_instances().where(t.instances.c.study_id == head.id)).all()
            return Study(
                uid=head.uid, created_at=head.created_at, user_name=head.name, instances=_with_predictions(db, rows)
            )

    def progress(self, uid: str) -> StudyProgress:
        """The states of the study's instances. Raises NotFound."""
        i = t.instances.c
        query = (
            select(i.uid, i.state).join_from(t.instances, t.studies).where(t.studies.c.uid == uid).order_by(i.position)
        )
        with reading(self._engine) as db:
            rows = db.execute(query).all()
        if not rows:  # a study has at least one image
            raise NotFound(_NO_STUDY)
        return StudyProgress(uid=uid, states=tuple((row.uid, InstanceState(row.state)) for row in rows))

    def instance(self, uid: str) -> Instance:
        """One instance with its prediction, if it has one. Raises NotFound."""
        with reading(self._engine) as db:
            rows = db.execute(_instances().where(t.instances.c.uid == uid)).all()
            if not rows:
                raise NotFound(_NO_INSTANCE)
            return _with_predictions(db, rows)[0]

    def summaries(self, *, limit: int, offset: int) -> tuple[StudySummary, ...]:
        """The newest studies first."""
        page = (
            select(t.studies.c.id, t.studies.c.uid, t.studies.c.created_at, t.users.c.name)
            .join_from(t.studies, t.users)
            .order_by(t.studies.c.created_at.desc(), t.studies.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        with reading(self._engine) as db:
            heads = db.execute(page).all()
            ids = [head.id for head in heads]
            counts: dict[int, dict[InstanceState, int]] = defaultdict(dict)
            i = t.instances.c
            for row in db.execute(
                select(i.study_id, i.state, func.count().label("n"))
                .where(i.study_id.in_(ids))
                .group_by(i.study_id, i.state)
            ):
                counts[row.study_id][InstanceState(row.state)] = row.n
            strips: dict[int, list[str]] = defaultdict(list)
            for row in db.execute(
                select(i.study_id, i.uid)
                .join(t.thumbnails, t.thumbnails.c.image_sha256 == i.sha256)
                .where(i.study_id.in_(ids), i.position < _STRIP)
                .order_by(i.position)
            ):
                strips[row.study_id].append(row.uid)
        return tuple(
            StudySummary(
                uid=head.uid,
                created_at=head.created_at,
                user_name=head.name,
                counts=counts[head.id],
                first_instance_uids=tuple(strips[head.id]),
            )
            for head in heads
        )

    def thumbnail(self, instance_uid: str) -> bytes:
        """The thumbnail as JPEG. Raises NotFound while there is none."""
        with reading(self._engine) as db:
            jpeg = db.execute(
                select(t.thumbnails.c.jpeg)
                .join(t.instances, t.instances.c.sha256 == t.thumbnails.c.image_sha256)
                .where(t.instances.c.uid == instance_uid)
            ).scalar_one_or_none()
        if jpeg is None:
            raise NotFound("This image has no thumbnail: it is not read yet, or could not be.")
        return bytes(jpeg)


def _instances() -> Select[tuple[object, ...]]:
    i = t.instances
    return (
        select(i, t.studies.c.uid.label("study_uid"), t.thumbnails.c.image_sha256.is_not(None).label("has_thumbnail"))
        .join_from(i, t.studies)
        .outerjoin(t.thumbnails, t.thumbnails.c.image_sha256 == i.c.sha256)
        .order_by(i.c.position)
    )


def _with_predictions(db: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[Instance, ...]:
    wanted = {row.prediction_id for row in rows if row.prediction_id is not None}
    found = _predictions(db, db.execute(select(t.predictions).where(t.predictions.c.id.in_(wanted))).all())
    return tuple(
        Instance(
            uid=row.uid,
            study_uid=row.study_uid,
            position=row.position,
            file_name=row.file_name,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            state=InstanceState(row.state),
            error=row.error,
            width_px=row.width_px,
            height_px=row.height_px,
            has_thumbnail=bool(row.has_thumbnail),
            prediction=found.get(row.prediction_id),
        )
        for row in rows
    )


def _predictions(db: Connection, rows: Iterable[Row[tuple[object, ...]]]) -> dict[int, Prediction]:
    heads = {row.id: row for row in rows}
    o = t.prediction_outputs.c
    outputs: dict[int, list[OutputReading]] = defaultdict(list)
    for row in db.execute(select(t.prediction_outputs).where(o.prediction_id.in_(heads)).order_by(o.position)):
        outputs[row.prediction_id].append(_output(row))
    return {
        key: Prediction(
            image_sha256=row.image_sha256,
            identity=ModelIdentity(
                bundle_name=row.bundle_name,
                bundle_version=row.bundle_version,
                bundle_sha256=row.bundle_sha256,
                engine=row.engine,
                precision=row.precision,
            ),
            outputs=tuple(outputs[key]),
            created_at=row.created_at,
            seconds=row.seconds,
        )
        for key, row in heads.items()
    }


def _output(row: Row[tuple[object, ...]]) -> OutputReading:
    values = np.frombuffer(row.heatmap, np.uint8).reshape(row.heatmap_height, row.heatmap_width)
    return OutputReading(
        name=row.name,
        kind=OutputKind(row.kind),
        logit=row.logit,
        probability=row.probability,
        threshold=row.threshold,
        heatmap=Heatmap(values=values, scale=row.heatmap_scale),
    )
