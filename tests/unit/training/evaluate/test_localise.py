"""Pointing and overlap of heatmaps with boxes whose answer is known."""

import numpy as np
import pytest

from diagnosis_tool.cxr.types import Heatmap
from training.datasets.base import AnnotatedBox
from training.evaluate.localise import blind, find, localisation, locate, region


def box(left: float, top: float, side: float, *, finding: str = "Mass") -> AnnotatedBox:
    return AnnotatedBox(image="a.png", finding=finding, left=left, top=top, width=side, height=side)


def corner(row: int, column: int, cells: int = 8) -> np.ndarray:
    map_hw = np.zeros((cells, cells), np.float32)
    map_hw[row, column] = 255
    return map_hw


def test_points_into_the_box_or_not() -> None:
    hot = corner(1, 6)
    assert find(hot, box(0.7, 0.1, 0.2), 0.5).pointed
    assert not find(hot, box(0.1, 0.7, 0.2), 0.5).pointed
    assert find(hot, box(0.1, 0.7, 0.2), 0.5).overlap == 0


def test_overlap_is_intersection_over_union() -> None:
    left, top, right, bottom = region(corner(3, 3), 0.5)
    assert (left, top) == pytest.approx((3 / 8, 3 / 8), abs=0.04)
    same = AnnotatedBox(image="a", finding="Mass", left=left, top=top, width=right - left, height=bottom - top)
    assert find(corner(3, 3), same, 0.5).overlap == pytest.approx(1)
    half = AnnotatedBox(image="a", finding="Mass", left=left, top=top, width=(right - left) / 2, height=bottom - top)
    assert find(corner(3, 3), half, 0.5).overlap == pytest.approx(0.5)


def test_the_region_holds_the_maximum_and_no_other_spot() -> None:
    two = corner(1, 1) + 0.9 * corner(6, 6)
    assert region(two, 0.5)[2] < 0.5
    assert region(two, 0.5)[3] < 0.5


def test_an_empty_map_points_nowhere() -> None:
    empty = Heatmap(values=np.zeros((4, 4), np.uint8), scale=0.0)
    found = locate(empty, box(0, 0, 1), "nih:1", 0.5).found
    assert not found.pointed
    assert found.overlap == 0


def heat(map_hw: np.ndarray) -> Heatmap:
    return Heatmap(values=map_hw.astype(np.uint8), scale=1.0)


def test_the_blind_prior_knows_other_patients_boxes_of_the_finding_alone() -> None:
    cold = heat(corner(7, 7))
    located = [
        locate(cold, box(0.1, 0.1, 0.3), "nih:1", 0.5),
        locate(cold, box(0.1, 0.1, 0.3), "nih:2", 0.5),
        locate(cold, box(0.6, 0.6, 0.3), "nih:3", 0.5),
        locate(cold, box(0.6, 0.6, 0.3, finding="Nodule"), "nih:4", 0.5),
    ]
    assert [one.found.pointed for one in blind(located, 0.5)] == [True, True, False, False]
    figures = localisation(located, 0.5)
    assert figures is not None
    assert figures.boxes == {"Mass": 3, "Nodule": 1}
    assert figures.pointing == {"Mass": 0, "Nodule": 0, "mean": 0}
    assert figures.pointing_blind["Mass"] == pytest.approx(2 / 3)
    assert figures.pointing_blind["mean"] == pytest.approx(1 / 3)
    assert set(figures.iou) == {"0.1", "0.25", "0.5"}


def test_a_patients_own_boxes_are_not_in_the_prior() -> None:
    hot = heat(corner(1, 1))
    twice = [locate(hot, box(0.1, 0.1, 0.2), "nih:1", 0.5) for _ in range(2)]
    assert not any(one.found.pointed for one in blind(twice, 0.5))


def test_no_boxes_no_figures() -> None:
    assert localisation([], 0.5) is None
