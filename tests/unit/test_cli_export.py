"""`diagnosis-tool export`, in this process."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from diagnosis_tool.cli import main
from diagnosis_tool.commands.environment import existing_context
from diagnosis_tool.settings import Settings
from tests.conftest import phantom_png
from tests.unit.web.conftest import app, client, predict_all, upload  # noqa: F401  fixtures
from tests.unit.web.test_reviews import first


@pytest.fixture
def signed(
    client: FlaskClient,  # noqa: F811
    upload: Callable[..., str],  # noqa: F811
    predict_all: Callable[[], None],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A data folder with one signed review."""
    study = upload(("a.png", phantom_png(1)))
    predict_all()
    assert client.post(f"{first(client, study)}/review/sign", json={"revision": 0}).status_code == 200
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    assert Settings.from_env().database_file.is_file()


@pytest.mark.usefixtures("signed")
def test_reviews(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "reviews", str(tmp_path / "r.csv")]) == 0
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {line["state"] for line in csv.DictReader(file)} == {"signed"}
    exported = [line for line in existing_context().audit.lines() if line.action == "export"]
    assert [line.detail for line in exported] == ["reviews"]
    assert exported[0].study_uid is not None
    assert main(["export", "reviews", "-"]) == 0
    assert capsys.readouterr().out.startswith("study,instance,file")
    assert main(["export", "reviews", str(tmp_path / "r.csv")]) == 1  # never over another file
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.usefixtures("signed")
def test_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "labels", str(tmp_path / "none")]) == 0
    assert "1 signed images were left out" in capsys.readouterr().err
    assert main(["export", "labels", str(tmp_path / "set"), "--silence-agrees"]) == 0
    assert "1 images with labels" in capsys.readouterr().err
    assert len(list((tmp_path / "set").rglob("*.png"))) == 1
    assert main(["export", "labels", str(tmp_path / "set")]) == 1
    assert "not empty" in capsys.readouterr().err


def test_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    assert main(["export", "reviews", "-"]) == 1
    assert "Set DATA_DIR" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
