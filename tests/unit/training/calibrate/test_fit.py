from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from diagnosis_tool.cxr.calibration import Activation, CalibrationMethod, probabilities
from tests.made_up_runs import made_up, outputs_named
from training.calibrate.fit import (
    fit_calibration,
    fit_platt,
    fit_platt_together,
    fit_temperature,
    operating_points,
    sensitivity_threshold,
    youden_threshold,
)

OUTPUTS = outputs_named(*"ab")


def _data(count=20_000, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-(0.6 * logits - 1.5)))).astype(np.uint8)
    return logits, labels


def test_platt_finds_the_sigmoid_that_made_the_labels():
    slope, intercept = fit_platt(*_data())
    assert slope == pytest.approx(0.6, abs=0.03)
    assert intercept == pytest.approx(-1.5, abs=0.05)


def test_platt_agrees_with_logistic_regression():
    logits, labels = _data(4000)
    other = LogisticRegression(C=np.inf, tol=1e-8).fit(logits[:, None], labels)
    slope, intercept = fit_platt(logits, labels)
    assert slope == pytest.approx(other.coef_[0, 0], abs=2e-3)  # the smoothed targets differ by 1 in the count
    assert intercept == pytest.approx(other.intercept_[0], abs=2e-3)


def test_separable_labels_have_a_finite_answer():
    logits = np.concatenate([np.linspace(-8, -2, 40), np.linspace(2, 8, 5)])
    slope, intercept = fit_platt(logits, (logits > 0).astype(np.uint8))
    assert np.isfinite([slope, intercept]).all()
    assert 0 < slope < 20


def _alike(positives, seed=0):
    """Logits and labels of outputs that share slope 0.7, of which the last has few positives."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, (1500, len(positives)))
    z = 0.7 * logits + np.log(np.array(positives))
    return logits, (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.uint8)


def test_drawn_together_few_positives_borrow_the_slope_of_the_others():
    away = []
    for seed in range(10):
        logits, labels = _alike((0.5, 0.4, 0.3, 0.01), seed=seed)
        free, drawn = (fit_platt_together(logits, labels, slope_spread=spread) for spread in (0.0, 0.2))
        assert free == [fit_platt(logits[:, k], labels[:, k]) for k in range(4)]
        away.append([abs(pairs[3][0] - 0.7) for pairs in (free, drawn)])
        assert drawn[0][0] == pytest.approx(free[0][0], rel=0.1)  # many positives speak for themselves
    free, drawn = np.mean(away, axis=0)
    assert drawn < 0.6 * free


def test_the_wider_the_spread_the_freer_the_slopes():
    logits, labels = _alike((0.5, 0.1, 0.02))
    free, wide, narrow = (np.array(fit_platt_together(logits, labels, slope_spread=s))[:, 0] for s in (0, 100, 1e-3))
    assert wide == pytest.approx(free, rel=1e-2)
    assert np.ptp(narrow) < 0.01 * narrow.mean()


def test_an_output_that_cannot_be_fitted_has_no_part_in_the_mean_slope():
    logits, labels = _alike((0.5, 0.4))
    extra = np.stack([*logits.T, logits[:, 0]], axis=1), np.stack([*labels.T, np.zeros_like(labels[:, 0])], axis=1)
    (two, _), (all_three, notes) = (
        fit_calibration(*data, outputs, Activation.SIGMOID, "x", slope_spread=0.3)
        for data, outputs in (((logits, labels), OUTPUTS), (extra, outputs_named(*"abc")))
    )
    assert all_three.slope == (*two.slope, 1.0)
    assert len(notes) == 1


def test_an_output_without_positives_keeps_its_score_and_is_named():
    logits, labels = _data(500)
    both = np.stack([logits, logits], axis=1)
    calibration, notes = fit_calibration(
        both, np.stack([labels, np.zeros_like(labels)], axis=1), OUTPUTS, Activation.SIGMOID, "x validation"
    )
    assert calibration.method is CalibrationMethod.PLATT
    assert (calibration.slope[1], calibration.intercept[1]) == (1.0, 0.0)
    assert len(notes) == 1
    assert notes[0].startswith("b could not be calibrated")


def test_temperature_is_recovered():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (20_000, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = np.eye(3, dtype=np.uint8)[[rng.choice(3, p=row) for row in p]]
    assert fit_temperature(z * 4, labels) == pytest.approx(1 / 4, rel=0.05)
    calibration, _ = fit_calibration(z * 4, labels, OUTPUTS + OUTPUTS[:1], Activation.SOFTMAX, "x")
    assert calibration.method is CalibrationMethod.TEMPERATURE
    np.testing.assert_allclose(probabilities(z * 4, Activation.SOFTMAX, calibration), p, atol=0.03)


def test_youden_is_the_best_of_all_thresholds():
    logits, labels = _data(400)
    threshold = youden_threshold(logits, labels)

    def j(t):
        return (logits[labels == 1] >= t).mean() - (logits[labels == 0] >= t).mean()

    assert j(threshold) == pytest.approx(max(j(t) for t in logits))


@pytest.mark.parametrize("positives", [1, 9, 10, 30, 37])
def test_sensitivity_90_is_the_highest_threshold_that_finds_nine_in_ten(positives):
    rng = np.random.default_rng(positives)
    scores = np.round(rng.normal(0, 1, 300), 2)  # with ties
    labels = np.zeros(300, np.uint8)
    labels[rng.choice(300, positives, replace=False)] = 1
    threshold = sensitivity_threshold(scores, labels)

    def sensitivity(t):
        return (scores[labels == 1] >= t).mean()

    assert sensitivity(threshold) >= 0.9
    higher = scores[scores > threshold]
    assert all(sensitivity(t) < 0.9 for t in np.unique(higher)[1:])  # the first of them calls the same images
    assert min(higher.min() - threshold, threshold - scores[scores < threshold].max()) > 1e-3


def test_points_carry_intervals_and_skip_outputs_that_cannot_be_judged():
    logits, labels = _data(400)
    said = replace(
        made_up(OUTPUTS, count=400),
        scores_NK=np.stack([logits, logits], axis=1),
        labels_NK=np.stack([labels, np.zeros_like(labels)], axis=1),
    )
    points = operating_points(said, seed=0)
    assert [(point.output, point.criterion) for point in points] == [("a", "youden"), ("a", "sensitivity_90")]
    assert {point.source for point in points} == {"nih validation"}
    for point in points:
        for share in (point.sensitivity, point.specificity):
            assert 0 < share.low < share.value < share.high <= 1
    assert points[1].sensitivity.value >= 0.9 > points[0].sensitivity.value
    assert points[1].threshold < points[0].threshold


def test_one_temperature_for_independent_outputs():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (20_000, 2))
    labels = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    calibration, _ = fit_calibration(
        z * 3, labels, OUTPUTS, Activation.SIGMOID, "x", method=CalibrationMethod.TEMPERATURE
    )
    assert calibration.method is CalibrationMethod.TEMPERATURE
    assert calibration.slope == pytest.approx((1 / 3, 1 / 3), rel=0.05)
    assert calibration.intercept == (0.0, 0.0)
