"""Random changes of a batch of uint8 training images, on whatever device the batch lies. Never used on validation."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from training.recipes.config import AugmentConfig

_BLOCK: Final = 32
_TOGETHER: Final = 4
"""Images: 32 of 256 px as floats are 8 MB, and go through memory at every step. Measured: 1.25 times as fast with 4 as
with 32, less with 8 and 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPart:
    """A batch that is part of a larger one: its first image is image `first` of `whole`."""

    first: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draws:
    """Random numbers for `count` images that begin at `first` in a batch of `whole`."""

    count: int
    first: int
    whole: int
    generator: torch.Generator

    def uniform(self, low: float, high: float) -> torch.Tensor:
        """(count,) numbers in [low, high); drawn for the whole batch, so that a part gets those of its own images."""
        if high <= low:
            return torch.full((self.count,), low)
        drawn = torch.empty(self.whole).uniform_(low, high, generator=self.generator)
        return drawn[self.first : self.first + self.count]


def augment(
    x_BHW: torch.Tensor, size_px: int, config: AugmentConfig, generator: torch.Generator, part: BatchPart | None = None
) -> torch.Tensor:
    """(B, H, W) uint8 -> (B, size_px, size_px) float32 grey values in 0..255.

    Rotation, then zoom, shift, a rectangle cut out at a random place, flip and resizing in one antialiased bilinear
    step, then contrast about the image's mean, then brightness. What comes into view from outside is black. The
    generator lives on the CPU, so that the same seed changes the same images the same way on every device. part: where
    x_BHW lies in a batch that several processes divide; each image is then changed as if one process had the whole.
    """
    part = part or BatchPart(first=0, whole=len(x_BHW))
    draws = _Draws(count=len(x_BHW), first=part.first, whole=part.whole, generator=generator)
    with _one_thread(x_BHW.device):
        return _augmented(x_BHW, size_px, config, draws)


@contextlib.contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Each of the steps is so short that waiting for a second thread costs more than it saves on a busy machine.

    Measured on two busy cores, 256 to 224 px with everything on: 1,300 images/s by one thread, 450 by two.
    """
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _augmented(x_BHW: torch.Tensor, size_px: int, config: AugmentConfig, draws: _Draws) -> torch.Tensor:
    device, (_, height, width) = x_BHW.device, x_BHW.shape
    degrees_B = draws.uniform(-config.rotate_deg, config.rotate_deg) if config.rotate_deg else None
    rows_B2, columns_B2 = _stretches(config, draws)
    flipped_n = (draws.uniform(0.0, 1.0) < config.flip).nonzero()[:, 0].to(device)
    # on a CPU a few images at a time, which stay in its cache from one step to the next
    count = _TOGETHER if device.type == "cpu" else max(1, len(x_BHW))
    rows = [*resampling_blocks(rows_B2 * height, height, size_px, device)]
    columns = [*resampling_blocks(columns_B2 * width, width, size_px, device)]
    resized = []
    for some in (slice(first, first + count) for first in range(0, len(x_BHW), count)):
        pixels_BHW = x_BHW[some].float()
        if degrees_B is not None:
            pixels_BHW = rotate(pixels_BHW, degrees_B[some])
        pixels_BHW = torch.cat([_of(w, some) @ pixels_BHW[:, seen] for w, seen in rows], dim=1)
        resized.append(torch.cat([pixels_BHW[:, :, seen] @ _of(w, some).mT for w, seen in columns], dim=2))
    pixels_BHW = torch.cat(resized)
    pixels_BHW[flipped_n] = pixels_BHW[flipped_n].flip(2)
    return _graded(pixels_BHW, config, draws)


def _of(weights: torch.Tensor, some: slice) -> torch.Tensor:
    """Those of some images, where each has its own."""
    return weights if len(weights) == 1 else weights[some]


def _stretches(config: AugmentConfig, draws: _Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 2) start and length, as parts of the side, of the rows and of the columns that are seen."""
    part_B = draws.uniform(*config.crop)
    places = [draws.uniform(0.0, 1.0) for _ in range(2)]
    # in proportion to the logarithm, so that wide and tall are equally likely
    low, high = (math.log(bound) / 2 for bound in config.aspect)
    stretch_B = draws.uniform(low, high).exp()
    scale_B = draws.uniform(*config.scale)
    seen = []
    for place_B, length_B in zip(places, (part_B / stretch_B, part_B * stretch_B), strict=True):
        length_B = length_B.clamp(max=1)
        shift_B = draws.uniform(-config.translate, config.translate)
        start_B = 0.5 + (place_B * (1 - length_B) - 0.5 - shift_B) / scale_B
        seen.append(torch.stack([start_B, length_B / scale_B], dim=1))
    return seen[0], seen[1]


