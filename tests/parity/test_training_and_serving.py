"""For the same file, the array that training validates on and the one that serving reads are the same bytes."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import open_bundle
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.weights import load_network
from tests.nih_phantoms import REAL, write_nih
from tests.recipes import tiny_recipe
from training.datasets.nih import read_nih
from training.prepare.cache import cached_pixels
from training.prepare.data import load_training_data
from training.train.loop import predict_logits


class _Recording:
    """An engine that keeps what it is given."""

    name, precision = "recording", "f32"

    def __init__(self, engine: TorchEngine) -> None:
        self.engine = engine
        self.seen: list[NDArray[np.uint8]] = []

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.seen.append(x_BHW[0].copy())
        return self.engine.run(x_BHW)


@pytest.fixture(params=["phantoms", "real"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "phantoms":
        return write_nih(tmp_path / "data")
    if not REAL.is_dir():
        pytest.skip("the real subset (../shared/data/nih-256) is not beside this checkout")
    return REAL


def test_the_bytes_are_the_same(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    network = load_network(bundle)
    engine = _Recording(TorchEngine(network))
    classifier = BundleClassifier(bundle, network.head, engine)
    records = read_nih(folder).records[:12]
    cache = cached_pixels(records, bundle.metadata.preprocess, tmp_path / "cache")
    for record in records:
        classifier.predict(read_image_file(record.path.read_bytes()))
    np.testing.assert_array_equal(np.stack(engine.seen), cache.pixels_NHW)


def test_the_loop_validates_on_those_very_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    """The batches of validation are rows of that cache, and give the logits that serving gives."""
    bundle = open_bundle(tiny_bundle)
    network = load_network(bundle)
    spec = bundle.metadata.preprocess
    recipe = tiny_recipe(preprocess__size_px=spec.size_px)
    assert recipe.preprocess == spec
    data = load_training_data(recipe, write_nih(tmp_path / "data"), tmp_path / "cache")
    engine = _Recording(TorchEngine(network))
    classifier = BundleClassifier(bundle, network.head, engine)
    served = [classifier.predict(read_image_file(r.path.read_bytes())) for r in data.validation.records]
    x_BHW, _ = data.validation.batch(np.arange(len(data.validation)))
    np.testing.assert_array_equal(x_BHW.numpy(), np.stack(engine.seen))
    logits_nK = predict_logits(network, data.validation, 4, next(network.parameters()).device)
    np.testing.assert_allclose(logits_nK, [[o.logit for o in reading.outputs] for reading in served], atol=1e-4)
