"""The one preprocess(): radiograph in, the very array that training validates on and serving reads out."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.types import Radiograph


class Geometry(StrEnum):
    """How a film of any aspect ratio becomes square."""

    STRETCH = "stretch"
    """Both sides are scaled on their own: what NIH did to ChestX-ray14, so models trained on it have seen it."""


class Interpolation(StrEnum):
    """Resampling kernels, all antialiased when shrinking (Pillow's convolution resize)."""

    BILINEAR = "bilinear"
    LANCZOS = "lanczos"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSpec:
    """Everything that decides the network's input array. No field has a default: a missing key is an error.

    size_px: side of the square result.
    window_low_percentile, window_high_percentile: grey values at these percentiles become 0 and 255;
        0 and 100 stretch minimum to maximum.
    """

    size_px: int
    geometry: Geometry
    interpolation: Interpolation
    window_low_percentile: float
    window_high_percentile: float


_PILLOW = {Interpolation.BILINEAR: Image.Resampling.BILINEAR, Interpolation.LANCZOS: Image.Resampling.LANCZOS}


def preprocess(radiograph: Radiograph, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Windows and resizes a radiograph to (size_px, size_px) uint8, bright = dense.

    The network itself divides by 255 and normalises. Deterministic: the same pixels give the same bytes.
    """
    windowed = window_to_uint8(
        radiograph.pixels,
        spec.window_low_percentile,
        spec.window_high_percentile,
        padded_px=radiograph.padded_px,
    )
    image = Image.fromarray(windowed).resize((spec.size_px, spec.size_px), _PILLOW[spec.interpolation])
    return np.asarray(image)


def window_to_uint8(
    pixels_HW: NDArray[np.uint8] | NDArray[np.uint16],
    low_percentile: float,
    high_percentile: float,
    *,
    padded_px: int = 0,
) -> NDArray[np.uint8]:
    """Maps the grey values between two percentiles linearly to 0..255, clipping outside; a flat image becomes 0.

    pixels_HW: (H, W) uint8 or uint16. Percentiles are read off the histogram (nearest rank), so the result is exact
    and the same on every machine. padded_px: so many of the darkest pixels are no part of the film (Radiograph).
    """
    levels = 1 + np.iinfo(pixels_HW.dtype).max
    histogram = _histogram(pixels_HW, levels)
    if padded_px:
        histogram[np.flatnonzero(histogram)[0]] -= padded_px
    cumulative = np.cumsum(histogram)
    low, high = (_grey_at(cumulative, percentile) for percentile in (low_percentile, high_percentile))
    if high <= low:
        return np.zeros(pixels_HW.shape, np.uint8)
    ramp = (np.arange(levels, dtype=np.float64) - low) * (255.0 / (high - low))
    table = np.clip(np.rint(ramp), 0, 255).astype(np.uint8)
    if pixels_HW.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels_HW).point(table.tolist()))  # four times as fast as numpy's indexing
    return np.asarray(table[pixels_HW])


def _histogram(pixels_HW: NDArray[np.uint8] | NDArray[np.uint16], levels: int) -> NDArray[np.int64]:
    if pixels_HW.dtype == np.uint8:
        return np.array(Image.fromarray(pixels_HW).histogram(), np.int64)  # five times as fast as bincount
    return np.bincount(pixels_HW.ravel(), minlength=levels).astype(np.int64, copy=False)


def _grey_at(cumulative: NDArray[np.int64], percentile: float) -> int:
    rank = max(1, int(np.ceil(cumulative[-1] * percentile / 100)))
    return int(np.searchsorted(cumulative, rank))
