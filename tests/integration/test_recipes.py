"""Every recipe in training/recipes, from a made data set to an answer of the tool, by the commands alone.

Only --set makes them small: random start where no weights lie, few small images, a higher rate, fewer epochs.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diagnosis_tool.cli import main as tool
from diagnosis_tool.cxr.calibration import CalibrationMethod
from diagnosis_tool.cxr.classifier import BundleClassifier, load_classifier
from diagnosis_tool.cxr.golden import verify_golden
from diagnosis_tool.dicom.decode import HereDecoder
from diagnosis_tool.services.predict_file import predict_file
from testing.serving import serve
from tests.small_datasets import WRITERS
from training.commands import main
from training.datasets import read_dataset
from training.datasets.base import Split
from training.recipes.config import OptimizerKind, Recipe
from training.recipes.load import load_recipe
from training.release import finish
from training.train import loop
from training.train.run_folder import RunFolder
from training.train.state import TrainingState, save_checkpoint

RECIPES = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.toml"))
SOFTMAX, BINARY = "covidx-coatnet0", "rsna-resnet18-grey"
"""The two whose bundles are looked at further."""
_LARGE = {"nih14-effnet_b7-adam-step", "nih14-effnet_b7-sgd-step", "nih14-efficientnet_b7"}
"""Half a minute each, most of it for writing B7's weights; nih14-effnet_b7-adam-exponential stays in every run."""
_ALIKE = {
    "nih14-googlenet-adam-step-2",  # made small, the same as nih14-googlenet-adam-step-1
    "nih14-mobilenet_v2-first",  # nih14-mobilenet_v2
    "nih14-mobilenet_v2-taught",
    "nih14-mobilenet_v2-located",
    "nih14-resnet_50-located",  # nih14-resnet_50-taught
    "nih14-resnet_50-adam-step",  # network: nih14-resnet_50-adam-exponential; rest: nih14-resnet_34-adam-step
    "rsna-resnet50-grey",  # the same network, the rest of rsna-resnet18-grey
}
_LONG = _LARGE | _ALIKE
"""That each of them is a valid recipe is tested in every run (tests/unit/training/test_config.py)."""
_EPOCHS = {"efficientnet_b7": 2, "resnet50_v2": 5, "resnet50": 8}  # BatchNorm and dropout make four films a step noisy
_RATES = {"resnet50": 3e-4}  # at 1e-3 its losses jump about
_SIDES_PX = {"coatnet_0": 64, "resnet50_448": 64}  # where 32 px are too few for the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the commands made of one recipe. data: the made data set; home: a folder of its own."""

    recipe: Recipe
    data: Path
    home: Path

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def bundle(self) -> Path:
        return self.home / "models" / f"{self.recipe.release.name}-{self.recipe.release.version}"

    @property
    def film(self) -> Path:
        """A film of the test split."""
        return read_dataset(self.recipe.data.dataset, self.data).of(Split.TEST)[0].path

    def classifier(self) -> BundleClassifier:
        return load_classifier(self.bundle)


