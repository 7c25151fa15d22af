"""What follows training, put together: calibrate a run, judge a bundle on a data set, release."""

import json
from pathlib import Path

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER, BundleMetadata, OperatingPoint, Output, PrecisionValidation
from diagnosis_tool.cxr.calibration import Activation, probabilities
from diagnosis_tool.cxr.classifier import BundleClassifier
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.types import ModelIdentity
from training.calibrate.fit import Calibrated, fit_calibration, operating_points
from training.calibrate.ward import calibration_weights, weighting_words
from training.datasets.base import Dataset, IssueKind, Split
from training.errors import DatasetInvalid, TrainingFailed
from training.evaluate.evaluation import Read, Report, as_evaluation, common_columns, judge, read_all
from training.evaluate.predictions import Predictions
from training.prepare.data import TrainingData, validation_of
from training.prepare.splits import split_sha256
from training.provenance import git_commit
from training.recipes.config import CalibrationConfig, Recipe
from training.recipes.load import training_part
from training.release.explain import explanation_of
from training.release.precision_validation import validate_precisions
from training.release.write_bundle import Evaluate, ReleaseInputs, release, released_network
from training.train.run_folder import RunFolder


def calibrate_run(run: RunFolder, data: TrainingData, config: CalibrationConfig) -> Calibrated:
    """Fits probabilities and operating points on validation, with the weights and the engine that will be released.

    config: how; for the probabilities images are weighted as it says, and count 1 each for the operating points and
    all figures. Raises TrainingFailed when the split is not the one that the run trained on.
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
    weights_n = calibration_weights(samples.records, config)
    fitted_on = ", ".join(part for part in (source, weighting_words(config, weights_n), _slope_words(config)) if part)
    calibration, notes = fit_calibration(
        logits_nK,
        labels_nK,
        data.outputs,
        data.activation,
        fitted_on,
        method=config.method,
        weights_n=weights_n,
        slope_spread=config.slope_spread,
    )
    probabilities_nK = probabilities(logits_nK, data.activation, calibration)
    points = operating_points(
        probabilities_nK, labels_nK, data.outputs, samples.patients, source=source, seed=recipe.seed
    )
    read = Read(
        records=samples.records,
        outputs=data.outputs,
        probabilities_NK=probabilities_nK,
        located=(),
        box_threshold=recipe.explanation.box_threshold,
        refused=(),
        seconds=0.0,
    )
    identity = ModelIdentity(
        bundle_name=recipe.release.name,
        bundle_version=recipe.release.version,
        bundle_sha256="",
        engine=engine.name,
        precision=engine.precision,
    )
    report = judge(read, identity, data.outputs, dataset=data.dataset, split="validation")
    return Calibrated(calibration=calibration, operating_points=points, evaluation=as_evaluation(report), notes=notes)


def _slope_words(config: CalibrationConfig) -> str:
    spread = config.slope_spread
    return f"slopes drawn to their mean (expected spread {spread:.0%} of it)" if spread else ""


def evaluate_bundle(classifier: BundleClassifier, dataset: Dataset, split: str) -> Report:
    """Reads one published split, or 'all' images, of a data set once, and judges what the bundle said."""
    return evaluate_and_keep(classifier, dataset, split)[0]


def evaluate_and_keep(
    classifier: BundleClassifier, dataset: Dataset, split: str, recipe: Recipe | None = None
) -> tuple[Report, Predictions]:
    """As evaluate_bundle, with what was said about each image, for reports.

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
    threshold = metadata.explanation.box_threshold
    read = read_all(classifier, metadata.outputs, records, dataset.boxes, box_threshold=threshold)
    missing = tuple(issue.image for issue in dataset.issues if issue.kind is IssueKind.MISSING_FILE)
    report = judge(read, classifier.identity, dataset.outputs, dataset=dataset.name, split=split, missing=missing)
    return report, predictions_of(read, metadata, dataset, split)


def predictions_of(read: Read, metadata: BundleMetadata, dataset: Dataset, split: str) -> Predictions:
    """What a bundle said about the outputs that the data set labels, with the bundle's own operating points."""
    names, probabilities_NK, labels_NK = common_columns(read, dataset.outputs)
    kinds = {output.name: output.kind for output in read.outputs}
    thresholds = [metadata.threshold(name) for name in names]
    return Predictions(
        dataset=dataset.name,
        split=split,
        recipe=metadata.training.recipe,
        outputs=tuple(Output(name=name, kind=kinds[name]) for name in names),
        activation=metadata.activation,
        images=tuple(record.image for record in read.records),
        patients=tuple(record.patient for record in read.records),
        labels_NK=labels_NK,
        scores_NK=probabilities_NK,
        calibrated=True,
        thresholds_K=np.array([np.nan if value is None else value for value in thresholds], dtype=np.float64),
        thresholds_from=", ".join(sorted({point.source for point in metadata.operating_points})),
    )


def points_on(said: Predictions, seed: int) -> tuple[OperatingPoint, ...]:
    """The operating points that these probabilities choose; of validation: the bundle's. seed: the recipe's."""
    return operating_points(
        said.scores_NK, said.labels_NK, said.outputs, said.patients, source=f"{said.dataset} {said.split}", seed=seed
    )


def report_json(report: Report, points: tuple[OperatingPoint, ...] = ()) -> str:
    """The report as `evaluate --json` writes it; the figures of heatmaps stand beside the others."""
    data = CONVERTER.unstructure(report)
    if points:
        data["operating_points"] = CONVERTER.unstructure(points)
    located = data.pop("localisation") or {"boxes": {}, "pointing": {"mean": None}}
    return json.dumps(data | located, indent=1, allow_nan=False) + "\n"


def summary(report: Report) -> str:
    """One line of a report for the terminal."""
    if report.mean_auc is None or report.ci.mean_auc is None:
        return f"{report.n} images read; no finding has both positives and negatives: mean AUC n/a"
    low, high = report.ci.mean_auc
    found = report.localisation
    pointing = f"{found.pointing['mean']:.3f} (blind {found.pointing_blind['mean']:.3f})" if found else "n/a"
    return (
        f"{report.n} images of {report.patients} patients: mean AUC {report.mean_auc:.4f} ({low:.4f} to {high:.4f}), "
        f"mean ECE {report.mean_ece:.4f}, pointing {pointing}, {report.images_per_s:.1f} images/s, "
        f"{len(report.refused)} refused"
    )


def release_run(run: RunFolder, recipe: Recipe, dataset: Dataset, models: Path) -> BundleMetadata:
    """Releases a calibrated run under `models`; its test figures are of the data set's published test split.

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
        explanation=explanation_of(run, recipe.explanation, dataset),
        epochs=len(run.history()),
        git_commit=git_commit(),
    )

    def on_test(classifier: BundleClassifier) -> Report:
        return evaluate_bundle(classifier, dataset, Split.TEST.value)

    validation = frozenset(inputs.info.validation_images)
    records = tuple(record for record in dataset.records if record.image in validation)

    def on_validation(classifier: BundleClassifier) -> tuple[PrecisionValidation, ...]:
        return validate_precisions(classifier, records, source=f"{dataset.name} validation")

    evaluate: tuple[Evaluate, ...] = (on_test,) if dataset.of(Split.TEST) else ()
    target = models / f"{recipe.release.name}-{recipe.release.version}"
    return release(inputs, run, target, evaluate, on_validation)
