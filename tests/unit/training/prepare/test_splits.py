from pathlib import Path

import numpy as np
import pytest

from training.datasets.base import Record, Split, refuse_shared_patients
from training.datasets.nih import read_nih
from training.errors import DatasetInvalid
from training.prepare.splits import assign_folds, split_sha256, train_validation


def _records(count: int = 600) -> tuple[Record, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        Record(
            image=f"{n}.png",
            path=Path(f"{n}.png"),
            patient=str(rng.integers(0, 150)),
            labels=tuple(int(v) for v in rng.random(4) < (0.5, 0.2, 0.05, 0.02)),
            split=Split.TRAIN_VAL,
        )
        for n in range(count)
    )


def test_every_image_is_in_one_fold_and_no_patient_in_two():
    records = _records()
    fold_N = assign_folds(records, folds=5, seed=3)
    assert set(fold_N) == set(range(5))
    homes = {}
    for record, fold in zip(records, fold_N, strict=True):
        assert homes.setdefault(record.patient, fold) == fold


def test_labels_and_sizes_are_spread_evenly():
    records = _records()
    labels = np.array([record.labels for record in records])
    fold_N = assign_folds(records, folds=5, seed=3)
    assert np.ptp(np.bincount(fold_N)) <= 0.1 * len(records) / 5
    for k in range(3):
        share_F = np.bincount(fold_N, labels[:, k], minlength=5) / labels[:, k].sum()
        assert np.abs(share_F - 0.2).max() < 0.05


def test_seeded():
    records = _records()
    one, again, other = (assign_folds(records, folds=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_train_and_validation_leave_the_test_list_alone(nih_folder):
    dataset = read_nih(nih_folder)
    split = train_validation(dataset, folds=4, validation_fold=1, seed=0)
    test = {record.image for record in dataset.of(Split.TEST)}
    used = {record.image for record in split.train + split.validation}
    assert len(split.train) + len(split.validation) == len(used) == 16
    assert not used & test
    assert not {r.patient for r in split.train} & {r.patient for r in split.validation}


def test_a_patient_in_two_splits_is_an_error():
    records = _records(4)
    with pytest.raises(DatasetInvalid, match="stand in two splits"):
        refuse_shared_patients({"train": records, "validation": records[:1]})


def test_too_few_patients(own_nih_folder):
    with pytest.raises(DatasetInvalid, match="to validate"):
        train_validation(read_nih(own_nih_folder), folds=9, validation_fold=8, seed=0)


def test_hash_ignores_order_only():
    assert split_sha256(["b", "a"]) == split_sha256(["a", "b"])
    assert split_sha256(["ab"]) != split_sha256(["a", "b"])
