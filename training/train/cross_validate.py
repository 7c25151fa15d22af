"""All folds of a recipe, by one command or one fold a process; and the proof that every image was validated once."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.datasets import read_dataset
from training.datasets.base import Dataset, Record
from training.datasets.leakage import trainable
from training.errors import TrainingFailed
from training.evaluate.metrics import mean_defined
from training.evaluate.predictions import Predictions
from training.files import write_whole
from training.prepare.data import division_of, split_and_cached
from training.prepare.fold_manifest import (
    FoldManifest,
    check_manifest,
    label_counts,
    labels_hash,
    read_manifest,
    torn_patients,
    write_manifest,
)
from training.prepare.splits import split_sha256
from training.provenance import git_commit
from training.recipes.config import Recipe
from training.recipes.load import recipe_to_json
from training.train.distributed import ALONE, ProcessGroup
from training.train.loop import finished, train
from training.train.run_folder import RunFolder

MANIFEST_FILE = "folds.json"
PROOF_FILE = "proof.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """A recipe, the data, and the division of everything in it that may train. records: what is divided."""

    recipe: Recipe
    dataset: Dataset
    records: tuple[Record, ...]
    manifest: FoldManifest
    out: Path

    def run(self, fold: int) -> RunFolder:
        """The folder of one fold's run."""
        return RunFolder(self.out / f"fold-{fold}")

    def recipe_of(self, fold: int) -> Recipe:
        """The recipe as this fold trains it."""
        folds = len(self.manifest.images)
        data = replace(self.recipe.data, folds=folds, validation_fold=fold, published_validation=False)
        return replace(self.recipe, data=data)

    def finished(self, fold: int) -> bool:
        """Whether the fold's run has come to its end."""
        run = self.run(fold)
        return run.recipe_file.is_file() and finished(run.history(), run.recipe().loop)


def plan(recipe: Recipe, folder: Path, out: Path, folds: int) -> CrossValidation:
    """Divides the data, or takes the division that `out` began with, and saves it there.

    Raises DatasetInvalid; TrainingFailed when `out` holds a division of other data or into another number of folds.
    """
    recipe = replace(recipe, data=replace(recipe.data, folds=folds, validation_fold=0))
    dataset = read_dataset(recipe.data.dataset, folder, recipe.data.references)
    records = trainable(dataset, without_nih_lists=recipe.data.without_nih_lists)
    file = out / MANIFEST_FILE
    manifest = read_manifest(file) if file.is_file() else division_of(recipe, dataset)
    check_manifest(manifest, records, file)
    if (len(manifest.images), manifest.split_seed) != (folds, recipe.data.split_seed):
        raise TrainingFailed(
            f"{file} is of {len(manifest.images)} folds, seed {manifest.split_seed}: give a new --out."
        )
    if any(not images for images in manifest.images):
        raise TrainingFailed(f"{folder}: too few patients for {folds} folds; give a smaller --folds.")
    if not file.is_file():
        write_manifest(file, manifest)
    return CrossValidation(recipe=recipe, dataset=dataset, records=records, manifest=manifest, out=out)


def train_fold(
    what: CrossValidation, fold: int, cache: Path, device: torch.device, group: ProcessGroup = ALONE
) -> None:
    """Trains one fold, or goes on with it; a finished one is left as it is. Raises what train() raises."""
    recipe = what.recipe_of(fold)
    with group.leader_first():
        data = split_and_cached(recipe, what.dataset, what.manifest, cache)
    if group.leads:
        print(f"fold {fold}: {len(data.train)} images train, {len(data.validation)} validate; {what.run(fold).path}")
    train(recipe, data, what.run(fold), device, group)


def prove(what: CrossValidation) -> Path | None:
    """Writes proof.json once every fold is finished; None before.

    Raises TrainingFailed, after writing it, when an image was not validated exactly once or trained its own judge.
    """
    folds = range(len(what.manifest.images))
    if not all(what.finished(fold) for fold in folds):
        return None
    proof = proof_of(what)
    file = what.out / PROOF_FILE
    write_whole(file, (json.dumps(proof, indent=1) + "\n").encode())
    if (
        not proof["every_image_validated_exactly_once"]
        or proof["patients_trained_and_validated"]
        or proof["patients_torn"]
    ):
        raise TrainingFailed(f"{file} shows that these folds are no cross-validation: do not use their figures.")
    return file


