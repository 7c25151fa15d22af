"""What Prometheus is told, and that the dashboard asks for nothing else."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from diagnosis_tool.cxr.findings import NIH_OUTPUTS
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services.context import Context
from diagnosis_tool.web import metrics
from tests.conftest import phantom_png

DASHBOARD = Path(__file__).resolve().parents[3] / "deploy" / "grafana-dashboard.json"


def figures(client: FlaskClient) -> dict[str, float]:
    """Each sample by its name and labels, as they are written."""
    text = client.get("/metrics").text
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_uploads_readings_queue_and_scores_are_counted(
    client: FlaskClient, context: Context, upload: Callable[..., str], predict_all: Callable[[], None]
) -> None:
    before = figures(client)
    upload(("a.png", phantom_png(1)), ("b.txt", b"no film"), ("Doe^John.png", phantom_png(1)))
    waiting = figures(client)
    predict_all()
    client.post("/studies", data={})
    context.jobs.heartbeat("worker-1", WorkerState.READY, "fake-1")
    after = figures(client)
    prefix = "diagnosis_tool_"
    assert (before[f"{prefix}queue_images waiting"], waiting[f"{prefix}queue_images waiting"]) == (0, 3)
    assert waiting[f"{prefix}queue_oldest_seconds"] > 0
    assert (waiting[f"{prefix}ready"], after[f"{prefix}ready"]) == (0, 1)
    assert (after[f"{prefix}uploads_total success"], after[f"{prefix}uploads_total refused"]) == (1, 1)
    assert (after[f"{prefix}readings_total success"], after[f"{prefix}readings_total refused"]) == (2, 1)
    assert after[f"{prefix}not_read_total unreadable"] == 1
    assert after[f"{prefix}wait_seconds_count"] == 3
    assert after[f"{prefix}read_seconds_count"] == 1  # the other one was known
    for finding in NIH_OUTPUTS:
        assert after[f"{prefix}probability_count {finding}"] == 1
    assert after[f"{prefix}workers ready"] == 1
    assert after[f"{prefix}http_requests_total studies.create POST 303"] == 1
    assert after[f"{prefix}audit_rows"] == 5
    assert figures(client)[f"{prefix}readings_total success"] == 2  # counted once


def test_no_identifier_is_told(
    client: FlaskClient, upload: Callable[..., str], predict_all: Callable[[], None]
) -> None:
    uid = upload(("Doe^John.png", phantom_png(1)))
    predict_all()
    client.get(f"/studies/{uid}")
    client.get("/Doe^John")
    client.get("/?q=Doe")
    text = client.get("/metrics").text
    assert "Doe" not in text
    assert uid not in text


def test_rows_that_could_not_be_stored_are_counted(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageFull("full")

    monkeypatch.setattr("diagnosis_tool.storage.audit.AuditLog.record", full)
    client.get("/")
    assert figures(client)["diagnosis_tool_audit_failures_total"] == 1


def _names(app: Flask) -> Iterator[str]:
    registry = app.extensions[metrics._KEY].registry
    for family in registry.collect():
        yield family.name
        yield from (f"{family.name}_{part}" for part in ("total", "bucket", "sum", "count"))


def test_the_dashboard_asks_for_figures_that_there_are(app: Flask) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for p in panels for t in p["targets"] for name in re.findall(r"diagnosis_tool_\w+", t["expr"])}
    assert len(asked) > 12
    assert asked <= set(_names(app))
    shown = {family.name for family in app.extensions[metrics._KEY].registry.collect()}
    assert {name for name in shown if not any(a.startswith(name) for a in asked)} == set()
