import numpy as np
import pytest
import torch
from PIL import Image

from tests.nih_phantoms import phantom_of
from training.recipes.config import AugmentConfig
from training.train.augment import augment, resampling, resampling_blocks, rotate


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


@pytest.mark.parametrize("start", [[0.0, 0.0], [10.0, 30.5], [-70.0, 60.0], [-300.0, -200.0]])
@pytest.mark.parametrize(("length", "size"), [(96.0, 40), (48.0, 40), (66.5, 200)])
def test_the_blocks_are_the_whole_matrix(start, length, size):
    stretch = torch.tensor([[s, length] for s in start])
    whole = resampling(stretch[:, 0], stretch[:, 1], 96, size)
    blocks = list(resampling_blocks(stretch, 96, size, torch.device("cpu")))
    rows = [torch.zeros(len(weights), weights.shape[1], 96) for weights, _ in blocks]
    for row, (weights, columns) in zip(rows, blocks, strict=True):
        row[:, :, columns] = weights
    assert torch.equal(torch.cat(rows, dim=1).expand_as(whole), whole)
    assert {len(weights) for weights, _ in blocks} == {len(set(start))}  # one for all images where they agree


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


def _dot(row: int, column: int, side: int = 65) -> torch.Tensor:
    x = torch.zeros(1, side, side, dtype=torch.uint8)
    x[0, row, column] = 255
    return x


def _brightest(x_HW: torch.Tensor) -> tuple[int, int]:
    return divmod(int(x_HW.argmax()), x_HW.shape[1])


def test_zoom_is_about_the_centre_and_black_comes_in_from_outside():
    larger = augment(_dot(32, 42), 65, AugmentConfig(scale=(2.0, 2.0)), _generator())[0]
    assert abs(_brightest(larger)[1] - 52) <= 1
    assert abs(_brightest(larger)[0] - 32) <= 1
    white = torch.full((1, 64, 64), 200, dtype=torch.uint8)
    smaller = augment(white, 64, AugmentConfig(scale=(0.5, 0.5)), _generator())[0]
    expected = torch.zeros(64, 64)
    expected[16:48, 16:48] = 200
    torch.testing.assert_close(smaller, expected)


def test_shift_moves_by_up_to_its_part_of_the_side_each_way():
    x = _dot(50, 50, 101).expand(64, -1, -1)
    moved = augment(x, 101, AugmentConfig(translate=0.1), _generator())
    places = np.array([_brightest(image) for image in moved])
    assert np.abs(places - 50).max() in (10, 11, 9)
    assert (places.min(axis=0) < 45).all()
    assert (places.max(axis=0) > 55).all()
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.4  # the axes move on their own


def test_aspect_makes_some_crops_wide_and_others_tall():
    x = torch.zeros(64, 96, 96, dtype=torch.uint8)
    x[:, 36:60, 36:60] = 255
    seen = augment(x, 96, AugmentConfig(crop=(0.7, 0.7), aspect=(0.5, 2.0)), _generator()) > 127
    width, height = seen.any(dim=1).sum(dim=1).float(), seen.any(dim=2).sum(dim=1).float()
    inside = (width > 0) & (height > 0)
    ratio = (height / width)[inside]  # a wide crop squeezes what it shows
    assert ratio.min() < 0.7
    assert ratio.max() > 1.4
    assert ratio.min() > 0.5 * 0.9
    assert ratio.max() < 2 * 1.1


def test_shrinking_is_antialiased():
    stripes = torch.zeros(1, 128, 128, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    small = augment(stripes, 32, AugmentConfig(), _generator())[:, :, 1:-1]  # at the border the kernel is cut
    torch.testing.assert_close(small, torch.full_like(small, 127.5), atol=8.0, rtol=0)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    augment(_batch(), 48, AugmentConfig(rotate_deg=7.0), _generator())
    assert torch.get_num_threads() == before
