"""The fastest engine that reproduces the golden logits is taken, and none that does not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis_tool.cxr.bundle import open_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from diagnosis_tool.cxr.engine_choice import REFERENCE, EngineChoice, EngineOptions, PrecisionChoice
from diagnosis_tool.cxr.engines import choose, convert
from diagnosis_tool.cxr.engines import openvino_engine as ov
from diagnosis_tool.cxr.golden import verify_golden
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.cxr.weights import load_head, load_network
from diagnosis_tool.errors import BundleInvalid
from testing.bundles import write_bundle
from training.phantom import chest_phantom

FILM = Radiograph(pixels=chest_phantom(seed=5, height_px=128, width_px=100), source_format="PNG")
needs_bf16 = pytest.mark.skipif(not ov.computes("bf16"), reason="this processor has no bf16")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "settled", settled=True)


@pytest.fixture(scope="module")
def model(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("converted") / "model.xml"
    convert.convert_bundle(bundle, file)
    return file


@pytest.fixture(autouse=True)
def conversions(model: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Converting takes seconds and is tested elsewhere; here it is counted."""
    counted: list[Path] = []

    def once(bundle: Path, file: Path) -> None:
        counted.append(bundle)
        for suffix in (".xml", ".bin"):
            shutil.copy(model.with_suffix(suffix), file.with_suffix(suffix))

    monkeypatch.setattr(convert, "convert_bundle", once)
    return counted


@pytest.fixture(scope="module")
def auto(tmp_path_factory: pytest.TempPathFactory) -> EngineOptions:
    return EngineOptions(
        engine=EngineChoice.AUTO,
        precision=PrecisionChoice.AUTO,
        threads=1,
        cache_folder=tmp_path_factory.mktemp("engines"),
    )


def admitting(bundle: Path, folder: Path, tolerance: float) -> Path:
    """A copy of the bundle that admits OpenVINO in bf16 with this golden tolerance."""
    shutil.copytree(bundle, folder)
    data = json.loads((folder / "bundle.json").read_text())
    figures = {"mean_abs_dp": 0.0, "calls_changed": 0.0, "auc_moved": 0.0, "images": 1, "source": "nothing"}
    data["admitted"] = [{"engine": "openvino", "precision": "bf16", "golden_tolerance": tolerance, **figures}]
    (folder / "bundle.json").write_text(json.dumps(data))
    return folder


def engine_of(classifier: Any) -> tuple[str, str]:
    return classifier.identity.engine, classifier.identity.precision


def test_auto_is_openvino_in_f32_and_reads_as_torch_does(bundle: Path, auto: EngineOptions) -> None:
    fast, reference = load_classifier(bundle, auto), load_classifier(bundle)
    assert engine_of(fast) == ("openvino", "f32")
    assert engine_of(reference) == ("torch", "f32")
    for ours, theirs in zip(fast.predict(FILM).outputs, reference.predict(FILM).outputs, strict=True):
        assert ours.logit == pytest.approx(theirs.logit, abs=1e-3)
        assert ours.heatmap.scale == pytest.approx(theirs.heatmap.scale, rel=1e-3, abs=1e-9)


def test_a_second_start_neither_converts_nor_reads_the_backbone(
    bundle: Path, auto: EngineOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_classifier(bundle, auto).predict(FILM)
    monkeypatch.delattr(choose, "load_network")
    said: list[str] = []
    second = load_classifier(bundle, auto, said.append)
    assert engine_of(second) == ("openvino", "f32")
    assert [o.logit for o in second.predict(FILM).outputs] == [o.logit for o in first.outputs]
    assert said == ["checking the bundle's files", "starting openvino f32"]


def test_a_broken_conversion_is_made_again(
    bundle: Path,
    auto: EngineOptions,
    conversions: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = replace(auto, cache_folder=tmp_path)
    load_classifier(bundle, options)
    (weights,) = tmp_path.glob("*/model.bin")
    size = weights.stat().st_size
    with weights.open("r+b") as stream:
        stream.truncate(size // 2)
    assert engine_of(load_classifier(bundle, options)) == ("openvino", "f32")
    assert "made again" in caplog.text
    assert weights.stat().st_size == size
    assert conversions == [bundle, bundle]


def test_torch_and_f32_are_taken_at_their_word(bundle: Path, auto: EngineOptions, tmp_path: Path) -> None:
    admits = admitting(bundle, tmp_path / "b", tolerance=10.0)
    assert engine_of(load_classifier(admits, replace(auto, engine=EngineChoice.TORCH))) == ("torch", "f32")
    assert engine_of(load_classifier(admits, replace(auto, precision=PrecisionChoice.F32))) == ("openvino", "f32")


@needs_bf16
def test_bf16_where_it_was_admitted(bundle: Path, auto: EngineOptions, tmp_path: Path) -> None:
    loaded = load_classifier(admitting(bundle, tmp_path / "b", tolerance=10.0), auto)
    assert engine_of(loaded) == ("openvino", "bf16")
    assert 0.001 < verify_golden(loaded.bundle, loaded.engine) < 10.0


def test_bf16_that_was_not_admitted_is_f32_and_says_so(
    bundle: Path, auto: EngineOptions, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_classifier(bundle, replace(auto, precision=PrecisionChoice.BF16))
    assert engine_of(loaded) == ("openvino", "f32")
    assert "bf16 was not proved" in caplog.text


@needs_bf16
def test_bf16_that_misses_the_golden_logits_here_is_f32(
    bundle: Path, auto: EngineOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_classifier(admitting(bundle, tmp_path / "b", tolerance=0.0), auto)
    assert engine_of(loaded) == ("openvino", "f32")
    assert "openvino bf16 cannot be used here" in caplog.text


def test_an_engine_that_answers_wrongly_is_replaced_by_torch(
    bundle: Path, auto: EngineOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = ov.OpenVINOEngine.run

    def off(self: Any, x_BHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits_BK, features_BChw = run(self, x_BHW)
        return logits_BK + 0.02, features_BChw

    monkeypatch.setattr(ov.OpenVINOEngine, "run", off)
    assert engine_of(load_classifier(bundle, auto)) == ("torch", "f32")
    assert "openvino f32 cannot be used here" in caplog.text


def test_a_bundle_that_is_wrong_itself_is_refused_by_every_engine(
    bundle: Path, auto: EngineOptions, tmp_path: Path
) -> None:
    admits = admitting(bundle, tmp_path / "b", tolerance=0.0)
    data = json.loads((admits / "bundle.json").read_text())
    data["golden"]["inputs"][0]["logits"][3] += 0.5
    (admits / "bundle.json").write_text(json.dumps(data))
    for options in (auto, REFERENCE):
        with pytest.raises(BundleInvalid, match="golden"):
            load_classifier(admits, options)


def test_a_folder_that_cannot_be_written_costs_time_only(
    bundle: Path, auto: EngineOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    loaded = load_classifier(bundle, replace(auto, cache_folder=tmp_path / "file" / "engines"))
    assert engine_of(loaded) == ("openvino", "f32")
    assert "cannot be kept" in caplog.text
    kept = load_classifier(bundle, auto)
    assert [o.logit for o in loaded.predict(FILM).outputs] == [o.logit for o in kept.predict(FILM).outputs]


def test_the_head_alone_is_that_of_the_network(bundle: Path) -> None:
    opened = open_bundle(bundle)
    whole, alone = load_network(opened).head.state_dict(), load_head(opened).state_dict()
    assert whole.keys() == alone.keys()
    assert all((whole[name] == alone[name]).all() for name in whole)
