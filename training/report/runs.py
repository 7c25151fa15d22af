"""Reads what `compare` is given: run folders, folders of folds, and the JSON files of `evaluate`."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diagnosis_tool.cxr.bundle import CONVERTER
from diagnosis_tool.cxr.calibration import Calibration, CalibrationMethod, probabilities
from training.calibrate.fit import Calibrated
from training.errors import TrainingFailed
from training.evaluate.metrics import mean_defined
from training.evaluate.predictions import Predictions, read_predictions
from training.recipes.config import DataConfig, Recipe, ReleaseConfig
from training.train.run_folder import EpochRecord, RunFolder
from training.train.selection import best_epoch

FITTED_HERE = "these images"
"""Where an operating point comes from that was chosen on the very images it is judged on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure, with its 95% interval (patients drawn with replacement) where one was made."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Figures that were read and cannot be made again, because no predictions were kept. Keys are outputs' names."""

    images: int | None = None
    patients: int | None = None
    mean_auc: Estimate | None = None
    mean_ece: float | None = None
    auc: dict[str, Estimate | None]
    auprc: dict[str, float | None]
    ece: dict[str, float | None]
    positives: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of a comparison: a run, all folds of a cross-validation, or an evaluation.

    histories: the learning curve of each fold; chosen: the epoch that each fold kept. predictions: probabilities of all
    folds together, or None with `stated` instead. timed: what images_per_s measures. notes: what the reader must know.
    """

    title: str
    recipe: str
    dataset: str
    split: str
    histories: tuple[tuple[EpochRecord, ...], ...] = ()
    chosen: tuple[EpochRecord, ...] = ()
    predictions: Predictions | None = None
    stated: Stated | None = None
    images_per_s: float | None = None
    timed: str = ""
    notes: tuple[str, ...] = ()


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
        folders = [item for item in members if isinstance(item, RunFolder)]
        runs += (
            [_of_folds(folders)]
            if folders
            else [read_evaluation(item) for item in members[:1] if isinstance(item, Path)]
        )
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
    predictions, notes = _pooled(members)
    return Run(
        title=recipe.name,
        recipe=recipe.name,
        dataset=recipe.data.dataset,
        split=_split_name(recipe.data, sorted(by_fold)),
        histories=histories,
        chosen=chosen,
        predictions=predictions,
        stated=None if predictions else _from_history(chosen),
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


def _from_history(chosen: tuple[EpochRecord, ...]) -> Stated:
    def mean(values: list[float | None]) -> Estimate | None:
        found = mean_defined(values)
        return None if found is None else Estimate(value=found)

    names = list(dict.fromkeys(name for record in chosen for name in record.auc))
    return Stated(
        mean_auc=mean([record.mean_auc for record in chosen]),
        auc={name: mean([record.auc.get(name) for record in chosen]) for name in names},
        auprc={},
        ece={},
        positives={},
    )


def read_evaluation(file: Path) -> Run:
    """The JSON that `evaluate --json` wrote; with FILE.npz beside it, also all that can be made from predictions.

    Raises TrainingFailed when it is no such JSON, or the two files are of different evaluations.
    """
    try:
        run = evaluation_of(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise TrainingFailed(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingFailed(f"{file} is no JSON of `evaluate --json`: {error!r}.") from error
    beside = file.with_suffix(".npz")
    if not beside.is_file():
        return replace(run, notes=(*run.notes, f"{beside.name} is not beside it: no curves can be drawn."))
    predictions = read_predictions(beside)
    stated = run.stated
    if (
        stated is None
        or len(predictions.images) != stated.images
        or set(stated.auc) != {o.name for o in predictions.outputs}
    ):
        raise TrainingFailed(f"{beside} belongs to another evaluation than {file}: evaluate again.")
    return of_evaluation(run, predictions)


def evaluation_of(data: dict[str, Any]) -> Run:
    """A run from the plain values of an evaluation's JSON. Raises ValueError, KeyError, TypeError, AttributeError."""
    return Run(
        title=str(data["bundle"]),
        recipe="",
        dataset=str(data["dataset"]),
        split=str(data["split"]),
        stated=_stated(data),
        images_per_s=_number(data["images_per_s"]),
        timed="reading with heatmaps",
        notes=_evaluation_notes(data),
    )


def of_evaluation(run: Run, predictions: Predictions) -> Run:
    """The run with predictions instead of stated figures."""
    return replace(run, recipe=predictions.recipe, predictions=predictions, stated=None)


def _evaluation_notes(data: dict[str, Any]) -> tuple[str, ...]:
    notes = [f"Read with {data['engine']} in {data['precision']}."]
    if data.get("refused"):
        notes.append(f"{len(data['refused'])} images were refused and are not in the figures.")
    if data.get("missing"):
        notes.append(f"{len(data['missing'])} files of the index were missing.")
    return tuple(notes)


def _stated(data: dict[str, Any]) -> Stated:
    return Stated(
        images=int(data["n"]),
        patients=int(data["patients"]),
        mean_auc=_estimate(data["mean_auc"], data["ci"]["mean_auc"]),
        mean_ece=_number(data["mean_ece"]),
        auc={str(name): _estimate(value, data["ci"]["auc"].get(name)) for name, value in data["auc"].items()},
        auprc={str(name): _number(value) for name, value in data["auprc"].items()},
        ece={str(name): _number(value) for name, value in data["ece"].items()},
        positives={str(name): int(value) for name, value in data["positives"].items()},
    )


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {value!r}")  # noqa: TRY004  one kind of error for a bad file
    return float(value)


def _estimate(value: object, pair: Any) -> Estimate | None:
    number = _number(value)
    if number is None:
        return None
    low, high = pair if pair else (None, None)
    return Estimate(value=number, low=_number(low), high=_number(high))


def _named_apart(runs: list[Run]) -> tuple[Run, ...]:
    """Titles with numbers where two would be equal on one split."""
    seen: dict[tuple[str, str, str], int] = {}
    named = []
    for run in runs:
        key = (run.title, run.dataset, run.split)
        seen[key] = seen.get(key, 0) + 1
        named.append(run if seen[key] == 1 else replace(run, title=f"{run.title} ({seen[key]})"))
    return tuple(named)