class Workshop:
    """Makes data sets and bundles when they are first asked for."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._made: dict[str, Made] = {}

    def data(self, dataset: str) -> Path:
        folder = self.home / "data" / dataset
        return folder if folder.exists() else WRITERS[dataset](folder)

    def made(self, file: Path) -> Made:
        if file.stem not in self._made:
            recipe = load_recipe(file)
            made = Made(recipe=recipe, data=self.data(recipe.data.dataset), home=self.home / "made" / file.stem)
            self._make(file, made)
            self._made[file.stem] = made
        return self._made[file.stem]

    def _make(self, file: Path, made: Made) -> None:
        data = ("--data", str(made.data))
        kept = ("--cache", str(self.home / "cache"))
        out = ("--out", str(made.run), "--device", "cpu")
        assert main(["train", str(file), *_small(made.recipe), *data, *kept, *out]) == 0
        made.run.joinpath("last.pt").unlink()  # that of a B7 has 750 MB
        assert main(["calibrate", str(made.run), *data, *kept]) == 0
        assert main(["release", str(made.run), *data, "--models", str(made.bundle.parent)]) == 0


def _small(recipe: Recipe) -> tuple[str, ...]:
    """The --set arguments that make a recipe small."""
    side_px = _SIDES_PX.get(recipe.network.architecture, 32)
    changes = {
        "start.weights": "random",
        "start.head_bias": "random",
        "start.trained": "[]",
        "data.soft_labels": "''",
        "data.soft_share": 0,
        "boxes": "{}",
        "preprocess.size_px": side_px,
        "network.input_px": side_px if recipe.network.input_px else 0,
        "data.cache_size_px": side_px + 16,
        "data.nih_references": "[]",
        "optimizer.learning_rate": (
            1e-2 if recipe.optimizer.kind is OptimizerKind.SGD else _RATES.get(recipe.network.architecture, 1e-3)
        ),
        "loop.epochs": _EPOCHS.get(recipe.network.architecture, 3),
        "loop.batch_size": 4,
        # of so few films a tenth is two: too few to fit a calibration on
        "data.folds": 4 if recipe.data.folds == 10 else recipe.data.folds,
        "calibration": "{}",
    }
    return tuple(f"--set={key}={value}" for key, value in changes.items())


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("workshop")
    yield Workshop(home)
    shutil.rmtree(home)


@pytest.fixture(autouse=True)
def _bf16_validated_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts the network for OpenVINO, which takes seconds; test_precision_validation.py is its own test."""
    if BINARY not in request.node.name:
        monkeypatch.setattr(finish, "validate_precisions", lambda *_, **__: ())


@pytest.fixture(scope="module", autouse=True)
def _one_checkpoint_a_run() -> Iterator[None]:
    """Of a large network it is hundreds of megabytes; tests/unit/training/train resumes from each."""

    def save_last(state: TrainingState, recipe: Recipe, run: RunFolder) -> None:
        if state.epoch == recipe.loop.epochs:
            save_checkpoint(state, recipe, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save_last)
        yield


CASES = [pytest.param(f, id=f.stem, marks=[pytest.mark.long] if f.stem in _LONG else []) for f in RECIPES]


def _named(stem: str) -> Path:
    return next(file for file in RECIPES if file.stem == stem)


@pytest.mark.parametrize("file", CASES)
def test_a_recipe_learns_is_released_and_read_by_the_tool(file: Path, workshop: Workshop) -> None:
    made = workshop.made(file)
    losses = [epoch.train_loss for epoch in RunFolder(made.run).history()]
    assert losses[-1] < 0.95 * losses[0], losses

    classifier = made.classifier()
    metadata = classifier.bundle.metadata
    assert verify_golden(classifier.bundle, classifier.engine) <= metadata.golden.tolerance
    name = made.recipe.data.dataset
    assert [(e.dataset, e.split) for e in metadata.evaluations] == [(name, "validation"), (name, "test")]
    assert metadata.network.architecture == made.recipe.network.architecture

    answer = predict_file(classifier, HereDecoder(), str(made.film))
    assert answer.refused is None
    assert answer.prediction is not None
    assert [output.name for output in answer.prediction.outputs] == [output.name for output in metadata.outputs]
    assert all(0 < output.probability < 1 for output in answer.prediction.outputs)
    if file.stem not in (SOFTMAX, BINARY):
        shutil.rmtree(made.home)


def test_three_exclusive_classes_share_one_temperature_and_the_card_names_the_absence(workshop: Workshop) -> None:
    made = workshop.made(_named(SOFTMAX))
    metadata = made.classifier().bundle.metadata
    assert metadata.calibration.method is CalibrationMethod.TEMPERATURE
    assert len(set(metadata.calibration.slope)) == 1
    assert metadata.calibration.slope[0] > 0
    assert metadata.calibration.intercept == (0.0, 0.0, 0.0)
    assert [(o.name, o.kind) for o in metadata.outputs] == [
        ("normal", "absence"), ("pneumonia", "finding"), ("COVID-19", "finding"),
    ]  # fmt: skip
    assert {p.output for p in metadata.operating_points} == {"normal", "pneumonia", "COVID-19"}
    card = (made.bundle / "MODEL_CARD.md").read_text()
    assert "Mean AUC of the findings (normal apart)" in card
    assert "Exclusive classes (softmax)" in card
    assert "temperature, fitted on covidx validation" in card


