"""/metrics for Prometheus: what requests did here, and what the database says of queue, workers and predictions.

Web and workers are processes of their own, so what workers do is counted from the audit log's rows as they come in,
from the start of this process on. No label holds anything of a patient, a user or a study.
"""

import logging
import threading
import time
from functools import partial
from typing import Final

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from diagnosis_tool.domain.audit import AGAIN, Action, Outcome
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.health import readiness
from diagnosis_tool.storage.metrics import CountedEvent
from diagnosis_tool.web import front

blueprint = Blueprint("metrics", __name__)

_KEY: Final = "diagnosis_tool.metrics"
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_QUIET: Final = frozenset({"static", "studies.status", "worklist.changes", "health.healthz", "health.readyz"})
"""Asked for again and again; not logged each time."""
_log: Final = logging.getLogger("diagnosis_tool.requests")
_TENTHS: Final = tuple(k / 10 for k in range(1, 11))


class Metrics:
    """What is measured of one app, in a registry of its own."""

    def __init__(self, context: Context) -> None:
        self.registry = CollectorRegistry()
        self._context = context
        self._lock = threading.Lock()
        self._seen = context.metrics.newest()
        self._name_requests()
        self._name_predictions()
        self._name_state()

    def _name_requests(self) -> None:
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry, buckets=_SECONDS)
        self.requests = counter("diagnosis_tool_http_requests", "Answered", ("endpoint", "method", "status"))
        self.request_s = histogram("diagnosis_tool_http_request_seconds", "Until an answer was made", ("endpoint",))
        self.actions = counter("diagnosis_tool_actions", "Sign-ins, exports, deletions", ("action", "outcome"))
        self.uploads = counter("diagnosis_tool_uploads", "Uploads (studies)", ("outcome",))
        self.not_audited = counter("diagnosis_tool_audit_failures", "Rows of the audit log that could not be stored")

    def _name_predictions(self) -> None:
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.predictions = counter("diagnosis_tool_readings", "Images that left the queue", ("outcome",))
        self.not_read = counter("diagnosis_tool_not_read", "Images without a prediction, by reason", ("reason",))
        self.wait_s = histogram("diagnosis_tool_wait_seconds", "From upload until a worker took it", buckets=_SECONDS)
        self.read_s = histogram("diagnosis_tool_read_seconds", "Decoding and model", buckets=_SECONDS)
        self.probability = histogram("diagnosis_tool_probability", "As shown", ("finding",), buckets=_TENTHS)

    def _name_state(self) -> None:
        gauge = partial(Gauge, registry=self.registry)
        self.queue = gauge("diagnosis_tool_queue_images", "Images in the queue", ("state",))
        self.oldest_s = gauge("diagnosis_tool_queue_oldest_seconds", "How long the oldest image has waited")
        self.workers = gauge("diagnosis_tool_workers", "Workers heard of lately", ("state",))
        self.ready = gauge("diagnosis_tool_ready", "1 when /readyz answers 200")
        self.free_bytes = gauge("diagnosis_tool_disk_free_bytes", "Room for data")
        self.audit_rows = gauge("diagnosis_tool_audit_rows", "Rows of the audit log")

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        with self._lock:  # of two who ask at once neither counts what the other has
            while rows := self._context.metrics.events(self._seen):
                self._count(rows)
                self._seen = rows[-1].seq
            self._look()
        return generate_latest(self.registry)

    def _count(self, rows: tuple[CountedEvent, ...]) -> None:
        fresh: list[int] = []
        for row in rows:
            if row.action == Action.UPLOAD:
                self.uploads.labels(row.outcome).inc()
            elif row.action != Action.PREDICT:
                self.actions.labels(row.action, row.outcome).inc()
            else:
                self.predictions.labels(row.outcome).inc()
                if row.outcome != Outcome.SUCCESS:
                    self.not_read.labels(row.detail).inc()
                if row.wait_s is not None:
                    self.wait_s.observe(row.wait_s)
                if row.prediction_id is not None and row.predict_s is not None and not row.detail.endswith(AGAIN):
                    self.read_s.observe(row.predict_s)
                    fresh.append(row.prediction_id)
        for finding, probability in self._context.predictions.probabilities(fresh) if fresh else ():
            self.probability.labels(finding).observe(probability)

    def _look(self) -> None:
        queue, found = self._context.metrics.queue(), readiness(self._context)
        self.queue.labels("waiting").set(queue.waiting)
        self.queue.labels("reading").set(queue.leased)
        self.oldest_s.set(queue.oldest_wait_s)
        for state in WorkerState:
            self.workers.labels(state.value).set(sum(worker.state is state for worker in found.workers))
        self.ready.set(found.ready)
        self.free_bytes.set(self._context.blobs.free_bytes())
        self.audit_rows.set(self._context.metrics.newest())


@blueprint.get("/metrics")
def show() -> Response:
    """The metrics in Prometheus's text format."""
    return Response(current_metrics().text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def current_metrics() -> Metrics:
    """Those of the app that serves this request."""
    metrics: Metrics = current_app.extensions[_KEY]
    return metrics


def install(app: Flask, context: Context) -> None:
    """Counts and logs every request from now on."""
    app.extensions[_KEY] = metrics = Metrics(context)

    def begin() -> None:
        g.began_s = time.perf_counter()

    def count(response: Response) -> Response:
        if front.goes_on():
            return response
        endpoint = request.endpoint or "none"
        method = request.method if request.method in {"GET", "POST"} else "other"
        metrics.requests.labels(endpoint, method, response.status_code).inc()
        seconds = time.perf_counter() - g.get("began_s", time.perf_counter())
        metrics.request_s.labels(endpoint).observe(seconds)
        level = logging.DEBUG if endpoint in _QUIET else logging.INFO
        # the rule, not the address: that may hold anything
        rule = request.url_rule.rule if request.url_rule else "no page"
        _log.log(level, "%s %s %d in %.0f ms", request.method, rule, response.status_code, 1000 * seconds)
        return response

    app.before_request(begin)
    app.after_request(count)
