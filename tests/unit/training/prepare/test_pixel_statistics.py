from dataclasses import replace

import numpy as np
import pytest

from tests.recipes import tiny_recipe
from training.errors import DatasetInvalid
from training.prepare.data import Samples
from training.prepare.pixel_statistics import pixel_statistics, with_pixel_statistics

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
PIXELS[:10] = 255  # not among the rows that train
SAMPLES = Samples(pixels_NHW=PIXELS, rows_n=np.arange(299, 9, -1), labels_nK=np.zeros((290, 1), np.float32), records=())


def test_mean_and_std_of_the_training_images_alone():
    mean, std = pixel_statistics(SAMPLES)
    assert mean == pytest.approx(PIXELS[10:].mean() / 255, abs=1e-6)
    assert std == pytest.approx(PIXELS[10:].std() / 255, abs=1e-6)


def test_only_a_recipe_that_asks_gets_them_one_a_channel():
    recipe = tiny_recipe()
    assert with_pixel_statistics(recipe, SAMPLES) is recipe
    asking = tiny_recipe(data__normalise="training_set", network__mean=[], network__std=[])
    network = with_pixel_statistics(asking, SAMPLES).network
    mean, std = pixel_statistics(SAMPLES)
    assert network == replace(asking.network, mean=(mean,) * 3, std=(std,) * 3)


def test_images_without_contrast_are_refused():
    flat = replace(SAMPLES, pixels_NHW=np.full_like(PIXELS, 7))
    with pytest.raises(DatasetInvalid, match="All pixels"):
        pixel_statistics(flat)
