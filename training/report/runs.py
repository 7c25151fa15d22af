"""Reads what `compare` is given: run folders, folders of folds, and the JSON files of `evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER, Interval
from diagnosis_tool.cxr.calibration import Activation, Calibration, CalibrationMethod, probabilities
from training.calibrate.fit import Calibrated
from training.errors import TrainingFailed
from training.evaluate.evaluation import STORED, Evaluation, judge, kinds_of
from training.evaluate.metrics import mean_defined
from training.evaluate.predictions import Predictions, read_predictions
from training.recipes.config import DataConfig, Recipe, ReleaseConfig
from training.report.calls import FITTED_HERE, CallMetrics, judge_calls, with_points
from training.train.run_folder import EpochRecord, RunFolder
from training.train.selection import best_epoch

_OF_READING: Final = ("bundle", "engine", "precision", "refused", "missing", "images_per_s")
Spread = tuple[float, float]
"""Mean and sample standard deviation over folds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of a comparison: a run, all folds of a cross-validation, or an evaluation.

    histories: the learning curve of each fold; chosen: the epoch that each fold kept. predictions: probabilities of all
    folds together, with the operating points of `calls`; None, as calls are, where none were kept. at_half: by
    probability 0.5, None for exclusive classes. timed: what images_per_s measures. notes: what the reader must know.
    """

    title: str
    recipe: str
    evaluation: Evaluation
    histories: tuple[tuple[EpochRecord, ...], ...] = ()
    chosen: tuple[EpochRecord, ...] = ()
    predictions: Predictions | None = None
    calls: CallMetrics | None = None
    at_half: CallMetrics | None = None
    images_per_s: float | None = None
    timed: str = ""
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs' names in order."""
        return tuple(self.evaluation.kinds)

    @property
    def exclusive(self) -> bool:
        """Whether it is known to answer exclusive classes."""
        return self.predictions is not None and self.predictions.activation is Activation.SOFTMAX

    def ece(self, name: str) -> float | None:
        """None, as everything here, for an output without positives."""
        return self.evaluation.ece.get(name) if self.evaluation.positives.get(name) else None

    @property
    def mean_ece(self) -> float | None:
        """Over the findings with positives."""
        return mean_defined([self.ece(name) for name in self.evaluation.findings])

    def negatives(self, name: str) -> int | None:
        """How many images are without it."""
        images, positives = self.evaluation.images, self.evaluation.positives.get(name)
        return None if images is None or positives is None else images - positives

    def all_negative(self, name: str) -> float | None:
        """The accuracy of never calling it."""
        negatives, images = self.negatives(name), self.evaluation.images
        return negatives / images if negatives is not None and images and negatives < images else None

    def threshold(self, name: str) -> float | None:
        """The operating point."""
        if self.predictions is None or not self.evaluation.positives[name]:
            return None
        value = float(self.predictions.thresholds_K[self.names.index(name)])
        return None if np.isnan(value) else value

    def threshold_from(self, name: str) -> str | None:
        """The data that the operating point was chosen on, or would have been."""
        source = self.predictions.thresholds_from if self.predictions else ""
        return None if source == FITTED_HERE and self.threshold(name) is None else source or None

    def auc_of_folds(self, name: str) -> Spread | None:
        """Each fold at its chosen epoch."""
        return folds_mean([record.auc.get(name) for record in self.chosen])

    @property
    def mean_auc_of_folds(self) -> Spread | None:
        """Each fold at its chosen epoch."""
        return folds_mean([record.mean_auc for record in self.chosen])


