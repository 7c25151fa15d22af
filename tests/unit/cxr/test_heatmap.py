import numpy as np

from diagnosis_tool.cxr.heatmap import blend, colour_table, overlay
from diagnosis_tool.cxr.types import Heatmap

CORNER = Heatmap(values=np.array([[255, 0], [0, 0]], np.uint8), scale=1.0)


def test_alpha_and_lightness_rise_with_the_value() -> None:
    table = colour_table().astype(float)
    luminance = table[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(table[:, 3]) >= 0).all()
    assert (np.diff(luminance) > -1e-9).all()
    assert table[0, 3] == 0
    assert table[255, 3] < 255


def test_overlay_is_hot_where_the_map_is() -> None:
    rgba = np.asarray(overlay(CORNER, 40, 20))
    assert rgba.shape == (40, 20, 4)
    assert rgba[2, 2, 3] > 200
    assert rgba[-2, -2, 3] == 0


def test_an_empty_map_leaves_the_film_as_it_is() -> None:
    film = np.arange(100, dtype=np.uint8).reshape(10, 10)
    empty = Heatmap(values=np.zeros((2, 2), np.uint8), scale=0.0)
    np.testing.assert_array_equal(np.asarray(blend(film, empty))[..., 0], film)
