import numpy as np
import pytest
import torch
from PIL import Image

from tests.nih_phantoms import phantom_of
from training.augment import augment, resampling, rotate
from training.config import AugmentConfig


def _batch(count: int = 4, side: int = 96) -> torch.Tensor:
    return torch.from_numpy(np.stack([phantom_of(n % 4, n, side) for n in range(count)]))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_defaults_only_resize_as_preprocess_does():
    x = _batch()
    result = augment(x, 60, AugmentConfig(), _generator())
    expected = [np.asarray(Image.fromarray(i).resize((60, 60), Image.Resampling.BILINEAR)) for i in x.numpy()]
    assert result.shape == (4, 60, 60)
    assert np.abs(result.numpy() - np.stack(expected)).max() <= 1.01  # Pillow rounds after each of its two passes


@pytest.mark.parametrize(("start", "length"), [(0.0, 96.0), (10.0, 48.0), (30.0, 66.0), (5.0, 20.0)])
def test_a_crop_is_pillows_resize_of_the_box(start, length):
    x = _batch(1)
    weights = resampling(torch.tensor([start]), torch.tensor([length]), 96, 40)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(1, 40))
    result = (weights @ x.float() @ weights.transpose(1, 2))[0].numpy()
    box = (start, start, start + length, start + length)
    expected = np.asarray(Image.fromarray(x[0].numpy()).resize((40, 40), Image.Resampling.BILINEAR, box=box))
    assert np.abs(result - expected).max() <= 1.01


def test_flip_mirrors():
    x = _batch()
    same, mirrored = (augment(x, 96, AugmentConfig(flip=p), _generator()) for p in (0.0, 1.0))
    torch.testing.assert_close(mirrored, same.flip(2))


def test_rotation_turns_about_the_centre():
    x = torch.zeros(1, 65, 65)
    x[0, 32, 50] = 255.0  # right of the centre
    turned = rotate(x, torch.tensor([90.0]))[0]
    row, column = divmod(int(turned.argmax()), 65)
    assert (row, column) == (14, 32)  # above it


def test_brightness_and_contrast_stay_in_range():
    x = _batch(8)
    result = augment(x, 96, AugmentConfig(brightness=60.0, contrast=0.5), _generator())
    assert result.min() >= 0
    assert result.max() <= 255
    means = result.mean(dim=(1, 2)) - x.float().mean(dim=(1, 2))
    assert means.std() > 5


def test_same_seed_same_images_and_the_input_is_left_alone():
    config = AugmentConfig(crop=(0.5, 1.0), flip=0.5, rotate_deg=7.0, brightness=15.0, contrast=0.15)
    x = _batch()
    before = x.clone()
    one, again, other = (augment(x, 48, config, _generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(x, before)
