"""Refusals: images that no number may be shown for. Run before any model."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import UnsupportedImage

MIN_SIDE_PX: Final = 64
# A flat field with sensor noise has its 1st and 99th percentile this close, in parts of the full range.
_BLANK_RANGE: Final = 0.02
# Fewer grey values than this are no film, whatever they show.
_FEW_LEVELS: Final = 16
# Means of 16 x 16 pixels: noise of single pixels is divided by 16 in them, what a film shows is not.
_BLOCK_PX: Final = 16
# How many times as much they vary as noise alone would make them: white noise 1, noise blurred by a pixel 7, phantoms
# of 64 px 40, eight films of ChestX-ray14 220 to 580.
_PICTURE: Final = 16.0


def refuse_unreadable(radiograph: Radiograph) -> None:
    """Raises UnsupportedImage, saying why and what to do, for an image that is too small or blank.

    Colour photographs are refused where colour is still known: in image_file and the DICOM reader.
    """
    if min(radiograph.height_px, radiograph.width_px) < MIN_SIDE_PX:
        raise UnsupportedImage(
            "The image has only %(width)s x %(height)s pixels; at least %(least)s x %(least)s are needed. "
            "Upload the original, not a preview.",
            width=radiograph.width_px,
            height=radiograph.height_px,
            least=MIN_SIDE_PX,
        )
    if is_blank(radiograph):
        raise UnsupportedImage("The image is blank: all its pixels are nearly the same. Check the export.")


def is_blank(radiograph: Radiograph) -> bool:
    """True when the grey values hold no picture: the 1st to 99th percentile span under 2% of the full range.

    16-bit files often use a fraction of their range, so there the span is compared with the brightest value; and where
    that is much larger because all values are (a film of 300 grey values from 30,000 on), the film is blank only if
    nothing but noise is in it.
    """
    pixels = radiograph.pixels
    sample = pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)]
    low, high = np.percentile(sample, (1, 99))
    full = 255.0 if pixels.dtype == np.uint8 else max(float(pixels.max()), 1.0)
    if high - low >= _BLANK_RANGE * full:
        return False
    return pixels.dtype == np.uint8 or bool(high - low < _FEW_LEVELS) or not _holds_picture(sample)


def _holds_picture(pixels_HW: NDArray[np.uint8] | NDArray[np.uint16]) -> bool:
    """Whether neighbouring pixels go together beyond a slope over the whole field, as a detector's heel effect is."""
    rows, columns = (side // _BLOCK_PX * _BLOCK_PX for side in pixels_HW.shape)
    grey_HW = pixels_HW[:rows, :columns].astype(np.float64)
    noise = np.median(np.abs(np.diff(grey_HW, axis=1))) / (0.6745 * 2**0.5)  # of one pixel, from a robust measure
    means = grey_HW.reshape(rows // _BLOCK_PX, _BLOCK_PX, columns // _BLOCK_PX, _BLOCK_PX).mean(axis=(1, 3))
    y, x = (axis.ravel() / max(means.shape) for axis in np.indices(means.shape))
    field = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    rest = means.ravel() - field @ np.linalg.lstsq(field, means.ravel(), rcond=None)[0]
    # whole grey values: what is rounded has at least this much noise
    return bool(rest.std() > _PICTURE * max(float(noise), 12**-0.5) / _BLOCK_PX)
