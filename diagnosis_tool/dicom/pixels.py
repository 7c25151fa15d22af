"""Stored values to a canonical radiograph: padding apart, modality LUT, VOI LUT or window, inversion, square pixels.

All of it but the last is done on a table of the values that 8 or 16 bits can hold, not on the pixels.

Source: DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding), C.7.6.3 (Image Pixel), C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.11.6
(Presentation LUT Shape).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut

from diagnosis_tool.cxr.image_file import MAX_PIXELS
from diagnosis_tool.cxr.turn import Grey
from diagnosis_tool.dicom.admit import damaged
from diagnosis_tool.dicom.elements import number, term, texts
from diagnosis_tool.errors import UnsupportedImage

# a film rescaled to fewer whole values than this would lose what distinguishes its tissues
_FEW_LEVELS: Final = 256
# No device has pixels that are longer than this many times their width.
_LONGEST: Final = 8.0
_FUNCTIONS: Final = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
# Rows that are counted or interpolated at once: of the largest film numpy's copies would have 800 MB.
_STRIP_ROWS: Final = 256

Stored = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int8] | NDArray[np.int16]
Table = NDArray[np.generic]
"""A value for each pattern of bits (V,) that a pixel can have: 256 or 65,536 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """pixels: (H, W), bright = dense: uint8 for up to 8 stored bits, else uint16.

    padded_px: how many of them are padding, as in Radiograph. row_factor: how many times as high as wide the stored
    pixels were; there are so many times as many rows now, or so many times as few columns were made more.
    """

    pixels: Grey
    padded_px: int
    row_factor: float


def bits_stored(dataset: Dataset) -> int:
    """How many of each pixel's bits carry its value, 1 to 16."""
    return min(max(number(dataset, "BitsStored", 16), 1), 16)


def lies_high(dataset: Dataset) -> bool:
    """Whether the value's bits do not end at the lowest one of their cell: High Bit is not Bits Stored - 1."""
    allocated, stored = number(dataset, "BitsAllocated", 16), number(dataset, "BitsStored", 16)
    return stored <= number(dataset, "HighBit", stored - 1) < allocated


def moved_down(cells_HW: Stored, dataset: Dataset) -> Stored:
    """The values in cells whose bits lie high (PS3.5 section 8.1.1): what stands above and below them is none of them.

    cells_HW: as many bits as allocated, signed as the values are.
    """
    allocated, stored = number(dataset, "BitsAllocated", 16), number(dataset, "BitsStored", 16)
    above = np.left_shift(cells_HW, allocated - 1 - number(dataset, "HighBit", stored - 1))
    return np.right_shift(above, allocated - stored, out=above)


def canonical(stored_HW: NDArray[np.generic], dataset: Dataset) -> Film:
    """The film as it is to be looked at, with square pixels.

    Padding is no part of it: windows, inversion and statistics leave it out, and it becomes the darkest of the film's
    own values, as the unexposed surroundings of a film on a viewing box. Raises UnsupportedImage for pixels of more
    than 16 bits, or too long ones.
    """
    cells_HW = _cells(stored_HW)
    values = np.arange(1 << 8 * cells_HW.itemsize, dtype=cells_HW.dtype).view(stored_HW.dtype.newbyteorder("="))
    counts, is_padding = _counts(cells_HW, len(values)), _padding(values, dataset)
    table = _shown(values, np.where(is_padding, 0, counts), is_padding, dataset)
    pixels_HW: Grey = table[cells_HW]
    padded_px = int(counts[is_padding].sum())
    factor = _row_factor(dataset)
    if factor != 1:
        pixels_HW = _square(pixels_HW, factor)
        if padded_px:
            padded_HW = _nearest(is_padding[cells_HW], pixels_HW.shape)
            pixels_HW[padded_HW] = pixels_HW.min()
            padded_px = int(padded_HW.sum())
    return Film(pixels=pixels_HW, padded_px=padded_px, row_factor=factor)


def _cells(stored_HW: NDArray[Any]) -> Grey:
    """The pixels' bits as unsigned numbers: what tables are indexed by."""
    if stored_HW.dtype.kind not in "iu" or stored_HW.itemsize > 2:
        raise UnsupportedImage(
            "Each pixel has %(bits)s bits; a radiograph has 8 to 16. Nothing was read. Export it anew.",
            bits=8 * stored_HW.itemsize,
        )
    native_HW = stored_HW.astype(stored_HW.dtype.newbyteorder("="), copy=False)
    return native_HW.view(np.uint8) if stored_HW.itemsize == 1 else native_HW.view(np.uint16)


