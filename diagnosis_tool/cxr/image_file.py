"""PNG and JPEG files to canonical radiographs. DICOM files have diagnosis_tool.dicom.reader."""

import warnings
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from diagnosis_tool.cxr.jpeg_header import jpeg_header
from diagnosis_tool.cxr.jpeg_stream import is_incomplete
from diagnosis_tool.cxr.types import Radiograph
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage

# The only decoders that are ever tried: each further one is attack surface (FITS: CVE-2026-40192).
_FORMATS: Final = ("PNG", "JPEG")
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE: Final = b"\xff\xd8\xff"
# Rows that are turned into grey at once: of an image with colours or alpha there is never a second whole copy.
_STRIP_ROWS: Final = 256
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
        if data.startswith(JPEG_SIGNATURE):
            jpeg_header(data)
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
        if source_format == "JPEG" and is_incomplete(data):  # Pillow makes up what was cut off, if EOI follows
            raise _truncated()
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
        if data.startswith(
            (PNG_SIGNATURE, JPEG_SIGNATURE)
        ):  # such as text that would unpack to more than Pillow's limit
            raise UnreadableInput(
                "The image's header is damaged, or holds far more than an image's header does. Export the image again."
            ) from error
        raise UnreadableInput(
            "This is not a PNG, JPEG or DICOM image. Export the radiograph in one of these."
        ) from error


def _load_upright(image: Image.Image) -> Image.Image:
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    # Pillow's decoders raise all of these for damaged files
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise _truncated() from error
    return image


def _truncated() -> UnreadableInput:
    return UnreadableInput("The image is damaged or truncated. Export or copy it again.")


def _to_grey(image: Image.Image) -> NDArray[np.uint8] | NDArray[np.uint16]:
    mode = image.mode
    if mode in {"I", "I;16", "I;16B", "I;16L", "I;16N"}:
        values = np.array(image)
        return values if values.dtype == np.uint16 else np.clip(values, 0, 65535).astype(np.uint16)
    if mode == "L":
        return np.array(image)
    if mode == "1":
        return np.array(image.convert("L"))
    return _colours_to_grey(image)


def _colours_to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of an image of colours or with alpha, strip by strip: whole copies of all its channels would be gigabytes.

    A colour photograph is refused: more than a twentieth of its pixels are plainly coloured, as a grey image stored as
    RGB has not. About 256 x 256 evenly spaced pixels are looked at.
    """
    width, height = image.size
    grey_HW = np.empty((height, width), np.uint8)
    step = max(1, min(width, height) // 256)
    coloured = looked_at = 0
    for top in range(0, height, _STRIP_ROWS):
        strip = _opaque_rgb(image.crop((0, top, width, min(top + _STRIP_ROWS, height))))
        grey_HW[top : top + _STRIP_ROWS] = np.asarray(strip.convert("L"))
        sample = np.asarray(strip)[-top % step :: step, ::step].astype(np.int16)
        chroma = sample.max(axis=2) - sample.min(axis=2)
        coloured += int((chroma > _COLOUR_LEVELS).sum())
        looked_at += chroma.size
    if coloured > _COLOUR_SHARE * looked_at:
        raise UnsupportedImage("This looks like a colour photograph, not a radiograph. Nothing was read.")
    return grey_HW


def _opaque_rgb(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in {"LA", "La"} or (mode == "P" and "transparency" in image.info) or mode in {"RGBA", "RGBa", "PA"}:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return image.convert("RGB")
