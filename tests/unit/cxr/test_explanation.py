"""What is done with a raw map before it is shown."""

from dataclasses import replace

import numpy as np
import pytest

from diagnosis_tool.cxr.explanation import Explanation, ExplanationSpec, refined
from diagnosis_tool.errors import BundleInvalid

PLAIN = ExplanationSpec(method=Explanation.GRADCAM, mean_maps=(), opposite=0.0, smoothing_cells=0.0, box_threshold=0.5)


def one_map(rows: list[list[float]]) -> np.ndarray:
    return np.array([rows], dtype=np.float32)


def test_plain_is_the_evidence_in_favour() -> None:
    np.testing.assert_array_equal(refined(one_map([[1, -2], [0, 3]]), PLAIN), one_map([[1, 0], [0, 3]]))


def test_less_the_average_film() -> None:
    spec = replace(PLAIN, mean_maps=(((1.0, -3.0), (0.0, 3.0)),))
    # evidence against, but less so than in the average film, speaks for the place
    np.testing.assert_array_equal(refined(one_map([[1, -2], [0, 3]]), spec), one_map([[0, 1], [0, 0]]))


def test_what_stands_on_both_sides_alike_points_less() -> None:
    spec = replace(PLAIN, opposite=0.5)
    np.testing.assert_array_equal(refined(one_map([[4, 6, 0.0]]), spec), one_map([[4, 3, 0]]))


def test_a_lone_border_cell_loses_to_the_same_evidence_inside() -> None:
    spread = refined(one_map([[5, 0, 0, 0, 0, 0, 4, 4, 0]]), replace(PLAIN, smoothing_cells=1.0))[0, 0]
    assert np.argmax(spread) in (6, 7)
    assert spread.max() < 4


def test_smoothing_keeps_the_evidence_of_an_inner_cell() -> None:
    inside = np.zeros((1, 15, 15), np.float32)
    inside[0, 7, 7] = 1
    assert refined(inside, replace(PLAIN, smoothing_cells=1.0)).sum() == pytest.approx(1, abs=1e-3)


def test_mean_maps_of_another_size() -> None:
    with pytest.raises(BundleInvalid, match="mean_maps"):
        refined(one_map([[1, 2]]), replace(PLAIN, mean_maps=(((0.0,),),)))
