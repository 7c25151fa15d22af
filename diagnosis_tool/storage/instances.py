"""Rows of the table `instances`: the facts that a worker learns of an image are written and read back here."""

import json
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, select, true, update

from diagnosis_tool.cxr.age import is_showable
from diagnosis_tool.cxr.types import Prediction, Remark, ViewPosition
from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.studies import ImageFacts, Instance, InstanceState, Reason
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist


def is_seen(projects: Projects) -> ColumnElement[bool]:
    """Of a row of `studies`: whether it is of these projects."""
    return true() if projects.ids is None else t.studies.c.project_id.in_(projects.ids)


def select_instances() -> Select[tuple[object, ...]]:
    """All that `instance_of` needs of images, in the order they were sent."""
    i = t.instances
    return (
        select(
            i,
            t.studies.c.uid.label("study_uid"),
            t.studies.c.created_at.label("received_at"),
            t.studies.c.patient.label("study_patient"),
            t.thumbnails.c.image_sha256.is_not(None).label("has_thumbnail"),
            t.predictions.c.created_at.label("predicted_at"),
            t.predictions.c.seconds.label("predict_s"),
            t.jobs.c.finished_at,
        )
        .join_from(i, t.studies)
        .outerjoin(t.predictions, t.predictions.c.id == i.c.prediction_id)
        .outerjoin(t.jobs, t.jobs.c.instance_id == i.c.id)
        .outerjoin(t.thumbnails, t.thumbnails.c.image_sha256 == i.c.sha256)
        .order_by(i.c.position)
    )


def instance_of(row: Any, prediction: Prediction | None) -> Instance:
    """The image of a row of `select_instances`."""
    spacing_mm = (row.pixel_spacing_row_mm, row.pixel_spacing_column_mm)
    return Instance(
        uid=row.uid,
        study_uid=row.study_uid,
        position=row.position,
        file_name=row.file_name,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        state=InstanceState(row.state),
        error=Reason(**json.loads(row.error)) if row.error else None,
        width_px=row.width_px,
        height_px=row.height_px,
        has_thumbnail=bool(row.has_thumbnail),
        prediction=prediction,
        predicted_at=_predicted_at(row) if prediction else None,
        predict_s=row.predict_s,
        patient_id=row.patient_id or row.study_patient,
        patient_name=row.patient_name,
        view_position=ViewPosition(row.view_position) if row.view_position else None,
        age_years=row.age_years,
        sex=row.sex,
        # until 2026 moments were stored that some zones' clocks cannot show
        acquired_at=row.acquired_at if row.acquired_at and is_showable(row.acquired_at) else None,
        pixel_spacing_mm=None if None in spacing_mm else spacing_mm,
        bits=row.bits or 8,
        received_at=row.received_at,
        notes=None if row.notes is None else tuple(Remark(**note) for note in json.loads(row.notes)),
    )


def _predicted_at(row: Any) -> datetime:
    """When the image got its prediction. That may be older, and then tells when somebody else sent the same film."""
    predicted_at: datetime = max(row.finished_at or row.predicted_at, row.received_at)
    return predicted_at


def reason_text(reason: Reason | None) -> str | None:
    """As the column `error` holds it: JSON of the message's id and its values."""
    return json.dumps({"message": reason.message, "values": dict(reason.values)}) if reason else None


def store_facts(db: Connection, instance_id: int, values: dict[str, Any]) -> int:
    """Writes a `facts_row`, perhaps with other columns; returns the study's id. The study is found by its patient."""
    i = t.instances.c
    study_id = db.execute(
        update(t.instances).where(i.id == instance_id).values(**values).returning(i.study_id)
    ).scalar_one()
    if values["patient_id"] or values["patient_name"]:
        worklist.index_text(db, study_id)
    return int(study_id)


def facts_row(facts: ImageFacts) -> dict[str, Any]:
    """The columns that hold these facts."""
    subject, spacing = facts.subject, facts.pixel_spacing_mm or (None, None)
    known = facts.view_position is not ViewPosition.UNKNOWN
    return {
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "bits": facts.bits,
        "view_position": facts.view_position if known else None,
        "pixel_spacing_row_mm": spacing[0],
        "pixel_spacing_column_mm": spacing[1],
        "patient_id": subject.patient_id,
        "patient_name": subject.patient_name,
        "age_years": subject.age_years,
        "sex": subject.sex,
        "acquired_at": subject.acquired_at,
        "notes": _notes_text(facts.notes),
    }


def _notes_text(notes: tuple[Remark, ...] | None) -> str | None:
    """As the column `notes` holds them: JSON of each message's id and its values."""
    if notes is None:
        return None
    return json.dumps([{"message": note.message, "values": dict(note.values)} for note in notes])


FACTS: Final = tuple(facts_row(ImageFacts(width_px=1, height_px=1)))
"""The columns of t.instances that hold them."""
