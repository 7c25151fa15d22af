"""What follows training, put together: calibrate a run, judge a bundle on a data set, release."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER, BundleMetadata, EvaluationRecord, OperatingPoint, PrecisionValidation
from diagnosis_tool.cxr.calibration import Activation, probabilities
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.explanation import ExplanationSpec
from training.calibrate.fit import Calibrated, fit_calibration, operating_points
from training.datasets.base import Dataset, IssueKind, Split
from training.errors import DatasetInvalid, TrainingFailed
from training.evaluate.evaluation import Evaluation, evaluate, judge, record_of
from training.evaluate.predictions import Predictions, predictions_of
from training.prepare.data import TrainingData, validation_of
from training.prepare.splits import split_sha256
from training.provenance import git_commit
from training.recipes.config import CalibrationConfig, Recipe
from training.recipes.load import training_part
from training.release.precision_validation import validate_precisions
from training.release.write_bundle import Evaluate, ReleaseInputs, release, released_network
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
    labels_nK = samples.labels_nK.astype(np.uint8)
    source = f"{data.dataset} validation"
    if config.slope_spread and data.activation is Activation.SOFTMAX:
        raise TrainingFailed("calibration.slope_spread is for independent outputs, and these are not: set it to 0.")
    fitted_on = ", ".join(part for part in (source, _slope_words(config)) if part)
    calibration, notes = fit_calibration(
        logits_nK,
        labels_nK,
        data.outputs,
        data.activation,
        fitted_on,
        method=config.method,
        slope_spread=config.slope_spread,
    )
    probabilities_nK = probabilities(logits_nK, data.activation, calibration)
    points = operating_points(
        probabilities_nK, labels_nK, data.outputs, samples.patients, source=source, seed=recipe.seed
    )
    predictions = predictions_of(
        samples.records,
        probabilities_nK,
        data.outputs,
        data.activation,
        dataset=data.dataset,
        split="validation",
        recipe=recipe.name,
        calibrated=True,
    )
    evaluation = record_of(judge(predictions))
    return Calibrated(calibration=calibration, operating_points=points, evaluation=evaluation, notes=notes)


def _slope_words(config: CalibrationConfig) -> str:
    spread = config.slope_spread
    return f"slopes drawn to their mean (expected spread {spread:.0%} of it)" if spread else ""


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


def points_on(predictions: Predictions, seed: int) -> tuple[OperatingPoint, ...]:
    """The operating points that these probabilities choose; of validation: the bundle's. seed: the recipe's."""
    return operating_points(
        predictions.scores_NK,
        predictions.labels_NK,
        predictions.outputs,
        predictions.patients,
        source=f"{predictions.dataset} {predictions.split}",
        seed=seed,
    )


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
    inputs = ReleaseInputs(
        recipe=recipe,
        info=run.info(),
        outputs=dataset.outputs,
        activation=dataset.activation,
        calibrated=calibrated,
        explanation=ExplanationSpec(
            method=recipe.explanation.method,
            mean_maps=(),
            opposite=0.0,
            smoothing_cells=0.0,
            box_threshold=recipe.explanation.box_threshold,
        ),
        epochs=len(run.history()),
        git_commit=git_commit(),
    )

    def on_test(classifier: BundleClassifier) -> EvaluationRecord:
        return record_of(evaluate_bundle(classifier, dataset, Split.TEST.value)[0])

    validation = frozenset(inputs.info.validation_images)
    records = tuple(record for record in dataset.records if record.image in validation)

    def on_validation(classifier: BundleClassifier) -> tuple[PrecisionValidation, ...]:
        return validate_precisions(classifier, records, source=f"{dataset.name} validation")

    judges: tuple[Evaluate, ...] = (on_test,) if dataset.of(Split.TEST) else ()
    target = models / f"{recipe.release.name}-{recipe.release.version}"
    return release(inputs, run, target, judges, on_validation)