def _counts(cells_HW: Grey, levels: int) -> NDArray[np.int64]:
    counts = np.zeros(levels, np.int64)
    for top in range(0, len(cells_HW), _STRIP_ROWS):
        counts += np.bincount(cells_HW[top : top + _STRIP_ROWS].ravel(), minlength=levels)
    return counts


def _shown(values: Table, film: NDArray[np.int64], is_padding: NDArray[np.bool_], dataset: Dataset) -> Grey:
    """What each value becomes. film: how many pixels of the film have it, so 0 for padding."""
    grey = np.array(_windowed(_modality(values, dataset), film, dataset), dtype=np.float64)
    held = grey[film > 0] if film.any() else np.zeros(1)
    low, high = float(held.min()), float(held.max())
    if _is_inverted(dataset):
        grey, held = high + low - grey, high + low - held  # after the window: it is stated for the values before
    grey[is_padding] = low
    full = 255 if bits_stored(dataset) <= 8 else 65535
    if low < 0 or high > full:  # signed or rescaled values: keep their steps where they fit
        grey = (grey - low) * min(1.0, full / max(high - low, 1.0))
    elif 0 < high - low < _FEW_LEVELS and np.any(held % 1):  # a fractional slope: rounding would drop its steps
        grey = (grey - low) * (full / (high - low))
    whole = np.clip(np.rint(grey), 0, full)  # only what no pixel has lies outside
    return whole.astype(np.uint8) if full == 255 else whole.astype(np.uint16)


def _padding(values: Table, dataset: Dataset) -> NDArray[np.bool_]:
    """Which values Pixel Padding Value, or the range from it to Pixel Padding Range Limit, sets apart."""
    stated = [name for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") if dataset.get(name) not in (None, "")]
    if "PixelPaddingValue" not in stated:
        return np.zeros(len(values), bool)
    ends = [_as_stored(number(dataset, name, 0), dataset) for name in stated]
    numbers = values.astype(np.int32)
    return np.asarray((numbers >= min(ends)) & (numbers <= max(ends)))


def _as_stored(value: int, dataset: Dataset) -> int:
    """The value as pixels hold it: files write -2000 as 63536, or fill bits that are not stored."""
    bits, signed = bits_stored(dataset), number(dataset, "PixelRepresentation", 0) == 1
    least, most = _limits(bits, signed=signed)
    if least <= value <= most:
        return value
    cut = value & ((1 << bits) - 1)
    return cut - (1 << bits) if signed and cut > most else cut


def _limits(bits: int, *, signed: bool) -> tuple[int, int]:
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _modality(values: Table, dataset: Dataset) -> Table:
    item = _item(dataset, "ModalityLUTSequence")
    if item is not None:
        return _looked_up(values, item, dataset)
    rescaled = np.asarray(apply_modality_lut(values, dataset))
    if not np.isfinite(rescaled).all():
        raise damaged()
    return rescaled


def _item(dataset: Dataset, name: str) -> Dataset | None:
    items = dataset.get(name)
    return items[0] if items else None


def _looked_up(values: Table, item: Dataset, dataset: Dataset) -> Table:
    """Through a table, whose first entry holds for what lies below it and whose last for what lies above."""
    entries, first, depth = (int(value) for value in item.LUTDescriptor)
    entries = entries or 1 << 16
    if number(dataset, "PixelRepresentation", 0) == 1 and first >= 1 << 15:
        first -= 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):  # VR OW; eight bits an entry may be packed
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else np.uint8)
    outputs = np.asarray(data).astype(np.uint8 if depth <= 8 else np.uint16)[:entries]
    if not len(outputs):
        raise ValueError("an empty table")
    return outputs[np.clip(np.rint(values.astype(np.float64)).astype(np.int64) - first, 0, len(outputs) - 1)]


def _windowed(values: Table, film: NDArray[np.int64], dataset: Dataset) -> Table:
    try:
        item = _item(dataset, "VOILUTSequence")
        shown = _window(values, dataset) if item is None else _looked_up(values, item, dataset)
    except (ValueError, KeyError, AttributeError, IndexError, NotImplementedError, TypeError):
        # an impossible window (width 0 is common) is as if absent: preprocess() windows by percentiles anyway
        return values
    # and so is one that leaves nothing of the film, because it lies outside of its values
    return values if _is_flat(shown, film) and not _is_flat(values, film) else shown


