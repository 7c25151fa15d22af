import numpy as np
import pytest
from PIL import Image

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.cxr.quality import refuse_unreadable
from training.phantom import Anatomy, chest_phantom, save_phantom


def test_same_seed_same_pixels_other_seed_other_person():
    first, again, other = (chest_phantom(seed, height_px=128, width_px=128) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.3


def test_lungs_are_dark_and_midline_is_bright():
    pixels = chest_phantom(3, height_px=256, width_px=256).astype(float)
    lung, midline, belly = pixels[90:130, 50:80].mean(), pixels[150:180, 120:140].mean(), pixels[235:250, 60:200].mean()
    assert lung + 60 < midline
    assert lung + 60 < belly


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_size_and_depth(bits, dtype):
    pixels = chest_phantom(0, height_px=200, width_px=180, bits=bits)
    assert pixels.shape == (200, 180)
    assert pixels.dtype == dtype
    assert 0.8 * 2**bits < pixels.max() < 2**bits


def test_shadows_brighten_the_place_they_are_in():
    plain, fluid = (
        chest_phantom(0, height_px=256, width_px=256, anatomy=Anatomy(effusion=e)).astype(int) for e in (0, 0.4)
    )
    difference = fluid - plain
    assert difference[150:180, 190:215].mean() > 40  # left base
    assert abs(difference[150:180, 40:70].mean()) < 3  # right base


@pytest.mark.parametrize("arguments", [{"bits": 7}, {"bits": 17}, {"height_px": 8}])
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(ValueError, match="bits must be 8 to 16"):
        chest_phantom(0, **arguments)


@pytest.mark.parametrize(("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.jpg", 8)])
def test_saved_files_are_read_as_radiographs(tmp_path, name, bits):
    pixels = chest_phantom(0, height_px=128, width_px=120, bits=bits)
    path = save_phantom(tmp_path / name, pixels)
    radiograph = read_image_file(path.read_bytes())
    refuse_unreadable(radiograph)
    if path.suffix == ".png":
        np.testing.assert_array_equal(radiograph.pixels, pixels)
    else:
        with Image.open(path) as image:
            assert image.format == "JPEG"
