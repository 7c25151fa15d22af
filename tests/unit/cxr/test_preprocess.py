import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec, preprocess, window_to_uint8
from diagnosis_tool.cxr.types import Radiograph
from training.phantom import chest_phantom

SPEC = PreprocessSpec(
    size_px=64,
    geometry=Geometry.STRETCH,
    interpolation=Interpolation.BILINEAR,
    window_low_percentile=0.5,
    window_high_percentile=99.5,
)


def test_gives_a_square_uint8_array() -> None:
    array = preprocess(Radiograph(pixels=chest_phantom(seed=0, height_px=200, width_px=150), source_format="PNG"), SPEC)
    assert array.shape == (64, 64)
    assert array.dtype == np.uint8


def test_8_and_12_bit_of_the_same_film_agree() -> None:
    film = chest_phantom(seed=0, height_px=200, width_px=200)
    shallow = preprocess(Radiograph(pixels=film, source_format="PNG"), SPEC).astype(int)
    deep = preprocess(Radiograph(pixels=film.astype(np.uint16) * 16, source_format="DICOM"), SPEC).astype(int)
    assert np.abs(shallow - deep).max() <= 1


def test_every_key_of_the_spec_is_required() -> None:
    with pytest.raises(TypeError, match="window_high_percentile"):
        PreprocessSpec(  # type: ignore[call-arg]
            size_px=64,
            geometry=Geometry.STRETCH,
            interpolation=Interpolation.BILINEAR,
            window_low_percentile=0.5,
        )


def test_minimum_to_maximum() -> None:
    pixels = np.array([[100, 140], [200, 100]], np.uint8)
    np.testing.assert_array_equal(window_to_uint8(pixels, 0, 100), [[0, 102], [255, 0]])


@given(st.integers(0, 255))
def test_a_flat_image_becomes_black(level: int) -> None:
    assert window_to_uint8(np.full((4, 4), level, np.uint8), 0.5, 99.5).max() == 0


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2)), st.sampled_from([(0, 100), (0.5, 99.5), (10, 60)]))
def test_8_bit_takes_its_own_way_to_the_same_values(pixels: NDArray[np.uint8], window: tuple[float, float]) -> None:
    np.testing.assert_array_equal(window_to_uint8(pixels, *window), window_to_uint8(pixels.astype(np.uint16), *window))


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=50))
def test_order_of_grey_values_is_kept(values: list[int]) -> None:
    pixels = np.array([values], np.uint16)
    shown = window_to_uint8(pixels, 0, 100)
    assert (np.diff(shown[0, np.argsort(pixels[0], kind="stable")].astype(int)) >= 0).all()
