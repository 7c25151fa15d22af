"""Refusals: images that no number may be shown for. Run before any model."""

from typing import Final

import numpy as np

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import UnsupportedImage

MIN_SIDE_PX: Final = 64
# A flat field with sensor noise has its 1st and 99th percentile this close, in parts of the full range.
_BLANK_RANGE: Final = 0.02


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

    16-bit files often use a fraction of their range, so there the span is compared with the brightest value.
    """
    pixels = radiograph.pixels
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)], (1, 99))
    full = 255.0 if pixels.dtype == np.uint8 else max(float(pixels.max()), 1.0)
    return bool(high - low < _BLANK_RANGE * full)
