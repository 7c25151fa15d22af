"""Mean and standard deviation of the training set's pixels, when a recipe asks for them instead of ImageNet's."""

from dataclasses import replace

import numpy as np

from training.errors import DatasetInvalid
from training.prepare.data import Samples
from training.recipes.config import Normalise, Recipe

_CHUNK = 256  # images read from the map at a time


def with_pixel_statistics(recipe: Recipe, samples: Samples) -> Recipe:
    """The recipe with the network's mean and std filled in from `samples`, if it asks for that; else as it is.

    What it returns is saved with the run, so the bundle normalises as training did. Raises DatasetInvalid.
    """
    if recipe.data.normalise is not Normalise.TRAINING_SET:
        return recipe
    mean, std = pixel_statistics(samples)
    channels = recipe.network.in_channels
    return replace(recipe, network=replace(recipe.network, mean=(mean,) * channels, std=(std,) * channels))


def pixel_statistics(samples: Samples) -> tuple[float, float]:
    """Mean and standard deviation over all pixels of all images, divided by 255, exact and rounded to six digits.

    Raises DatasetInvalid when all pixels are equal.
    """
    counts = np.zeros(256, dtype=np.int64)
    rows = np.sort(samples.rows_n)
    for start in range(0, len(rows), _CHUNK):
        counts += np.bincount(samples.pixels_NHW[rows[start : start + _CHUNK]].ravel(), minlength=256)
    levels, total = np.arange(256) / 255, counts.sum()
    mean = float(counts @ levels / total)
    std = float(np.sqrt(counts @ (levels - mean) ** 2 / total))
    if not std > 0:
        raise DatasetInvalid("All pixels of the training images are equal: there is nothing to learn from.")
    return round(mean, 6), round(std, 6)