def folds_mean(values: Sequence[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are numbers; None for fewer than two."""
    known = [value for value in values if value is not None]
    return (float(np.mean(known)), float(np.std(known, ddof=1))) if len(known) > 1 else None


def load_runs(paths: list[Path]) -> tuple[Run, ...]:
    """The runs in the order they were named, folds of one recipe together where the first of them stands.

    Raises TrainingFailed, naming the path, for what is neither a run nor an evaluation.
    """
    groups: dict[str, list[RunFolder | Path]] = {}
    for path in paths:
        for item in _items(path):
            key = _fold_key(item) if isinstance(item, RunFolder) else str(item)
            groups.setdefault(key, []).append(item)
    runs = []
    for members in groups.values():
        first = members[0]
        folders = [item for item in members if isinstance(item, RunFolder)]
        runs.append(read_evaluation(first) if isinstance(first, Path) else _of_folds(folders))
    return _named_apart(runs)


def _items(path: Path) -> list[RunFolder | Path]:
    if path.is_file():
        return [path]
    if RunFolder(path).recipe_file.is_file():
        return [RunFolder(path)]
    inner = [RunFolder(folder) for folder in sorted(path.glob("*")) if RunFolder(folder).recipe_file.is_file()]
    if not inner:
        raise TrainingFailed(
            f"{path} is neither the folder of a run, nor one of several runs, nor an evaluation's JSON."
        )
    return list(inner)


def _fold_key(run: RunFolder) -> str:
    """Equal for runs that differ in nothing but the fold that validates."""
    recipe = run.recipe()
    same: Recipe = replace(
        recipe, data=replace(recipe.data, validation_fold=0), release=ReleaseConfig(name="", version="")
    )
    return repr(same)


def _of_folds(folders: list[RunFolder]) -> Run:
    recipe = folders[0].recipe()
    by_fold = {folder.recipe().data.validation_fold: folder for folder in folders}
    if len(by_fold) != len(folders):
        twice = ", ".join(str(folder.path) for folder in folders)
        raise TrainingFailed(f"Two of these runs have the same recipe and fold: {twice}. Name each run once.")
    members = [by_fold[fold] for fold in sorted(by_fold)]
    histories = tuple(tuple(folder.history()) for folder in members)
    if not any(histories):
        raise TrainingFailed(f"{folders[0].path} has no finished epoch yet: train it first.")
    chosen = tuple(best for history in histories if (best := best_epoch(history, recipe.loop.select)))
    pooled, notes = _pooled(members)
    split = _split_name(recipe.data, sorted(by_fold))
    predictions = None if pooled is None else replace(pooled, split=split)
    return _with_calls(
        judge(predictions) if predictions else _from_history(recipe.data.dataset, split, chosen),
        predictions,
        title=recipe.name,
        recipe=recipe.name,
        histories=histories,
        chosen=chosen,
        images_per_s=mean_defined([record.images_per_s for history in histories for record in history]),
        timed="training steps",
        notes=notes,
    )


def _split_name(data: DataConfig, folds: list[int]) -> str:
    if len(folds) == data.folds:
        return f"validation, all {data.folds} folds"
    listed = ", ".join(str(fold + 1) for fold in folds)
    return f"validation, fold {listed} of {data.folds}"


def _pooled(folders: list[RunFolder]) -> tuple[Predictions | None, tuple[str, ...]]:
    """All folds' probabilities in one, and what to say of them."""
    parts = [folder.validation() for folder in folders]
    kept = [part for part in parts if part is not None]
    if len(kept) < len(parts):
        return None, ("Its predictions were not kept: only the learning curve's figures can be shown.",)
    notes = ["The epoch was chosen on these images: the figures flatter."]
    calibrations = [_calibrated(folder) for folder in folders]
    if None in calibrations:
        notes.append("Not calibrated: the scores are the network's own, and calibration errors are of these.")
    ready = [_as_probabilities(part, found) for part, found in zip(kept, calibrations, strict=True)]
    if len(ready) == 1:
        return ready[0], tuple(notes)
    images = [image for part in ready for image in part.images]
    if len(set(images)) != len(images):
        raise TrainingFailed(f"{folders[0].path} and its other folds validate some images twice: use one split.")
    if any(part.outputs != ready[0].outputs for part in ready):
        raise TrainingFailed(f"{folders[0].path} and its other folds have other outputs: use one data set.")
    notes.append(f"Each image was read by the one of {len(ready)} networks that did not train on its patient.")
    whole = replace(
        ready[0],
        images=tuple(images),
        patients=tuple(patient for part in ready for patient in part.patients),
        labels_NK=np.concatenate([part.labels_NK for part in ready]),
        scores_NK=np.concatenate([part.scores_NK for part in ready]),
        thresholds_K=np.full(len(ready[0].outputs), np.nan),
        thresholds_from="",
    )
    return whole, tuple(notes)


def _calibrated(folder: RunFolder) -> Calibrated | None:
    if not folder.calibration_file.is_file():
        return None
    try:
        return CONVERTER.structure(json.loads(folder.calibration_file.read_text()), Calibrated)
    except Exception as error:  # cattrs raises groups of nearly anything
        raise TrainingFailed(f"{folder.calibration_file} cannot be read: calibrate the run again.") from error


def _as_probabilities(part: Predictions, found: Calibrated | None) -> Predictions:
    if part.calibrated:
        return part
    if found is None:
        ones = (1.0,) * len(part.outputs)
        raw = Calibration(method=CalibrationMethod.NONE, slope=ones, intercept=(0.0,) * len(ones), fitted_on="")
        return replace(part, scores_NK=probabilities(part.scores_NK, part.activation, raw), calibrated=True)
    points = {point.output: point.threshold for point in found.operating_points if point.criterion == "youden"}
    return replace(
        part,
        scores_NK=probabilities(part.scores_NK, part.activation, found.calibration),
        calibrated=True,
        thresholds_K=np.array([points.get(output.name, np.nan) for output in part.outputs]),
        thresholds_from=FITTED_HERE,
    )


def _with_calls(evaluation: Evaluation, predictions: Predictions | None, **facts: Any) -> Run:
    if predictions is None:
        return Run(evaluation=evaluation, **facts)
    predictions = with_points(predictions)
    exclusive = predictions.activation is Activation.SOFTMAX
    return Run(
        evaluation=evaluation,
        predictions=predictions,
        calls=judge_calls(predictions),
        at_half=None if exclusive else judge_calls(predictions, half=True),
        **facts,
    )


def _from_history(dataset: str, split: str, chosen: tuple[EpochRecord, ...]) -> Evaluation:
    def mean(values: list[float | None]) -> Interval | None:
        found = mean_defined(values)
        return None if found is None else Interval(value=found, low=np.nan, high=np.nan)

    names = list(dict.fromkeys(name for record in chosen for name in record.auc))
    return Evaluation(
        dataset=dataset,
        split=split,
        images=None,
        patients=None,
        kinds=kinds_of(names),
        positives={},
        mean_auc=mean([record.mean_auc for record in chosen]),
        auc={name: mean([record.auc.get(name) for record in chosen]) for name in names},
        mean_auprc=None,
        auprc={},
        mean_ece=None,
        ece={},
    )


def read_evaluation(file: Path) -> Run:
    """The JSON that `evaluate --json` wrote; with FILE.npz beside it, also all that can be made from predictions.

    Raises TrainingFailed when it is no such JSON, or the two files are of different evaluations.
    """
    try:
        stated = STORED.structure(json.loads(file.read_text(encoding="utf-8")), Evaluation)
    except OSError as error:
        raise TrainingFailed(f"{file} cannot be read: {error.strerror}.") from error
    except Exception as error:  # cattrs raises groups of nearly anything
        raise TrainingFailed(f"{file} is no JSON of `evaluate --json`: {error!r}.") from error
    beside = file.with_suffix(".npz")
    if not beside.is_file():
        run = of_evaluation(stated, None)
        return replace(run, notes=(*run.notes, f"{beside.name} is not beside it: no curves can be drawn."))
    predictions = read_predictions(beside)
    if len(predictions.images) != stated.images or set(stated.auc) != set(predictions.names):
        raise TrainingFailed(f"{beside} belongs to another evaluation than {file}: evaluate again.")
    of_reading = {name: getattr(stated, name) for name in _OF_READING}
    return of_evaluation(replace(judge(predictions), **of_reading), predictions)  # not all of an evaluation is stored


def of_evaluation(evaluation: Evaluation, predictions: Predictions | None) -> Run:
    """A bundle that was evaluated."""
    notes = [f"Read with {evaluation.engine} in {evaluation.precision}."]
    if evaluation.refused:
        notes.append(f"{len(evaluation.refused)} images were refused and are not in the figures.")
    if evaluation.missing:
        notes.append(f"{len(evaluation.missing)} files of the index were missing.")
    return _with_calls(
        evaluation,
        predictions,
        title=evaluation.bundle,
        recipe=predictions.recipe if predictions else "",
        images_per_s=evaluation.images_per_s,
        timed="reading with heatmaps",
        notes=tuple(notes),
    )


def _named_apart(runs: list[Run]) -> tuple[Run, ...]:
    """Titles with numbers where two would be equal on one split."""
    seen: dict[tuple[str, str, str], int] = {}
    named = []
    for run in runs:
        key = (run.title, run.evaluation.dataset, run.evaluation.split)
        seen[key] = seen.get(key, 0) + 1
        named.append(run if seen[key] == 1 else replace(run, title=f"{run.title} ({seen[key]})"))
    return tuple(named)
