"""PNG and JPEG files to canonical radiographs. DICOM files have diagnosis_tool.dicom.reader."""

import warnings
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage

# The only decoders that are ever tried: each further one is attack surface (FITS: CVE-2026-40192).
_FORMATS: Final = ("PNG", "JPEG")
# The largest radiographs in use are about 6000 x 6000 px; four times that many pixels is surely no film.
MAX_PIXELS: Final = 100_000_000
# Chroma above which a pixel counts as coloured: JPEG's chroma subsampling moves grey by a few levels.
_COLOUR_LEVELS: Final = 24
# A burned-in coloured marker covers little of a film; a photograph is coloured nearly everywhere.
_COLOUR_SHARE: Final = 0.05


def read_image_file(data: bytes) -> Radiograph:
    """Decodes a PNG or JPEG to grey, upright (EXIF), alpha laid on black, palette and CMYK resolved.

    Raises:
        UnreadableInput: empty, truncated, or neither PNG nor JPEG whatever its name says.
        UnsupportedImage: animated, over MAX_PIXELS, or a colour photograph.
    """
    if not data:
        raise UnreadableInput("The file is empty (0 bytes). Export the image again.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit below is lower than Pillow's
        image = _open(data)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnsupportedImage(
                "The image has %(width)s x %(height)s pixels, more than a radiograph has (limit %(limit)s million). "
                "Export it at its original size.",
                width=width,
                height=height,
                limit=MAX_PIXELS // 1_000_000,
            )
        if getattr(image, "n_frames", 1) > 1:
            raise UnsupportedImage("The image has several frames (animated). Upload single radiographs, one file each.")
        source_format = str(image.format)
        upright = _load_upright(image)
    pixels = _to_grey(upright)
    return Radiograph(pixels=pixels, source_format=source_format, bits=pixels.dtype.itemsize * 8)


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise UnsupportedImage(
            "The image has far more pixels than a radiograph (limit %(limit)s million). "
            "Export it at its original size.",
            limit=MAX_PIXELS // 1_000_000,
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UnreadableInput(
            "This is not a PNG, JPEG or DICOM image. Export the radiograph in one of these."
        ) from error


def _load_upright(image: Image.Image) -> Image.Image:
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    # Pillow's decoders raise all of these for damaged files
    except (OSError, ValueError, SyntaxError, IndexError, EOFError, MemoryError) as error:
        raise UnreadableInput("The image is damaged or truncated. Export or copy it again.") from error


def _to_grey(image: Image.Image) -> NDArray[np.uint8] | NDArray[np.uint16]:
    mode = image.mode
    if mode in {"I", "I;16", "I;16B", "I;16L", "I;16N"}:
        return np.ascontiguousarray(np.clip(np.asarray(image), 0, 65535).astype(np.uint16))
    if mode in {"1", "L"}:
        return np.array(image.convert("L"))
    if mode in {"LA", "La"} or (mode == "P" and "transparency" in image.info) or mode in {"RGBA", "RGBa", "PA"}:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, rgba)
    rgb = np.asarray(image.convert("RGB"))
    if is_colour_photograph(rgb):
        raise UnsupportedImage("This looks like a colour photograph, not a radiograph. Nothing was read.")
    return np.array(Image.fromarray(rgb).convert("L"))


def is_colour_photograph(rgb_HW3: NDArray[np.uint8]) -> bool:
    """True when more than a twentieth of the pixels are plainly coloured; a grey image stored as RGB is not.

    rgb_HW3: (H, W, 3) uint8. At most about 256 x 256 evenly spaced pixels are looked at.
    """
    step = max(1, min(rgb_HW3.shape[:2]) // 256)
    sample = rgb_HW3[::step, ::step].astype(np.int16)
    chroma = sample.max(axis=2) - sample.min(axis=2)
    return float((chroma > _COLOUR_LEVELS).mean()) > _COLOUR_SHARE
