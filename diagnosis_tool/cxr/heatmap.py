"""Draws heatmaps: colours whose alpha follows the value, so that the film stays visible. Torch-free."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis_tool.cxr.types import Heatmap

# Ten stops of a perceptual ramp (dark violet, red, orange, pale yellow): lightness rises evenly, whatever one's
# colour vision.
_STOPS: Final = np.array(
    [
        (0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96),
        (207, 68, 70), (237, 105, 37), (251, 155, 6), (247, 209, 61), (252, 255, 164),
    ],
    dtype=np.float64,
)  # fmt: skip
_MAX_ALPHA: Final = 217  # 85%: even where it is hottest the film shows through


def colour_table() -> NDArray[np.uint8]:
    """(256, 4) RGBA for values 0..255; alpha rises with the value from 0 to 85%.

    Faster than linearly (power 1.5): low values would else lay a veil over the whole film.
    """
    positions = np.linspace(0, 255, len(_STOPS))
    rgb = np.stack([np.interp(np.arange(256), positions, _STOPS[:, c]) for c in range(3)], axis=1)
    alpha = _MAX_ALPHA * np.linspace(0, 1, 256)[:, None] ** 1.5
    rgba: NDArray[np.uint8] = np.rint(np.concatenate([rgb, alpha], axis=1)).astype(np.uint8)
    return rgba


def overlay(heatmap: Heatmap, height_px: int, width_px: int) -> Image.Image:
    """The heatmap as an RGBA image to lie over a film of this size (bicubic between the feature map's cells).

    Stretched over the whole film: preprocess() stretches the film over the network's input.
    """
    grey = Image.fromarray(heatmap.values).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return Image.fromarray(colour_table()[np.asarray(grey)])


def blend(film_HW: NDArray[np.uint8], heatmap: Heatmap) -> Image.Image:
    """The film (H, W) uint8 with the heatmap over it, RGB: what is downloaded."""
    film = Image.fromarray(film_HW).convert("RGBA")
    return Image.alpha_composite(film, overlay(heatmap, film_HW.shape[0], film_HW.shape[1])).convert("RGB")
