"""The worklist's own tables: kept by whoever changes a study, in the same transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.domain.reviews import ReviewState
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.domain.worklist import ImageLine, StudyState, outline
from diagnosis_tool.storage import tables as t


def refresh(db: Connection, study_ids: Iterable[int]) -> None:
    """Writes the studies' rows anew from their images and reviews; findings come by `merge_findings`."""
    for study_id in sorted(set(study_ids)):
        _refresh(db, study_id)


def refresh_of(db: Connection, instance_ids: Iterable[int]) -> None:
    """`refresh` of the studies of these instances."""
    i = t.instances.c
    refresh(db, db.execute(select(i.study_id).where(i.id.in_(list(instance_ids))).distinct()).scalars())


def begin(db: Connection, instance_ids: Iterable[int]) -> None:
    """`refresh` for instances that are being read from now on: only a study that was new looks different then."""
    i, w = t.instances.c, t.worklist.c
    of = select(i.study_id).join_from(t.instances, t.worklist, w.study_id == i.study_id)
    refresh(db, db.execute(of.where(i.id.in_(list(instance_ids)), w.state == StudyState.NEW).distinct()).scalars())


def index_text(db: Connection, study_id: int) -> None:
    """Makes the study findable by its patients and file names as they are now."""
    i, s = t.instances.c, t.studies.c
    rows = db.execute(
        select(i.file_name, i.patient_id, i.patient_name, s.patient)
        .join_from(t.instances, t.studies)
        .where(i.study_id == study_id)
        .order_by(i.position)
    ).all()
    words = dict.fromkeys(word for row in rows for word in (*row[1:], row.file_name) if word)
    db.execute(delete(t.worklist_text).where(t.worklist_text.c.rowid == study_id))
    db.execute(insert(t.worklist_text).values(rowid=study_id, content="\n".join(words)))


def merge_findings(db: Connection, study_id: int, instance_ids: Sequence[int]) -> None:
    """Takes in what is predicted for these images: for each finding the largest probability of the study counts.

    What an image said before is not taken back.
    """
    i, o = t.instances.c, t.prediction_outputs.c
    rows = db.execute(
        select(o.name, o.threshold, func.max(o.probability).label("probability"))
        .join_from(t.instances, t.prediction_outputs, o.prediction_id == i.prediction_id)
        .where(i.id.in_(instance_ids), o.kind == OutputKind.FINDING, o.threshold > 0)
        .group_by(o.name)
    ).all()
    project_id = db.execute(select(t.studies.c.project_id).where(t.studies.c.id == study_id)).scalar_one()
    above = [
        {
            "finding": row.name,
            "study_id": study_id,
            "probability": row.probability,
            "threshold": row.threshold,
            "ratio": row.probability / row.threshold,
            "project_id": project_id,
        }
        for row in rows
        if row.probability >= row.threshold
    ]
    if above:
        db.execute(_KEEP_LARGEST, above)
    urgency = max((row.probability / row.threshold for row in rows), default=0.0)
    _show_strongest(db, study_id, urgency)


_found = upsert(t.worklist_findings).values(
    {name: bindparam(name) for name in ("finding", "study_id", "probability", "threshold", "ratio", "project_id")}
)
_KEEP_LARGEST = _found.on_conflict_do_update(
    [t.worklist_findings.c.finding, t.worklist_findings.c.study_id],
    set_={name: _found.excluded[name] for name in ("probability", "threshold", "ratio")},
    where=t.worklist_findings.c.ratio < _found.excluded.ratio,
)


def _show_strongest(db: Connection, study_id: int, urgency: float) -> None:
    w, f = t.worklist.c, t.worklist_findings.c
    strongest = db.execute(
        select(f.finding, f.probability, f.threshold)
        .where(f.study_id == study_id)
        .order_by(f.ratio.desc(), f.finding)
        .limit(1)
    ).one_or_none()
    values: dict[str, Any] = strongest._asdict() if strongest else {}
    db.execute(t.worklist.update().where(w.study_id == study_id).values(urgency=func.max(w.urgency, urgency), **values))


_r, _p, _i, _s = t.reviews.c, t.predictions.c, t.instances.c, t.studies.c
_newest = (
    select(func.max(_r.revision))
    .where(_r.instance_id == _i.id, _r.bundle_sha256 == _p.bundle_sha256)
    .correlate(t.instances, t.predictions)
    .scalar_subquery()
)
_FACTS = (
    _i.state,
    func.coalesce(_i.patient_id, _s.patient).label("patient_id"),
    _i.patient_name,
    _i.view_position,
    _i.age_years,
    _i.sex,
    _r.state.label("review"),
    _r.created_at.label("reviewed_at"),
    _r.user_id.label("reader_id"),
)
_LINES = (
    select(*_FACTS, func.count().label("count"))
    .join_from(t.instances, t.studies)
    .outerjoin(t.predictions, _p.id == _i.prediction_id)
    .outerjoin(t.reviews, and_(_r.instance_id == _i.id, _r.bundle_sha256 == _p.bundle_sha256, _r.revision == _newest))
    .where(_i.study_id == bindparam("study_id"))
    .group_by(*_FACTS)
    .order_by(func.min(_i.position))
)
"""A line for all images of which the same is true: they are few, however many images a study has. Built once, since it
runs in every transaction that stores a prediction."""


def _refresh(db: Connection, study_id: int) -> None:
    lines = [_line(row) for row in db.execute(_LINES, {"study_id": study_id})]
    study = db.execute(select(t.studies).where(_s.id == study_id)).one()
    sums = outline(lines)
    values = {
        "state": sums.state,
        "total": sums.total,
        "finished": sums.finished,
        "refused": sums.refused,
        "failed": sums.failed,
        "reader_id": sums.reader_id or study.user_id,
        "project_id": study.project_id,
        "patient_id": sums.patient_id,
        "patient_name": sums.patient_name,
        "patients": sums.patients,
        "view_positions": sums.view_positions,
        "age_years": sums.age_years,
        "sex": sums.sex,
    }
    first = {"study_id": study_id, "uid": study.uid, "created_at": study.created_at, "version": 1, "urgency": 0.0}
    db.execute(
        upsert(t.worklist)
        .values(**first, **values)
        .on_conflict_do_update([t.worklist.c.study_id], set_={**values, "version": t.worklist.c.version + 1})
    )


def _line(row: Any) -> ImageLine:
    return ImageLine(
        state=InstanceState(row.state),
        patient_id=row.patient_id,
        patient_name=row.patient_name,
        view_position=ViewPosition(row.view_position) if row.view_position else None,
        age_years=row.age_years,
        sex=row.sex,
        review=ReviewState(row.review) if row.review else ReviewState.NONE,
        reviewed_at=row.reviewed_at,
        reader_id=row.reader_id,
        count=row.count,
    )
