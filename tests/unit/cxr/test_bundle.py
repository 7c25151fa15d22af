"""A bundle is complete, unaltered and reproduces its golden logits, or it is not used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis_tool.cxr.bundle import open_bundle, resolve_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from diagnosis_tool.cxr.types import Radiograph, ViewPosition
from diagnosis_tool.errors import BundleInvalid, UnsupportedImage
from testing.bundles import write_bundle
from training.phantom import chest_phantom

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def rewrite(bundle: Path, change: Change) -> None:
    data = json.loads((bundle / "bundle.json").read_text())
    change(data)
    (bundle / "bundle.json").write_text(json.dumps(data))


def film(**more: Any) -> Radiograph:
    return Radiograph(pixels=chest_phantom(seed=5, height_px=128, width_px=100), source_format="PNG", **more)


def test_reads_a_film(tiny_bundle: Path) -> None:
    reading = load_classifier(tiny_bundle).predict(film())
    assert len(reading.outputs) == 15
    assert all(0 <= output.probability <= 1 for output in reading.outputs)
    assert len(reading.top) == 4
    assert "No Finding" not in reading.top


def test_same_bytes_same_answer(tiny_bundle: Path) -> None:
    first, second = (load_classifier(tiny_bundle).predict(film()) for _ in range(2))
    assert [o.probability for o in first.outputs] == [o.probability for o in second.outputs]
    assert all((a.heatmap.values == b.heatmap.values).all() for a, b in zip(first.outputs, second.outputs, strict=True))


CHANGES: dict[str, tuple[Change, str]] = {
    "unknown key": (lambda d: d.update(extra=1), "extra"),
    "unknown inner key": (lambda d: d["preprocess"].update(crop=1), "crop"),
    "missing key": (lambda d: d.pop("calibration"), "calibration"),
    "missing inner key": (lambda d: d["preprocess"].pop("window_low_percentile"), "window_low_percentile"),
    "wrong type": (lambda d: d["preprocess"].update(size_px="64"), "size_px"),
    "unknown enum": (lambda d: d["preprocess"].update(geometry="crop"), "geometry"),
    "other schema": (lambda d: d.update(schema_version=1), "schema_version 1"),
    "positions of another size": (lambda d: d["network"].update(input_px=96), "network.input_px"),
    "calibration of another length": (lambda d: d["calibration"].update(slope=[1.0]), "calibration.slope"),
    "same output twice": (lambda d: d["outputs"].__setitem__(1, d["outputs"][0]), "different names"),
    "no golden input": (lambda d: d["golden"].update(inputs=[]), "golden.inputs is empty"),
    "no explanation": (lambda d: d.pop("explanation"), "explanation"),
    "heatmaps less the other side": (lambda d: d["explanation"].update(opposite=0.5), "release the run again"),
    "smoothed heatmaps": (lambda d: d["explanation"].update(smoothing_cells=1.0), "release the run again"),
    "heatmaps less a mean map": (lambda d: d["explanation"].update(mean_maps=[[[0.0]]]), "release the run again"),
    "foreign operating point": (lambda d: d["operating_points"][0].update(output="Gout"), "Gout"),
    "path in a file name": (lambda d: d["weights"][0].update(file="../weights.safetensors"), "bundle folder itself"),
    "other weights hash": (lambda d: d["weights"][0].update(sha256="0" * 64), "altered"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_bad_metadata_is_named(bundle: Path, name: str) -> None:
    change, message = CHANGES[name]
    rewrite(bundle, change)
    with pytest.raises(BundleInvalid, match=message):
        open_bundle(bundle)


def test_altered_weights(bundle: Path) -> None:
    weights = bundle / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(BundleInvalid, match=r"weights\.safetensors was altered"):
        open_bundle(bundle)


def test_missing_file(bundle: Path) -> None:
    (bundle / "golden-1.png").unlink()
    with pytest.raises(BundleInvalid, match=r"golden-1\.png cannot be read"):
        open_bundle(bundle)


def test_golden_logits_that_are_not_reproduced(bundle: Path) -> None:
    rewrite(bundle, lambda d: d["golden"]["inputs"][0]["logits"].__setitem__(3, 9.0))
    with pytest.raises(BundleInvalid, match="does not reproduce its golden logits"):
        load_classifier(bundle)


def test_weights_of_another_architecture(bundle: Path) -> None:
    rewrite(bundle, lambda d: d["network"].update(architecture="resnet18"))
    with pytest.raises(BundleInvalid, match="do not fit resnet18"):
        load_classifier(bundle)


def test_view_that_the_model_was_not_trained_on(tiny_bundle: Path) -> None:
    with pytest.raises(UnsupportedImage, match="LL view"):
        load_classifier(tiny_bundle).predict(film(view_position=ViewPosition.LL))


def test_exclusive_classes(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", outputs=("COVID-19", "normal", "pneumonia"), activation="softmax")
    reading = load_classifier(folder).predict(film())
    assert sum(output.probability for output in reading.outputs) == pytest.approx(1)
    assert set(reading.top) == {"COVID-19", "pneumonia"}


def test_binary(tmp_path: Path) -> None:
    reading = load_classifier(write_bundle(tmp_path / "b", outputs=("Pneumonia",))).predict(film())
    assert reading.top == ("Pneumonia",)
    assert np.isfinite(reading.outputs[0].probability)


def test_efficientnet_b7_by_the_same_call(tmp_path: Path) -> None:
    reading = load_classifier(write_bundle(tmp_path / "b7", architecture="efficientnet_b7")).predict(film())
    assert reading.identity.bundle == "efficientnet_b7-test-0.1"
    assert len(reading.outputs) == 15


def test_coatnet_by_the_same_call(tmp_path: Path) -> None:
    classifier = load_classifier(write_bundle(tmp_path / "coatnet", architecture="coatnet_0"))
    assert len(classifier.predict(film()).outputs) == 15
    assert classifier.bundle.metadata.network.input_px == 64


def test_resolve(tiny_bundle: Path) -> None:
    models = tiny_bundle.parent
    (models / "DEFAULT").write_text("tiny\n")
    assert resolve_bundle(models, "default") == tiny_bundle
    assert resolve_bundle(models, "tiny") == tiny_bundle
    assert resolve_bundle(models, str(tiny_bundle)) == tiny_bundle
    with pytest.raises(BundleInvalid, match="No bundle 'huge'"):
        resolve_bundle(models, "huge")


def test_no_number_is_no_tolerance(bundle: Path) -> None:
    rewrite(bundle, lambda data: data["golden"].update(tolerance=float("nan")))
    with pytest.raises(BundleInvalid, match="NaN"):
        open_bundle(bundle)


@pytest.mark.parametrize("logit", [np.inf, -np.inf, np.nan])
def test_a_logit_that_is_no_number_is_no_probability(
    tiny_bundle: Path, logit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_classifier(tiny_bundle)
    run = classifier.engine.run

    def broken(x_BHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits_BK, features_BChw = run(x_BHW)
        logits_BK[0, 3] = logit
        return logits_BK, features_BChw

    monkeypatch.setattr(classifier.engine, "run", broken)
    with pytest.raises(BundleInvalid, match="not a number"):
        classifier.predict(film())
