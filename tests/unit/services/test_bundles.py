import hashlib
import json
import logging
from pathlib import Path

import pytest

from diagnosis_tool.cxr.bundle import Interval, parse_metadata
from diagnosis_tool.services.bundles import auc_of, aucs, find_bundles, screening_thresholds
from testing.bundles import write_bundle


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with three bundles, of which two cannot be read, and a DEFAULT."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "good")
    (folder / "old").mkdir()
    (folder / "old" / "bundle.json").write_text('{"schema_version": 1}')
    treated = json.loads((write_bundle(folder / "treated") / "bundle.json").read_text())
    treated["explanation"]["opposite"] = 0.5
    (folder / "treated" / "bundle.json").write_text(json.dumps(treated))
    (folder / "DEFAULT").write_text("good\n")
    return folder


def test_bundles_are_known_by_the_hash_that_predictions_name(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = find_bundles(models, "default")
    sha256 = hashlib.sha256((models / "good" / "bundle.json").read_bytes()).hexdigest()
    assert [b.sha256 for b in found.known] == [sha256]
    assert found.current == found.known[0]
    assert (metadata := found.of(sha256)) is not None
    assert metadata.name == "mobilenet_v2-test"
    assert found.of("0" * 64) is None
    assert "schema_version 1" in caplog.text
    assert "explanation.mean_maps, opposite and smoothing_cells must be [], 0 and 0" in caplog.text


def test_a_bundle_in_use_may_lie_anywhere(models: Path, tiny_bundle: Path) -> None:
    found = find_bundles(models, str(tiny_bundle))
    assert found.current is not None
    assert found.current.path == tiny_bundle


def test_no_bundle_at_all_stops_no_page(tmp_path: Path) -> None:
    found = find_bundles(tmp_path, "default")
    assert (found.known, found.current) == ((), None)


def test_figures_are_those_of_the_test_images_and_may_be_missing(models: Path) -> None:
    data = json.loads((models / "good" / "bundle.json").read_text())
    assert auc_of(parse_metadata(json.dumps(data).encode()), "Mass") is None
    interval = {"value": 0.7, "low": 0.6, "high": 0.8}
    common = {"dataset": "nih", "images": 1, "patients": 1, "mean_auc": interval, "mean_ece": 0.1, "localisation": None}
    data["evaluations"] = [
        {**common, "split": "validation", "auc": {"Mass": {**interval, "value": 0.75}, "Edema": interval}},
        {**common, "split": "test", "auc": {"Mass": interval, "Edema": None}},
    ]
    data["operating_points"].append({**data["operating_points"][0], "criterion": "sensitivity_90", "threshold": 0.2})
    metadata = parse_metadata(json.dumps(data).encode())
    assert auc_of(metadata, "Mass") == Interval(value=0.7, low=0.6, high=0.8)
    assert auc_of(metadata, "Edema") == Interval(value=0.7, low=0.6, high=0.8)
    assert auc_of(metadata, "Hernia") is None
    assert set(aucs(metadata)) == {"Mass", "Edema"}
    assert screening_thresholds(metadata) == {metadata.outputs[0].name: 0.2}
