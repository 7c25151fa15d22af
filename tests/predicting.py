"""Reads what is queued as a worker does, step by step in the test's own thread."""

from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.predict_job import is_known, predict, prepare, record


def predict_all(context: Context, classifier: Classifier, *, worker: str = "w") -> None:
    """One image after another until the queue is empty."""
    while jobs := context.jobs.claim(worker, 1):
        new = [job for job in jobs if not is_known(context, classifier, job)]
        images = [image for job in new if (image := prepare(context, classifier, job)) is not None]
        for image, prediction in predict(context, classifier, images) if images else ():
            record(context, image, prediction)
