"""Reads what is queued as a worker does, step by step in the test's own thread."""

from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.diagnose import answer, prepare, record


def read_all(context: Context, classifier: Classifier, *, worker: str = "w") -> None:
    """One image after another until the queue is empty."""
    while jobs := context.jobs.claim(worker, 1):
        images = [image for job in jobs if (image := prepare(context, classifier, job)) is not None]
        for answered in answer(context, classifier, images) if images else ():
            record(context, answered)
