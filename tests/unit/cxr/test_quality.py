import numpy as np
import pytest

from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import UnsupportedImage
from training.phantom import chest_phantom


def radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels=pixels, source_format="PNG")


def test_a_film_passes() -> None:
    refuse_unreadable(radiograph(chest_phantom(seed=0, height_px=64, width_px=64)))


@pytest.mark.parametrize("shape", [(1, 1), (63, 500), (500, 63)])
def test_small_images_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedImage, match="at least 64 x 64"):
        refuse_unreadable(radiograph(np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("level", [0, 77, 255])
def test_blank_images_are_refused(level: int) -> None:
    noise = np.random.default_rng(0).integers(-1, 2, (128, 128))
    pixels = np.clip(level + noise, 0, 255).astype(np.uint8)
    with pytest.raises(UnsupportedImage, match="blank"):
        refuse_unreadable(radiograph(pixels))


def test_blank_16_bit_is_refused_and_dark_16_bit_film_passes() -> None:
    with pytest.raises(UnsupportedImage, match="blank"):
        refuse_unreadable(radiograph(np.full((128, 128), 30_000, np.uint16)))
    refuse_unreadable(radiograph(chest_phantom(seed=0, height_px=128, width_px=128).astype(np.uint16) * 4))


@pytest.mark.parametrize("share", [1, 4])
@pytest.mark.parametrize("offset", [5_000, 40_000, 65_000])
def test_few_grey_values_far_from_zero_are_a_film(offset: int, share: int) -> None:
    film = chest_phantom(seed=0, height_px=200, width_px=160).astype(np.uint16) // share
    refuse_unreadable(radiograph(film + np.uint16(offset)))


@pytest.mark.parametrize("noise", [1, 5, 40])
@pytest.mark.parametrize("slope", [0, 100])
def test_noise_far_from_zero_is_blank_also_on_a_slope(noise: int, slope: int) -> None:
    y, x = np.indices((300, 200))
    field = 30_000 + np.random.default_rng(noise).normal(0, noise, y.shape) + slope * ((x / 200) ** 2 + y / 300)
    with pytest.raises(UnsupportedImage, match="blank"):
        refuse_unreadable(radiograph(np.rint(field).astype(np.uint16)))