def resampling_blocks(
    stretch_B2: torch.Tensor, source: int, size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, slice]]:
    """resampling() in blocks of its rows: (B, rows, columns) weights, or (1, ...) for all, and which columns these are.

    stretch_B2: start and length, in pixels. A new pixel needs only the few old ones under it: the columns that are left
    out are 0, and the product takes a third of the time. Blocks of 16 and 56 rows are as fast, 112 are slower.
    """
    if bool((stretch_B2 == stretch_B2[0]).all()):
        stretch_B2 = stretch_B2[:1]  # one matrix for all images
    start_B, length_B = stretch_B2.unbind(1)
    weights_BSH = resampling(start_B, length_B, source, size)
    step_B = length_B / size
    reach_B = step_B.clamp(min=1)
    for first in range(0, size, _BLOCK):
        end = min(first + _BLOCK, size)
        low = max(0, int((start_B + first * step_B - reach_B).min()))
        high = max(0, math.ceil((start_B + end * step_B + reach_B).max()))
        yield weights_BSH[:, first:end, low:high].to(device), slice(low, high)


def resampling(start_B: torch.Tensor, length_B: torch.Tensor, source: int, size: int) -> torch.Tensor:
    """(B, size, source) weights that resize the stretch [start, start + length) of `source` pixels to `size` pixels.

    The triangle (bilinear) kernel, widened by the scale when shrinking: the same antialiasing as Pillow's resize, which
    preprocess() uses; like it, the kernel looks beyond the stretch as far as the image goes. Rows sum to 1; those whose
    centre lies outside of the image are 0. Resizing an image is then one matrix product a side, for a whole batch.
    """
    start_B1, length_B1 = (v.numpy()[:, None] for v in (start_B, length_B))
    # NumPy: these arrays are so small that handing them to torch's threads costs more than the work
    support_B1 = np.maximum(length_B1 / size, 1)
    centres_BS = start_B1 + (np.arange(size, dtype=np.float32) + 0.5) * (length_B1 / size)
    taps = 2 * math.ceil(support_B1.max()) + 1  # only these pixels can carry weight
    pixel_BST = np.floor(centres_BS - support_B1)[:, :, None] + np.arange(taps, dtype=np.float32)
    weight_BST = 1 - np.abs(pixel_BST + 0.5 - centres_BS[:, :, None]) / support_B1[:, :, None]
    seen_BST = (pixel_BST >= 0) & (pixel_BST < source) & ((centres_BS >= 0) & (centres_BS <= source))[:, :, None]
    weight_BST = np.maximum(weight_BST, 0) * seen_BST
    weight_BST /= np.maximum(weight_BST.sum(axis=2, keepdims=True), 1e-6)
    weights_BSH = np.zeros((len(start_B), size, 1 + source + 1), np.float32)  # a place each side for what lies outside
    np.put_along_axis(weights_BSH, pixel_BST.clip(-1, source).astype(np.int64) + 1, weight_BST, axis=2)
    return torch.from_numpy(weights_BSH[:, :, 1:-1])


def rotate(x_BHW: torch.Tensor, degrees_B: torch.Tensor) -> torch.Tensor:
    """(B, H, W) float images turned about their centres, counter-clockwise; corners that come into view are 0."""
    angle_B1 = (degrees_B * (math.pi / 180)).to(x_BHW.device)[:, None]
    cos, sin = angle_B1.cos(), angle_B1.sin()
    height, width = x_BHW.shape[1:]
    y_H, x_W = _centres(height, x_BHW.device), _centres(width, x_BHW.device)  # each axis counts from -1 to 1
    # (x, y) as one complex number: one addition a pixel then makes both
    from_x_BW = torch.complex(cos * x_W, sin * (width / height) * x_W)
    from_y_BH = torch.complex(sin * (-height / width) * y_H, cos * y_H)
    grid_BHW2 = torch.view_as_real(from_x_BW[:, None] + from_y_BH[:, :, None])
    return functional.grid_sample(x_BHW[:, None], grid_BHW2, mode="bilinear", align_corners=False)[:, 0]


def _centres(side: int, device: torch.device) -> torch.Tensor:
    return (torch.arange(side, device=device) + 0.5) * (2 / side) - 1


def _graded(x_BHW: torch.Tensor, config: AugmentConfig, draws: _Draws) -> torch.Tensor:
    """Changes x_BHW in place."""
    if not config.contrast and not config.brightness:
        return x_BHW
    gain = 1 + draws.uniform(-config.contrast, config.contrast)
    shift = draws.uniform(-config.brightness, config.brightness)
    gain_B11, shift_B11 = (v[:, None, None].to(x_BHW.device) for v in (gain, shift))
    mean_B11 = x_BHW.mean(dim=(1, 2), keepdim=True)
    return x_BHW.mul_(gain_B11).add_(mean_B11 * (1 - gain_B11) + shift_B11).clamp_(0, 255)
