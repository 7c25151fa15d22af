import logging
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import BundleInvalid, Conflict, NotFound, StorageFull, UnsupportedImage, UploadRefused
from diagnosis_tool.services.context import Context
from diagnosis_tool.web.errors import status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (UploadRefused("x"), 422),
        (UnsupportedImage("x"), 422),
        (StorageFull("x"), 507),
        (BundleInvalid("x"), 500),
    ],
)
def test_status_of_each_error(error: NotFound, status: int) -> None:
    assert status_of(error) == status


def test_page_or_json_by_what_was_asked_for(client: FlaskClient) -> None:
    assert "<html" in client.get("/studies/none").text
    assert "error" in client.get("/studies/none.json").json
    assert "error" in client.get("/studies/none", headers={"Accept": "application/json"}).json
    assert "<html" in client.get("/no/such/page").text
    assert client.delete("/studies").status_code == 405


@pytest.mark.parametrize("message", ["secret: patient Miller", "trace"])
def test_an_unexpected_error_shows_a_number_and_no_trace(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture, message: str
) -> None:
    def breaks() -> str:
        raise RuntimeError(message)

    app.view_functions["worklist.index"] = breaks
    with caplog.at_level(logging.ERROR):
        answer = client.get("/")
    assert answer.status_code == 500
    assert message not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert caplog.records[0].args[0] == answer.headers["X-Request-ID"]  # type: ignore[index]
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost:8001"}, 403),
    ],
)
def test_other_sites_may_not_upload(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    answer = client.post("/studies", data={"files": (BytesIO(b"x"), "a.png")}, headers=headers)
    assert answer.status_code == status


def test_headers_on_every_answer(client: FlaskClient) -> None:
    for path in ("/", "/viewer/", "/healthz", "/no/such/page", "/static/css/app.css"):
        with client.get(path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        script_sources = headers["Content-Security-Policy"].split("script-src ")[1].split(";")[0]
        assert "unsafe" not in script_sources
        assert headers["Referrer-Policy"] == "same-origin"


def test_bodies_of_other_routes_are_small(client: FlaskClient) -> None:
    answer = client.post("/viewer/_dash-update-component", data=b"x" * 2_000_000, content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [{}, [], "x", {"output": "none.children"}, {"output": ["x"], "inputs": 3}])
def test_a_malformed_callback_request_is_the_clients_fault(client: FlaskClient, body: object) -> None:
    assert client.post("/viewer/_dash-update-component", json=body).status_code == 400


def test_a_callback_without_its_inputs_is_refused_and_with_them_answered(client: FlaskClient) -> None:
    known = client.get("/viewer/_dash-dependencies").json
    output, inputs, state = next((c["output"], c["inputs"], c["state"]) for c in known if not c["clientside_function"])
    places = [place.rsplit(".", 1) for place in output.strip(".").split("...")]
    body = {
        "output": output,
        "outputs": [{"id": i, "property": p} for i, p in places],
        "inputs": inputs,
        "state": state,
    }
    assert client.post("/viewer/_dash-update-component", json=body).status_code == 200
    for wrong in ([], [None] * len(inputs), [{"id": "x"}] * len(inputs), 3):
        answer = client.post("/viewer/_dash-update-component", json={**body, "inputs": wrong})
        assert answer.status_code == 400
    browsers = next(c["output"] for c in known if c["clientside_function"])
    assert client.post("/viewer/_dash-update-component", json={"output": browsers}).status_code == 400


def test_health_and_readiness(client: FlaskClient, context: Context) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert "No worker" in client.get("/readyz").json["reason"]
    context.jobs.heartbeat("worker", WorkerState.WARMING, "converting the network")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["state"]) == (503, "warming")
    assert "converting the network" in answer.json["reason"]
    context.jobs.heartbeat("worker", WorkerState.BROKEN, "weights were altered")
    assert client.get("/readyz").json["parts"]["bundle"]["state"] == "failing"
    context.jobs.heartbeat("worker", WorkerState.READY, "fake-1")
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["bundle"] == "fake-1"
    assert [part["state"] for part in answer.json["parts"].values()] == ["ok"] * 4


def test_a_full_disk_or_a_database_that_does_not_answer_is_not_ready(
    client: FlaskClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.jobs.heartbeat("worker", WorkerState.READY, "fake-1")
    with monkeypatch.context() as patch:
        patch.setattr("diagnosis_tool.storage.blobs.BlobStore.free_bytes", lambda _: 12_000_000)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["parts"]["disk"]["state"]) == (503, "failing")
        assert "12 MB" in answer.json["reason"]

    def broken(_: object) -> bool:
        raise OSError

    monkeypatch.setattr("diagnosis_tool.storage.metrics.MetricStore.is_readable", broken)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["parts"]["database"]["state"]) == (503, "failing")
    assert client.get("/healthz").status_code == 200


def test_the_web_process_loads_no_model_code(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from diagnosis_tool import resources\n"
        "from diagnosis_tool.app import create_app\n"
        "from diagnosis_tool.services.wiring import migrate_database\n"
        "from diagnosis_tool.settings import Settings\n"
        "from testing import accounts\n"
        f"settings = Settings.from_env({{'DATA_DIR': {str(tmp_path)!r}, 'MODELS_DIR': {str(tmp_path)!r}}})\n"
        "migrate_database(settings.database_file, resources.migrations_dir())\n"
        "client = create_app(settings).test_client()\n"
        "assert client.get('/').status_code == 401\n"
        "accounts.sign_in(client)\n"
        "assert client.get('/').status_code == client.get('/viewer/').status_code == 200\n"
        "print(sorted({'torch', 'torchvision', 'pytorch_grad_cam', 'cv2', 'timm', 'authlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scripts_and_styles_are_kept_by_their_content(client: FlaskClient) -> None:
    page = client.get("/").text
    addresses = re.findall(r'(?:src|href)="(/(?:static|texts)/[^"]+)"', page)
    assert len(addresses) > 4
    for address in addresses:
        with client.get(address) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", address
        version = re.compile(r"/[0-9a-f]{12}/|\?v=[0-9a-f]+")
        for other in (version.sub("/", address).rstrip("/"), address.replace(version.search(address)[0][4:9], "00000")):
            with client.get(other) as answer:
                assert answer.status_code == 200
                assert "immutable" not in answer.headers["Cache-Control"]
    assert client.get("/static/none.js?v=1").status_code == 404