def _is_flat(values: Table, film: NDArray[np.int64]) -> bool:
    """Whether the 1st and 99th percentile of the film's pixels are one."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(film[order])
    low, high = np.searchsorted(cumulative, (np.ceil(cumulative[-1] * 0.01), np.ceil(cumulative[-1] * 0.99)))
    return bool(values[order[low]] == values[order[high]])


def _window(values: Table, dataset: Dataset) -> Table:
    """The first window, stretched to all values that there can be. Raises ValueError where it is none.

    pydicom's own turns the film over where the rescale slope is negative: its range then runs from high to low.
    """
    center, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    if center is None or width is None:
        return values
    kind = term(dataset, "VOILUTFunction") or "LINEAR"
    if kind == "LINEAR":
        center, width = center - 0.5, width - 1
    if (
        kind not in _FUNCTIONS
        or not np.isfinite((center, width)).all()
        or width < 0
        or (width == 0 and kind != "LINEAR")
    ):
        raise ValueError("no window")
    least, most = _possible_values(dataset)
    grey = values.astype(np.float64)
    if kind == "SIGMOID":
        return np.asarray((most - least) / (1 + np.exp(-4 * (grey - center) / width)) + least)
    below, above = grey <= center - width / 2, grey > center + width / 2
    inside = ~(below | above)
    grey[inside] = ((grey[inside] - center) / (width or 1) + 0.5) * (most - least) + least
    grey[below], grey[above] = least, most
    return grey


def _first(dataset: Dataset, name: str) -> float | None:
    values = texts(dataset, name)
    return float(values[0]) if values and values[0] else None


def _possible_values(dataset: Dataset) -> tuple[float, float]:
    """Least and greatest value that can come out of the modality LUT."""
    item = _item(dataset, "ModalityLUTSequence")
    bits = int(item.LUTDescriptor[2]) if item is not None else bits_stored(dataset)
    signed = item is None and number(dataset, "PixelRepresentation", 0) == 1
    ends = _limits(bits, signed=signed)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return float(ends[0]), float(ends[1])
    rescaled = [end * float(slope) + float(intercept) for end in ends]
    return min(rescaled), max(rescaled)


def _is_inverted(dataset: Dataset) -> bool:
    # MONOCHROME1 comes with INVERSE in DX: they say the same, and the film is turned over once
    is_monochrome1 = term(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return is_monochrome1 or term(dataset, "PresentationLUTShape") == "INVERSE"


def _row_factor(dataset: Dataset) -> float:
    """How many times as high as wide a pixel is, by Pixel Aspect Ratio; 1 where it does not say."""
    try:
        high, wide = (float(side) for side in texts(dataset, "PixelAspectRatio"))
    except ValueError:
        return 1
    return high / wide if 0 < high < np.inf and 0 < wide < np.inf else 1


def _square(pixels_HW: Grey, factor: float) -> Grey:
    """The film with more rows, or more columns, so that its pixels become square; interpolated linearly."""
    rows, columns = pixels_HW.shape
    if factor < 1:
        return _square(pixels_HW.T, 1 / factor).T.copy()
    wanted = round(rows * min(factor, _LONGEST))
    if factor > _LONGEST or wanted * columns > MAX_PIXELS:
        raise UnsupportedImage(
            "The image's pixels are %(factor)s times as long as wide (Pixel Aspect Ratio): more than can be set right. "
            "Export it with square pixels.",
            factor=f"{factor:.3g}",
        )
    at = np.clip((np.arange(wanted) + 0.5) * rows / wanted - 0.5, 0, rows - 1)
    above = np.floor(at).astype(np.int64)
    below, part = np.minimum(above + 1, rows - 1), (at - above)[:, None]
    square_HW = np.empty((wanted, columns), pixels_HW.dtype)
    for top in range(0, wanted, _STRIP_ROWS):
        rows_now = slice(top, top + _STRIP_ROWS)
        upper, lower = pixels_HW[above[rows_now]], pixels_HW[below[rows_now]]
        square_HW[rows_now] = np.rint(upper * (1 - part[rows_now]) + lower * part[rows_now])
    return square_HW


def _nearest(mask_HW: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(np.int64)
        for new, old in zip(shape, mask_HW.shape, strict=True)
    )
    return mask_HW[np.ix_(rows, columns)]