def proof_of(what: CrossValidation) -> dict[str, object]:
    """What the runs' own files say of who was validated, against the manifest; plain values for JSON."""
    folds = [_predictions_of(what.run(fold)) for fold in range(len(what.manifest.images))]
    times = Counter(image for part in folds for image in part.images)
    unreadable = _unreadable(what)
    missing = sorted({r.image for r in what.records} - set(times) - unreadable)
    twice = sorted(image for image, count in times.items() if count > 1)
    rows = [_fold_row(what, fold, part) for fold, part in enumerate(folds)]
    means = [part.mean_auc for part in folds]
    return {
        "recipe": what.recipe.name,
        "recipe_sha256": hashlib.sha256(recipe_to_json(what.recipe).encode()).hexdigest(),
        "git_commit": git_commit(),
        "dataset": what.dataset.name,
        "folds": len(folds),
        "split_seed": what.manifest.split_seed,
        "records_sha256": what.manifest.records_sha256,
        "labels_sha256": labels_hash(what.records),
        "manifest_sha256": _file_hash(what.out / MANIFEST_FILE),
        "images": len(what.records),
        "every_image_validated_exactly_once": not missing and not twice,
        "not_validated": missing,
        "validated_twice": twice,
        "left_out_as_unreadable": sorted(unreadable),
        "patients_trained_and_validated": sum(_both_sides(what, fold, part) for fold, part in enumerate(folds)),
        "patients_torn": torn_patients(what.manifest, what.records),
        "mean_auc_by_fold": means,
        "mean_auc": mean_defined(means),
        "fold": rows,
    }


def _predictions_of(run: RunFolder) -> Predictions:
    found = run.validation()
    if found is None:
        raise TrainingFailed(f"{run.validation_file} is not there: train this fold again in a new folder.")
    return found


def _unreadable(what: CrossValidation) -> set[str]:
    """Images in no fold's run at all: they were listed, could not be read, and the recipe allowed to go on."""
    if not what.recipe.data.skip_unreadable:
        return set()
    info = what.run(0).info()
    return {r.image for r in what.records} - set(info.train_images) - set(info.validation_images)


def _fold_row(what: CrossValidation, fold: int, predictions: Predictions) -> dict[str, object]:
    run, names = what.run(fold), [output.name for output in what.dataset.outputs]
    counts = label_counts(what.manifest, what.records)
    totals = [max(1, sum(column)) for column in zip(*counts, strict=True)]
    return {
        "fold": fold,
        "run": run.path.name,
        "images": len(predictions.images),
        "patients": len(set(predictions.patients)),
        "as_in_manifest": set(predictions.images) <= set(what.manifest.images[fold]),
        "patients_trained_and_validated": _both_sides(what, fold, predictions),
        "images_sha256": split_sha256(predictions.images),
        "train_images_sha256": split_sha256(run.info().train_images),
        "predictions_sha256": _file_hash(run.validation_file),
        "labels": dict(zip(names, counts[fold], strict=True)),
        "label_share": {n: round(c / t, 4) for n, c, t in zip(names, counts[fold], totals, strict=True)},
    }


def _both_sides(what: CrossValidation, fold: int, predictions: Predictions) -> int:
    """Patients whom this fold both trained on and validated; there must be none."""
    patient_of = {record.image: record.patient for record in what.records}
    trained = {patient_of[image] for image in what.run(fold).info().train_images}
    return len(trained & set(predictions.patients))


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shares(what: CrossValidation) -> str:
    """A table of images with each label by fold, for the terminal."""
    names = [output.name for output in what.dataset.outputs]
    counts = label_counts(what.manifest, what.records)
    lines = [f"{'images':20}" + "".join(f"{len(images):8}" for images in what.manifest.images)]
    for name, column in zip(names, zip(*counts, strict=True), strict=True):
        lines.append(f"{name:20}" + "".join(f"{count:8}" for count in column))
    return "\n".join(lines)
