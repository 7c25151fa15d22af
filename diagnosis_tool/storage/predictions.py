"""What models predicted: written once, never changed, and read back here alone."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction
from diagnosis_tool.domain.audit import AGAIN
from diagnosis_tool.domain.jobs import Job
from diagnosis_tool.domain.studies import ImageFacts, InstanceState
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import worklist
from diagnosis_tool.storage.database import read_transaction
from diagnosis_tool.storage.instances import FACTS, facts_row, store_facts
from diagnosis_tool.storage.jobs import JobStore


class PredictionStore:
    """Stores what a model predicted for a job's image: prediction, image, queue and audit row in one transaction."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], jobs: JobStore) -> None:
        self._engine = engine
        self._now = now
        self._jobs = jobs

    def complete(
        self, job: Job, prediction: Prediction, *, facts: ImageFacts, thumbnail_jpeg: bytes, seconds: float
    ) -> None:
        """Stores the prediction and marks the image done. Raises Conflict when the lease was lost meanwhile.

        seconds: what decoding and the model took.
        """
        with self._jobs.held(job) as db:
            db.execute(
                upsert(t.thumbnails).values(image_sha256=job.image_sha256, jpeg=thumbnail_jpeg).on_conflict_do_nothing()
            )
            prediction_id = self._store(db, job.image_sha256, prediction, seconds)
            self._finish(db, job, {"prediction_id": prediction_id, **facts_row(facts)}, prediction.identity)

    def complete_known(self, job: Job, identity: ModelIdentity) -> bool:
        """Marks the image done when this model, run this way, has predicted the same content before.

        False, and nothing is changed, when it has not. Raises Conflict when the lease was lost meanwhile.
        """
        p, i = t.predictions.c, t.instances.c
        known = (
            select(p.id.label("prediction_id"), *(i[name] for name in FACTS))
            .join_from(t.predictions, t.instances, i.prediction_id == p.id)
            .where(*_same_question(job.image_sha256, identity))
            .limit(1)
        )
        with read_transaction(self._engine) as db:  # most images are new: they take no write lock for this
            row = db.execute(known).one_or_none()
        if row is None:
            return False
        with self._jobs.held(job) as db:
            self._finish(db, job, row._asdict(), identity, AGAIN)
        return True

    def probabilities(self, prediction_ids: Collection[int]) -> tuple[tuple[str, float], ...]:
        """(output, probability) of every output of these predictions."""
        o = t.prediction_outputs.c
        with read_transaction(self._engine) as db:
            rows = db.execute(select(o.name, o.probability).where(o.prediction_id.in_(prediction_ids))).all()
        return tuple((row.name, row.probability) for row in rows)

    def _finish(self, db: Connection, job: Job, values: dict[str, Any], identity: ModelIdentity, how: str = "") -> None:
        """The image is read: its row gets these values, the worklist what is predicted of it."""
        study_id = store_facts(db, job.instance_id, values)
        model = f"{identity.bundle} {identity.bundle_sha256[:12]} {identity.engine} {identity.precision}{how}"
        self._jobs.close(db, job, InstanceState.DONE, detail=model)
        worklist.merge_findings(db, study_id, [job.instance_id])

    def _store(self, db: Connection, image_sha256: str, prediction: Prediction, seconds: float) -> int:
        identity = prediction.identity
        p = t.predictions.c
        known = db.execute(select(p.id).where(*_same_question(image_sha256, identity))).scalar_one_or_none()
        if known is not None:
            return int(known)
        prediction_id = db.execute(
            insert(t.predictions)
            .values(
                image_sha256=image_sha256,
                bundle_name=identity.bundle_name,
                bundle_version=identity.bundle_version,
                bundle_sha256=identity.bundle_sha256,
                engine=identity.engine,
                precision=identity.precision,
                created_at=self._now(),
                seconds=seconds,
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
                for position, output in enumerate(prediction.outputs)
            ],
        )
        return int(prediction_id)


def predictions_of(db: Connection, prediction_ids: Collection[int]) -> dict[int, Prediction]:
    """These predictions by their ids."""
    p, o = t.predictions.c, t.prediction_outputs.c
    outputs: dict[int, list[PredictedOutput]] = defaultdict(list)
    for row in db.execute(select(t.prediction_outputs).where(o.prediction_id.in_(prediction_ids)).order_by(o.position)):
        outputs[row.prediction_id].append(_output(row))
    return {
        row.id: Prediction(
            identity=ModelIdentity(
                bundle_name=row.bundle_name,
                bundle_version=row.bundle_version,
                bundle_sha256=row.bundle_sha256,
                engine=row.engine,
                precision=row.precision,
            ),
            outputs=tuple(outputs[row.id]),
        )
        for row in db.execute(select(t.predictions).where(p.id.in_(prediction_ids)))
    }


def forget_contents(db: Connection, sha256s: Sequence[str]) -> None:
    """Removes what is known of contents that no image has any more: predictions and thumbnails."""
    p, o = t.predictions.c, t.prediction_outputs.c
    predictions = db.execute(select(p.id).where(p.image_sha256.in_(sha256s))).scalars().all()
    db.execute(delete(t.prediction_outputs).where(o.prediction_id.in_(predictions)))
    db.execute(delete(t.predictions).where(p.id.in_(predictions)))
    db.execute(delete(t.thumbnails).where(t.thumbnails.c.image_sha256.in_(sha256s)))


def _output(row: Any) -> PredictedOutput:
    values = np.frombuffer(row.heatmap, np.uint8).reshape(row.heatmap_height, row.heatmap_width)
    return PredictedOutput(
        name=row.name,
        kind=OutputKind(row.kind),
        logit=row.logit,
        probability=row.probability,
        threshold=row.threshold,
        heatmap=Heatmap(values=values, scale=row.heatmap_scale),
    )


def _same_question(image_sha256: str, identity: ModelIdentity) -> tuple[ColumnElement[bool], ...]:
    p = t.predictions.c
    return (
        p.image_sha256 == image_sha256,
        p.bundle_sha256 == identity.bundle_sha256,
        p.engine == identity.engine,
        p.precision == identity.precision,
    )
