import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation, CalibrationMethod, probabilities
from diagnosis_tool.cxr.findings import OutputKind
from training.calibrate import fit_calibration, fit_platt, fit_temperature, youden_points, youden_threshold

OUTPUTS = tuple(Output(name=name, kind=OutputKind.FINDING) for name in "ab")


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


def test_points_carry_intervals_and_skip_outputs_that_cannot_be_judged():
    logits, labels = _data(400)
    points = youden_points(
        np.stack([logits, logits], axis=1),
        np.stack([labels, np.zeros_like(labels)], axis=1),
        OUTPUTS,
        [str(n // 2) for n in range(400)],
        source="x validation",
        seed=0,
    )
    assert [point.output for point in points] == ["a"]
    for share in (points[0].sensitivity, points[0].specificity):
        assert 0 < share.low < share.value < share.high < 1
