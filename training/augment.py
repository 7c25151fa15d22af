"""Random changes of a batch of uint8 training images, on whatever device the batch lies. Never used on validation."""

import math

import torch
from torch.nn import functional

from training.config import AugmentConfig


def augment(x_BHW: torch.Tensor, size_px: int, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """(B, H, W) uint8 -> (B, size_px, size_px) float32 grey values in 0..255.

    Rotation (empty corners black), then a square cut out at a random place, flipped and resized in one antialiased
    bilinear step, then contrast about the image's mean, then brightness. The generator lives on the CPU, so that the
    same seed changes the same images the same way on every device.
    """
    batch, height, width = x_BHW.shape
    pixels = x_BHW.float()
    if config.rotate_deg:
        pixels = rotate(pixels, _uniform(batch, -config.rotate_deg, config.rotate_deg, generator))
    part = _uniform(batch, *config.crop, generator)
    top, left = (_uniform(batch, 0.0, 1.0, generator) * (1 - part) for _ in range(2))
    flip = _uniform(batch, 0.0, 1.0, generator) < config.flip
    rows_BSH = resampling(top * height, part * height, height, size_px).to(pixels.device)
    columns_BSW = resampling(left * width, part * width, width, size_px)
    columns_BSW = torch.where(flip[:, None, None], columns_BSW.flip(1), columns_BSW).to(pixels.device)
    pixels = rows_BSH @ pixels @ columns_BSW.transpose(1, 2)
    return _graded(pixels, config, generator)


def resampling(start_B: torch.Tensor, length_B: torch.Tensor, source: int, size: int) -> torch.Tensor:
    """(B, size, source) weights that resize the stretch [start, start + length) of `source` pixels to `size` pixels.

    The triangle (bilinear) kernel, widened by the scale when shrinking: the same antialiasing as Pillow's resize, which
    preprocess() uses; like it, the kernel looks beyond the stretch as far as the image goes. Rows sum to 1. Resizing an
    image is then one matrix product a side, for a whole batch at once.
    """
    scale_B = length_B / size
    support_B11 = scale_B.clamp(min=1.0)[:, None, None]
    centres_BS = start_B[:, None] + (torch.arange(size) + 0.5) * scale_B[:, None]
    distance = (torch.arange(source) + 0.5)[None, None] - centres_BS[:, :, None]
    weights = (1 - distance.abs() / support_B11).clamp(min=0)
    return weights / weights.sum(dim=2, keepdim=True)


def rotate(x_BHW: torch.Tensor, degrees_B: torch.Tensor) -> torch.Tensor:
    """(B, H, W) float images turned about their centres, counter-clockwise; corners that come into view are 0."""
    angle = degrees_B * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    height, width = x_BHW.shape[1:]
    theta_B23 = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1).reshape(
        -1, 2, 3
    )
    grid = functional.affine_grid(theta_B23.to(x_BHW.device), [len(x_BHW), 1, height, width], align_corners=False)
    return functional.grid_sample(x_BHW[:, None], grid, mode="bilinear", align_corners=False)[:, 0]


def _graded(x_BHW: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    if not config.contrast and not config.brightness:
        return x_BHW
    batch = len(x_BHW)
    gain = 1 + _uniform(batch, -config.contrast, config.contrast, generator)
    shift = _uniform(batch, -config.brightness, config.brightness, generator)
    gain_B11, shift_B11 = (v[:, None, None].to(x_BHW.device) for v in (gain, shift))
    mean_B11 = x_BHW.mean(dim=(1, 2), keepdim=True)
    return ((x_BHW - mean_B11) * gain_B11 + mean_B11 + shift_B11).clamp(0, 255)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.empty(count).uniform_(low, high, generator=generator) if high > low else torch.full((count,), low)