def test_one_output_is_calibrated_and_the_card_speaks_of_no_absence(workshop: Workshop) -> None:
    made = workshop.made(_named(BINARY))
    metadata = made.classifier().bundle.metadata
    assert metadata.calibration.method is CalibrationMethod.PLATT
    assert [(o.name, o.kind) for o in metadata.outputs] == [("Pneumonia", "finding")]
    assert [(p.output, p.criterion) for p in metadata.operating_points] == [
        ("Pneumonia", "youden"), ("Pneumonia", "sensitivity_90"),
    ]  # fmt: skip
    card = (made.bundle / "MODEL_CARD.md").read_text()
    assert "Mean AUC of the findings: " in card
    assert "No weight, epoch, calibration or threshold was chosen on these images." in card


@pytest.mark.parametrize("stem", [SOFTMAX, BINARY])
def test_evaluate_judges_them_and_writes_the_page(stem: str, workshop: Workshop, tmp_path: Path) -> None:
    made = workshop.made(_named(stem))
    file, page = tmp_path / "test.json", tmp_path / "test.html"
    arguments = ["--dataset", made.recipe.data.dataset, "--data", str(made.data), "--split", "test"]
    assert main(["evaluate", "--bundle", str(made.bundle), *arguments, "--json", str(file), "--html", str(page)]) == 0
    figures = json.loads(file.read_text())
    metadata = made.classifier().bundle.metadata
    findings = [o.name for o in metadata.outputs if o.kind == "finding"]
    assert set(figures["auc"]) == {o.name for o in metadata.outputs}
    assert figures["mean_auc"] == pytest.approx(sum(figures["auc"][name] for name in findings) / len(findings))
    assert figures["mean_auc"] == metadata.evaluations[-1].mean_auc.value
    text = page.read_text()
    assert ("Sensitivity, specificity, precision, F1 and accuracy are of the most probable class" in text) == (
        stem == SOFTMAX
    )


@pytest.mark.parametrize("stem", [SOFTMAX, BINARY])
def test_predict_prints_them_as_json(stem: str, workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    made = workshop.made(_named(stem))
    assert tool(["predict", str(made.film), "--json", "--bundle", str(made.bundle)]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    outputs = made.classifier().bundle.metadata.outputs
    values = {item["finding"]: item["probability"] for item in answer["findings"]}
    assert list(values) == [o.name for o in outputs]
    if stem == SOFTMAX:
        assert sum(values.values()) == pytest.approx(1)
    findings = [o.name for o in outputs if o.kind == "finding"]
    assert answer["top4"] == sorted(findings, key=lambda name: -values[name])
    assert answer["refused"] is None


def test_the_server_shows_three_exclusive_classes(workshop: Workshop, tmp_path: Path) -> None:
    made = workshop.made(_named(SOFTMAX))
    reading = predict_file(made.classifier(), HereDecoder(), str(made.film)).prediction
    assert reading is not None
    with serve(tmp_path / "data", made.bundle) as server:
        study = server.finished(server.upload([("film.png", made.film.read_bytes())]))
        (instance,) = study["instances"]
        assert instance["state"] == "done", instance["error"]
        values = {item["finding"]: item["probability"] for item in instance["findings"]}
        assert values == pytest.approx({o.name: o.probability for o in reading.outputs}, abs=1e-4)
        assert "normal" not in instance["top4"]  # it says that there is nothing: no finding to look at
        for url in instance["heatmaps"].values():
            assert server.get(url).startswith(b"\x89PNG")
        page = server.get(f"/studies/{study['uid']}").decode()
        assert all(name in page for name in ("pneumonia", "COVID-19"))
