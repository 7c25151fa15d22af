"""What follows training, put together: calibrate a run, judge a bundle on a data set, release."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER, BundleMetadata
from diagnosis_tool.cxr.calibration import Activation, probabilities
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.cxr.engines import TorchEngine
from training.calibrate.fit import Calibrated, fit_calibration, operating_points
from training.datasets.base import Dataset, IssueKind, Split
from training.errors import DatasetInvalid, TrainingFailed
from training.evaluate.evaluation import Evaluation, evaluate, judge, record_of
from training.evaluate.predictions import Predictions
from training.prepare.data import TrainingData, validation_of
from training.prepare.splits import split_sha256
from training.recipes.config import CalibrationConfig, Recipe
from training.recipes.load import training_part
from training.release.precision_validation import validate_precisions
from training.release.write_bundle import ReleaseMetrics, release, released_network
from training.train.run_folder import RunFolder


def calibrate_run(run: RunFolder, data: TrainingData, config: CalibrationConfig) -> Calibrated:
    """Fits probabilities and operating points on validation, with the weights and the engine that will be released.

    Raises TrainingFailed when the split is not the one that the run trained on.
    """
    recipe = run.recipe()
    samples = data.validation
    if tuple(record.image for record in samples.records) != run.info().validation_images:
        raise TrainingFailed(
            f"The data's validation images are not those of {run.path}: use the data it was trained on."
        )
    engine = TorchEngine(released_network(run, len(data.outputs)))
    logits_nK = np.concatenate([engine.run(samples.pixels_NHW[row][None])[0] for row in samples.rows_n]).astype(
        np.float64
    )
    if config.slope_spread and data.activation is Activation.SOFTMAX:
        raise TrainingFailed("calibration.slope_spread is for independent outputs, and these are not: set it to 0.")
    spread = config.slope_spread
    how = f", slopes drawn to their mean (expected spread {spread:.0%} of it)" if spread else ""
    calibration, notes = fit_calibration(
        logits_nK,
        samples.labels_nK.astype(np.uint8),
        data.outputs,
        data.activation,
        f"{data.dataset} validation{how}",
        method=config.method,
        slope_spread=spread,
    )
    probabilities_nK = probabilities(logits_nK, data.activation, calibration)
    predictions = data.validation_predictions(probabilities_nK, recipe.name, calibrated=True)
    return Calibrated(
        calibration=calibration,
        operating_points=operating_points(predictions, recipe.seed),
        evaluation=record_of(judge(predictions)),
        notes=notes,
    )


def evaluate_bundle(
    classifier: BundleClassifier, dataset: Dataset, split: str, recipe: Recipe | None = None
) -> tuple[Evaluation, Predictions]:
    """Reads one published split, or 'all' images, of a data set once, and judges what the bundle predicts.

    recipe: for split 'validation', the one that made the bundle: it says which images these were. Raises DatasetInvalid
    when they are others than the bundle notes.
    """
    metadata = classifier.bundle.metadata
    if recipe is not None:
        records = validation_of(recipe, dataset)
        if split_sha256(record.image for record in records) != metadata.training.validation_split_sha256:
            raise DatasetInvalid(
                f"By {recipe.name}, other images of {dataset.folder} validate than {metadata.name} {metadata.version} "
                f"notes: give --recipe and --data of its own ({metadata.training.recipe})."
            )
    else:
        records = dataset.records if split == "all" else dataset.of(Split(split))
    evaluation, predictions = evaluate(classifier, metadata, dataset, records, split, boxes=dataset.boxes)
    missing = tuple(issue.image for issue in dataset.issues if issue.kind is IssueKind.MISSING_FILE)
    return replace(evaluation, missing=missing), predictions


def release_run(run: RunFolder, recipe: Recipe, dataset: Dataset, models: Path) -> BundleMetadata:
    """Releases a calibrated run under `models`; its test metrics are of the data set's published test split.

    recipe: the run's, or one that differs from it in [release], [explanation] and [calibration] alone: these may be
    written afterwards, and the calibration is the one that `calibrate` kept.
    """
    if training_part(recipe) != training_part(run.recipe()):
        raise TrainingFailed(
            f"The recipe differs from that of {run.path} in more than its [release], [explanation] and [calibration] "
            "tables."
        )
    if not run.calibration_file.is_file():
        raise TrainingFailed(
            f"{run.calibration_file} is not there: run `python -m training calibrate {run.path}` first."
        )
    calibrated = CONVERTER.structure(json.loads(run.calibration_file.read_text()), Calibrated)
    validation = frozenset(run.info().validation_images)
    records = tuple(record for record in dataset.records if record.image in validation)

    def judge_release(classifier: BundleClassifier) -> ReleaseMetrics:
        on_test = [evaluate_bundle(classifier, dataset, Split.TEST.value)[0]] if dataset.of(Split.TEST) else []
        admitted = validate_precisions(classifier, records, source=f"{dataset.name} validation")
        return tuple(map(record_of, on_test)), admitted

    target = models / f"{recipe.release.name}-{recipe.release.version}"
    return release(run, recipe, dataset, calibrated, target, judge_release)
