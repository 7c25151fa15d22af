import numpy as np
import pytest

from training.recipes.config import SamplingConfig, SamplingKind
from training.train.sampling import draw, epoch_order, rarest_label, rarity

# 60 images with label 0, 30 with labels 0 and 1, 8 with label 2, 2 without any
LABELS = np.array([[1, 0, 0]] * 60 + [[1, 1, 0]] * 30 + [[0, 0, 1]] * 8 + [[0, 0, 0]] * 2, np.float32)


def test_rarer_labels_weigh_more():
    np.testing.assert_array_equal(rarest_label(LABELS), [0] * 60 + [1] * 30 + [2] * 8 + [3] * 2)
    np.testing.assert_allclose(rarity(LABELS), [1 / 90] * 60 + [1 / 30] * 30 + [1 / 8] * 8 + [1 / 2] * 2)


def test_weighted_draws_in_proportion_to_rarity():
    random = np.random.default_rng(0)
    drawn = np.concatenate([draw(LABELS, SamplingKind.WEIGHTED, random) for _ in range(200)])
    expected = rarity(LABELS) / rarity(LABELS).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=100) / len(drawn), expected, atol=0.01)


@pytest.mark.parametrize("labels", [np.eye(3, dtype=np.float32)[[0] * 50 + [1] * 10 + [2] * 5], LABELS[:, 2:]])
def test_weighted_draws_exclusive_classes_and_presence_equally_often(labels):
    random = np.random.default_rng(0)
    drawn = np.concatenate([draw(labels, SamplingKind.WEIGHTED, random) for _ in range(200)])
    shares = np.bincount(rarest_label(labels)[drawn]) / len(drawn)
    np.testing.assert_allclose(shares, 1 / len(shares), atol=0.02)


def test_down_draws_as_many_of_each_class_as_the_rarest_has_and_others_each_time():
    labels = np.eye(3, dtype=np.float32)[[0] * 50 + [1] * 10 + [2] * 5]
    one, other = (draw(labels, SamplingKind.DOWN, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(set(one)) == len(one) == 15
    np.testing.assert_array_equal(labels[one].sum(axis=0), [5, 5, 5])
    assert set(one[labels[one, 0] == 1]) != set(other[labels[other, 0] == 1])
    np.testing.assert_array_equal(np.sort(one[labels[one, 2] == 1]), np.arange(60, 65))


def test_down_balances_a_binary_task_and_many_labels():
    present = LABELS[:, 2:]  # 8 of 100
    assert present[draw(present, SamplingKind.DOWN, np.random.default_rng(0))].mean() == 0.5
    drawn = draw(LABELS, SamplingKind.DOWN, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(rarest_label(LABELS)[drawn]), [2, 2, 2, 2])


def test_without_sampling_every_image_comes_once_in_another_order_each_epoch():
    first, again, second = (np.concatenate(epoch_order(LABELS[:24], SamplingConfig(), 4, 1, e)) for e in (0, 0, 1))
    assert sorted(first) == list(range(24))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert [len(b) for b in epoch_order(LABELS[:10], SamplingConfig(), 4, 1, 0)] == [4, 4]


@pytest.mark.parametrize("kind", list(SamplingKind))
def test_seed_and_epoch_alone_decide(kind):
    orders = [
        np.concatenate(epoch_order(LABELS, SamplingConfig(kind=kind), 2, seed, epoch))
        for seed, epoch in ((1, 3), (1, 3), (1, 4), (2, 3))
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    assert (orders[0] != orders[3]).any()
