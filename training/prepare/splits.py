"""Patient-grouped, label-stratified, seeded folds; train and validation come from them, always inside train_val."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.datasets.base import Dataset, Record, Split, labels_NK, refuse_shared_patients
from training.datasets.leakage import trainable
from training.errors import DatasetInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainValidation:
    """What trains and what selects and calibrates; no patient stands in both, none of them in the test list."""

    train: tuple[Record, ...]
    validation: tuple[Record, ...]


def train_validation(
    dataset: Dataset,
    *,
    folds: int,
    validation_fold: int,
    seed: int,
    without_nih_lists: bool = False,
    published_validation: bool = True,
    fold_of: Mapping[str, int] | None = None,
) -> TrainValidation:
    """Fold `validation_fold` of `folds` validates, the others train; the published test split takes no part.

    Where the data set was published with a validation split, that one validates (unless published_validation is
    False: then it is divided like the rest). fold_of: image to fold, where this was settled before. NIH's test patients
    take no part, whatever the data set (training.datasets.leakage).
    Raises DatasetInvalid when a side is empty, a patient stands on two sides or may be one of NIH's test patients.
    """
    usable = trainable(dataset, without_nih_lists=without_nih_lists)
    validates_N = np.array([record.split is Split.VALIDATION for record in usable], dtype=bool)
    if not (published_validation and validates_N.any()):
        fold_N = (
            assign_folds(usable, folds=folds, seed=seed)
            if fold_of is None
            else np.array([fold_of[record.image] for record in usable], dtype=np.int64)
        )
        validates_N = fold_N == validation_fold
    split = TrainValidation(
        train=tuple(r for r, validates in zip(usable, validates_N, strict=True) if not validates),
        validation=tuple(r for r, validates in zip(usable, validates_N, strict=True) if validates),
    )
    if not split.train or not split.validation:
        raise DatasetInvalid(
            f"{dataset.folder}: {len(split.train)} images to train and {len(split.validation)} to validate; "
            "both are needed, from at least as many patients as there are folds."
        )
    refuse_shared_patients({"train": split.train, "validation": split.validation, "test": dataset.of(Split.TEST)})
    return split


def assign_folds(records: tuple[Record, ...], *, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, 0 to folds - 1, of each record. All of a patient's records share it; the same seed gives the same.

    Greedy: patients with the most labels come first, each to the fold where the sum of squared label shares grows
    least, so that every label and the number of images spread evenly as far as patients allow.
    """
    if folds < 2:
        raise DatasetInvalid(f"{folds} folds: at least 2 are needed.")
    patients, patient_N = np.unique([record.patient for record in records], return_inverse=True)
    # one more column counts the images themselves
    counted_NK = np.concatenate([labels_NK(records), np.ones((len(records), 1), np.uint8)], axis=1).astype(np.float64)
    share_PK = np.zeros((len(patients), counted_NK.shape[1]))
    np.add.at(share_PK, patient_N, counted_NK / np.maximum(counted_NK.sum(axis=0), 1))
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    order = shuffled[np.argsort(-share_PK[shuffled].max(axis=1), kind="stable")]
    filled_FK = np.zeros((folds, counted_NK.shape[1]))
    fold_P = np.zeros(len(patients), np.int64)
    for patient in order:
        # (filled + share)² - filled², without the part that is the same for all folds
        growth_F = (filled_FK * share_PK[patient]).sum(axis=1)
        fold_P[patient] = np.argmin(growth_F)
        filled_FK[fold_P[patient]] += share_PK[patient]
    return fold_P[patient_N]


def split_sha256(images: Iterable[str]) -> str:
    """Hash of a split: of its sorted image names, one a line."""
    return hashlib.sha256("".join(f"{image}\n" for image in sorted(images)).encode()).hexdigest()
