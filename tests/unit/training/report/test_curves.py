from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from tests.made_up_runs import SIGMOID, SOFTMAX, THREE, made_up
from training.evaluate.metrics import (
    average_precision,
    average_precision_replicates,
    expected_calibration_error,
    patient_weights,
    reliability,
    share,
    share_replicates,
)
from training.report.calls import best_confusion, class_matrix, confusion, weighted
from training.report.curves import precision_recall, roc, thinned


def _averages(truth, said, **options):
    """scikit-learn's weighted precision, recall and F1."""
    return pytest.approx(precision_recall_fscore_support(truth, said, average="weighted", **options)[:3])


def _scores(seed, count=300):
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(np.uint8)
    return np.round(1 / (1 + np.exp(-rng.normal(labels * 1.2 - 0.8, 1.0))), 2), labels  # with ties


@pytest.mark.parametrize("seed", range(3))
def test_roc_agrees_with_scikit_learn(seed):
    scores, labels = _scores(seed)
    mine = roc(scores, labels)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(mine[0], false)
    np.testing.assert_allclose(mine[1], true)
    assert best_confusion(scores, labels).youden == pytest.approx((true - false).max())


def test_of_equal_youden_points_the_lowest_threshold_is_taken():
    best = best_confusion(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0], np.uint8))
    assert best.youden == pytest.approx(0.5)
    assert (best.true_positive, best.false_positive) == (2, 1)  # 0.7 and above


@pytest.mark.parametrize("seed", range(3))
def test_precision_recall_agrees_with_scikit_learn(seed):
    scores, labels = _scores(seed)
    mine = precision_recall(scores, labels)
    precision, recall, _ = precision_recall_curve(labels, scores)
    np.testing.assert_allclose(mine[0], recall[:-1][::-1])
    np.testing.assert_allclose(mine[1], precision[:-1][::-1])  # its last point is its own convention


@pytest.mark.parametrize("threshold", [0.2, 0.5, 2.0])
def test_confusion_and_weighted_averages_agree_with_scikit_learn(threshold):
    scores, labels = _scores(5)
    called = scores >= threshold
    mine = confusion(called, labels)
    tn, fp, fn, tp = confusion_matrix(labels, called).ravel()
    assert (mine.true_negative, mine.false_positive, mine.false_negative, mine.true_positive) == (tn, fp, fn, tp)
    averages = weighted([mine, mine.turned])
    assert (averages.precision, averages.recall, averages.f1) == _averages(labels, called, zero_division=0)
    p, r, f, _ = precision_recall_fscore_support(labels, called, average="binary", zero_division=np.nan)
    assert mine.sensitivity == pytest.approx(r)
    assert mine.f1 == pytest.approx(f)
    if called.any():
        assert mine.precision == pytest.approx(p)
    else:
        assert mine.precision is None


def test_weighted_averages_over_several_labels_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 4)) < [0.1, 0.3, 0.5, 0.02]).astype(np.uint8)
    called = rng.random((200, 4)) < 0.3
    averages = weighted([confusion(called[:, k], labels[:, k]) for k in range(4)])
    assert (averages.precision, averages.recall, averages.f1) == _averages(labels, called, zero_division=0)
    assert weighted([confusion(np.zeros(3, bool), np.zeros(3, np.uint8))]) is None


def test_class_matrix_and_its_weighted_averages_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 120)
    shares = rng.dirichlet([1, 1, 1], 120) + 0.5 * np.eye(3)[truth]
    labels = np.eye(3, dtype=np.uint8)[truth]
    said = shares.argmax(axis=1)
    exclusive = replace(made_up(THREE, SOFTMAX, count=120), scores_NK=shares, labels_NK=labels)
    np.testing.assert_array_equal(class_matrix(exclusive), confusion_matrix(truth, said))
    assert class_matrix(replace(exclusive, activation=SIGMOID)) is None
    averages = weighted([confusion(said == k, labels[:, k]) for k in range(3)])
    assert (averages.precision, averages.recall, averages.f1) == _averages(truth, said)


def test_reliability_bins_are_those_of_the_calibration_error():
    rng = np.random.default_rng(2)
    shares = rng.random(300)
    labels = (rng.random(300) < shares).astype(np.uint8)
    mine_stated, mine_observed, counts = reliability(shares, labels, 15)
    observed, stated = calibration_curve(labels, shares, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(mine_stated, stated, atol=1e-12)
    np.testing.assert_allclose(mine_observed, observed, atol=1e-12)
    gap = np.abs(mine_stated - mine_observed) @ counts / counts.sum()
    assert gap == pytest.approx(expected_calibration_error(shares, labels))


def test_replicates_count_images_as_copies_would():
    scores, labels = _scores(3, 80)
    weights = patient_weights([str(n // 2) for n in range(80)], 0, 70)
    replicates = average_precision_replicates(scores[:, None], labels[:, None], weights)
    even = np.arange(80) % 2 == 0
    shares = share_replicates(labels == 1, even, weights)
    for r in (0, 51, 69):  # in both chunks
        copies = np.repeat(np.arange(80), weights[r])
        assert replicates[r, 0] == pytest.approx(average_precision_score(labels[copies], scores[copies]))
        assert shares[r] == pytest.approx(labels[copies[copies % 2 == 0]].mean())
    assert share(labels == 1, even, weights).value == labels[even].mean()
    assert share(labels == 1, np.zeros(80, bool), weights) is None
    once = average_precision_replicates(scores[:, None], labels[:, None], np.ones((1, 80), np.uint8))
    assert once[0, 0] == pytest.approx(average_precision(scores, labels))
    none = average_precision_replicates(scores[:, None], np.zeros((80, 1), np.uint8), weights)
    assert np.isnan(none).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], []])
def test_what_is_undefined_is_none(labels):
    labels = np.array(labels, np.uint8)
    scores = np.linspace(0, 1, len(labels))
    assert roc(scores, labels) is None
    assert precision_recall(scores, labels) is None
    assert roc(scores, 1 - labels) is None
    assert (reliability(scores, labels) is None) == (len(labels) == 0)
    empty = confusion(scores > 2, labels)
    assert empty.sensitivity is None
    assert empty.f1 is None


def test_thinning_keeps_ends_and_area():
    rng = np.random.default_rng(4)
    labels = (rng.random(20_000) < 0.2).astype(np.uint8)
    curve = roc(rng.normal(labels, 1.0), labels)
    x, y = thinned(curve, 150)
    assert len(x) <= 150
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    full = np.trapezoid(curve[1], curve[0])
    assert np.trapezoid(y, x) == pytest.approx(full, abs=2e-3)
    straight = np.linspace(0, 1, 50)
    assert len(thinned((straight, straight), 10)[0]) <= 10
