import numpy as np
import pytest

from diagnosis_tool.cxr.calibration import Activation, Calibration, CalibrationMethod, probabilities

PLAIN = Calibration(method=CalibrationMethod.NONE, slope=(1.0, 1.0), intercept=(0.0, 0.0), fitted_on="nothing")


def test_sigmoid() -> None:
    got = probabilities(np.array([[0.0, np.log(3.0)]]), Activation.SIGMOID, PLAIN)
    np.testing.assert_allclose(got, [[0.5, 0.75]])


def test_platt_moves_each_output_on_its_own() -> None:
    platt = Calibration(method=CalibrationMethod.PLATT, slope=(2.0, 0.0), intercept=(0.0, -1.0), fitted_on="x")
    got = probabilities(np.array([[1.0, 5.0]]), Activation.SIGMOID, platt)
    np.testing.assert_allclose(got, [[1 / (1 + np.exp(-2)), 1 / (1 + np.exp(1))]])


def test_softmax_sums_to_one() -> None:
    got = probabilities(np.array([[1000.0, 1000.0], [-5.0, 3.0]]), Activation.SOFTMAX, PLAIN)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    np.testing.assert_allclose(got[0], [0.5, 0.5])


@pytest.mark.filterwarnings("error")
def test_huge_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(probabilities(np.array([[1e4, -1e4]]), Activation.SIGMOID, PLAIN), [[1, 0]])
