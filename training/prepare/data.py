"""From a recipe to the arrays that the loop sees: data set, split, caches."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from training.datasets import read_dataset
from training.datasets.base import Dataset, Record, Split, labels_NK
from training.datasets.leakage import trainable
from training.errors import TrainingFailed
from training.evaluate.predictions import Predictions, predictions_of, read_predictions
from training.prepare.boxes import BoxedFilms, boxed_films
from training.prepare.cache import PixelCache, cached_pixels
from training.prepare.fold_manifest import FoldManifest, folds_for
from training.prepare.splits import TrainValidation, train_validation
from training.recipes.config import BoxesConfig, DataConfig, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One side of a split. Image n of the split is pixels_NHW[rows_n[n]], with labels labels_nK[n] (float32, 0..1)."""

    pixels_NHW: NDArray[np.uint8]
    rows_n: NDArray[np.int64]
    labels_nK: NDArray[np.float32]
    records: tuple[Record, ...]

    def __len__(self) -> int:
        return len(self.rows_n)

    def batch(self, chosen_B: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, H, W) uint8 and labels (B, K) float32 of these members of the split."""
        return (
            torch.from_numpy(np.ascontiguousarray(self.pixels_NHW[self.rows_n[chosen_B]])),
            torch.from_numpy(self.labels_nK[chosen_B]),
        )

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each image."""
        return tuple(record.patient for record in self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Train at the cached size, to be cropped; validation exactly as serving will read it.

    boxed: training films whose boxes supervise, where the recipe wants them.
    """

    dataset: str
    outputs: tuple[Output, ...]
    activation: Activation
    train: Samples
    validation: Samples
    test_images: tuple[str, ...]
    """Names only: what a released bundle promises never to have seen."""
    boxed: BoxedFilms | None = None

    def validation_predictions(
        self, scores_nK: NDArray[np.floating], recipe: str, *, calibrated: bool = False
    ) -> Predictions:
        """Scores of the validation images, in their order, as predictions of what this recipe trained."""
        return predictions_of(
            self.validation.records,
            scores_nK,
            self.outputs,
            self.activation,
            dataset=self.dataset,
            split="validation",
            recipe=recipe,
            calibrated=calibrated,
        )


def load_training_data(recipe: Recipe, folder: Path, cache_folder: Path) -> TrainingData:
    """Reads the recipe's data set in `folder`, splits it, and opens or builds its two caches.

    Raises DatasetInvalid, ImagesUnreadable, TrainingFailed (disk full).
    """
    dataset = read_dataset(recipe.data.dataset, folder, recipe.data.references)
    return split_and_cached(recipe, dataset, _own_division(recipe, dataset), cache_folder)


def validation_of(recipe: Recipe, dataset: Dataset) -> tuple[Record, ...]:
    """The images that validate a run of this recipe. Raises as load_training_data does, but reads no image."""
    return _divided(recipe, dataset, _own_division(recipe, dataset)).validation


def _own_division(recipe: Recipe, dataset: Dataset) -> FoldManifest | None:
    published = recipe.data.published_validation and dataset.of(Split.VALIDATION)
    return None if published else division_of(recipe, dataset)


def to_validate(recipe: Recipe) -> Recipe:
    """The recipe without the files that only training needs: the rest of its data is the same."""
    return replace(recipe, boxes=BoxesConfig(), data=replace(recipe.data, soft_labels="", soft_share=0.0))


def division_of(recipe: Recipe, dataset: Dataset) -> FoldManifest:
    """The folds that the recipe asks for, of everything that may train. Raises DatasetInvalid, TrainingFailed."""
    usable = trainable(dataset, without_nih_lists=recipe.data.without_nih_lists)
    return folds_for(usable, dataset=dataset.name, folds=recipe.data.folds, seed=recipe.data.split_seed)


def split_and_cached(
    recipe: Recipe, dataset: Dataset, division: FoldManifest | None, cache_folder: Path
) -> TrainingData:
    """The recipe's fold of a division that was settled before, or the published validation split; with its caches."""
    split = _divided(recipe, dataset, division)
    train_cache, validation_cache = open_caches(recipe, dataset, cache_folder)
    train, validation = samples_of(train_cache, split.train), samples_of(validation_cache, split.validation)
    if recipe.data.soft_labels:
        train = softened(train, validation, dataset.outputs, recipe.data)
    return TrainingData(
        dataset=dataset.name,
        outputs=dataset.outputs,
        activation=dataset.activation,
        train=train,
        validation=validation,
        test_images=tuple(record.image for record in dataset.of(Split.TEST)),
        boxed=boxed_films(Path(recipe.boxes.folder), dataset, train.records, dataset.outputs, recipe.data.cache_size_px)
        if recipe.boxes.folder
        else None,
    )


def _divided(recipe: Recipe, dataset: Dataset, division: FoldManifest | None) -> TrainValidation:
    return train_validation(
        dataset,
        folds=recipe.data.folds,
        validation_fold=recipe.data.validation_fold,
        seed=recipe.data.split_seed,
        without_nih_lists=recipe.data.without_nih_lists,
        published_validation=recipe.data.published_validation,
        fold_of=division.fold_of if division else None,
    )


def open_caches(recipe: Recipe, dataset: Dataset, cache_folder: Path) -> tuple[PixelCache, PixelCache]:
    """The caches at the size that crops are taken from, and at the network's own size.

    The whole data set is cached once, so that every fold and every seed shares the files; who trains is decided by
    the split alone.
    """
    training, network = (
        cached_pixels(dataset.records, spec, cache_folder / dataset.name, skip_unreadable=recipe.data.skip_unreadable)
        for spec in (replace(recipe.preprocess, size_px=recipe.data.cache_size_px), recipe.preprocess)
    )
    return training, network


def samples_of(cache: PixelCache, records: tuple[Record, ...]) -> Samples:
    """Those of the records that the cache holds; the others could not be read, and nobody minded."""
    cached = frozenset(cache.images)
    present = tuple(record for record in records if record.image in cached)
    return Samples(
        pixels_NHW=cache.pixels_NHW,
        rows_n=cache.rows_of(record.image for record in present),
        labels_nK=labels_NK(present).astype(np.float32),
        records=present,
    )


def softened(train: Samples, validation: Samples, outputs: tuple[Output, ...], config: DataConfig) -> Samples:
    """The training side with config.soft_share of each label replaced by what the teachers said (distillation).

    With binary cross-entropy that is the same loss as a weighted sum over both.
    Raises TrainingFailed when the file does not cover the training images, answers other outputs, or its teachers
    learned from images that validate here.
    Source: Hinton et al. 2015, 'Distilling the knowledge in a neural network', at temperature 1.
    """
    soft = read_predictions(Path(config.soft_labels))
    row_of = {image: row for row, image in enumerate(soft.images)}
    known = [record.image for record in validation.records if record.image in row_of]
    missing = [record.image for record in train.records if record.image not in row_of]
    if soft.outputs != outputs or not soft.calibrated or known or missing:
        raise TrainingFailed(
            f"{config.soft_labels} does not go with this split: {len(missing)} training images have no soft label, "
            f"{len(known)} validation images were learned from by its teachers (both must be 0), and it must hold "
            f"probabilities of {len(outputs)} outputs in the data set's order. Make it by `teach` from runs of this "
            "split."
        )
    soft_nK = soft.scores_NK[[row_of[record.image] for record in train.records]].astype(np.float32)
    return replace(train, labels_nK=(1 - config.soft_share) * train.labels_nK + config.soft_share * soft_nK)


def fetched(samples: Samples, batches: list[NDArray[np.int64]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches' images and labels, each gathered from the map while the one before is being worked on."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for chosen in batches:
            following = pool.submit(samples.batch, chosen)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
