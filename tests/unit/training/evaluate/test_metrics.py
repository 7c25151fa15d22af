import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate.metrics import (
    auc,
    auc_replicates,
    average_precision,
    expected_calibration_error,
    mean_defined,
    patient_weights,
    with_interval,
)


def _scores(seed: int, count: int = 300, levels: int = 40):
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(np.uint8)
    scores = np.round(rng.normal(labels * 0.8, 1.0) * levels / 8) / levels  # with ties
    return scores, labels


@pytest.mark.parametrize("seed", range(4))
def test_auc_and_average_precision_agree_with_scikit_learn(seed):
    scores, labels = _scores(seed)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_weights_count_images_as_copies_would():
    scores, labels = _scores(1, 60)
    weights = np.random.default_rng(0).integers(0, 4, 60)
    copies = np.repeat(np.arange(60), weights)
    assert auc(scores, labels, weights.astype(float)) == pytest.approx(roc_auc_score(labels[copies], scores[copies]))


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_undefined_is_none_and_never_a_number(labels):
    labels = np.array(labels, np.uint8)
    assert auc(np.arange(len(labels), dtype=float), labels) is None
    if not labels.any():
        assert average_precision(np.arange(len(labels), dtype=float), labels) is None
    assert mean_defined([None, None]) is None
    assert mean_defined([None, 0.5]) == 0.5


def test_calibration_error_of_known_cases():
    assert expected_calibration_error(np.full(1000, 0.3), np.repeat([1, 0], [300, 700]).astype(np.uint8)) is not None
    rng = np.random.default_rng(0)
    p = rng.random(60_000)
    honest = (rng.random(60_000) < p).astype(np.uint8)
    assert expected_calibration_error(p, honest) < 0.01
    assert expected_calibration_error(np.clip(p + 0.1, 0, 1), honest) == pytest.approx(0.095, abs=0.01)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, np.uint8)) is None


def test_equal_mass_bins():
    # 30 images: two to a bin; in one bin probability and outcome differ by 0.5, in all others not at all
    p = np.concatenate([np.zeros(28), [0.5, 0.5]])
    y = np.concatenate([np.zeros(28), [1, 1]]).astype(np.uint8)
    assert expected_calibration_error(p, y) == pytest.approx(0.5 * 2 / 30)


def test_bootstrap_draws_patients_with_all_their_images():
    patients = ["a", "a", "b", "c", "c", "c"]
    weights = patient_weights(patients, seed=0, replicates=200)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert ((weights[:, 0] + weights[:, 2] + weights[:, 3]) == 3).all()
    np.testing.assert_array_equal(weights, patient_weights(patients, seed=0, replicates=200))


def test_intervals_hold_the_value_and_narrow_with_more_patients():
    widths = []
    for count in (100, 1600):
        scores, labels = _scores(5, count)
        weights = patient_weights([str(n) for n in range(count)], seed=1)
        found = with_interval(auc(scores, labels), auc_replicates(scores[:, None], labels[:, None], weights)[:, 0])
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 3
    assert np.isnan(with_interval(0.5, np.array([np.nan, np.nan])).low)
    assert with_interval(None, np.array([0.1, 0.2])) is None


def test_no_images_have_no_weights():
    assert patient_weights([], seed=0, replicates=7).shape == (7, 0)
