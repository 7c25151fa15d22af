"""Stored values to grey values, against the standard's formulas written out here in numpy."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec, preprocess
from diagnosis_tool.cxr.quality import refuse_unreadable
from diagnosis_tool.dicom.reader import read_dicom
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from tests.dicom_files import FILM, dicom

DEEP = FILM[:100].astype(np.uint16) * 16 + 3
TWELVE = {"BitsStored": 12, "HighBit": 11}
SPEC = PreprocessSpec(
    size_px=100,  # as the films here, so that nothing is resized
    geometry=Geometry.STRETCH,
    interpolation=Interpolation.BILINEAR,
    window_low_percentile=0.5,
    window_high_percentile=99.5,
)


def read(pixels: np.ndarray, **elements: Any) -> np.ndarray:
    return read_dicom(dicom(pixels, **elements)).pixels


def linear(values: np.ndarray, center: float, width: float, low: float, high: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1."""
    ramp = ((values - (center - 0.5)) / (width - 1) + 0.5) * (high - low) + low
    above = np.where(values > center - 0.5 + (width - 1) / 2, high, ramp)
    return np.where(values <= center - 0.5 - (width - 1) / 2, low, above)


def like(ours: np.ndarray, formula: np.ndarray) -> None:
    """Equal but for rounding (of its ends, too) and for where the range begins."""
    ours = ours.astype(float)
    formula = np.asarray(formula, float)
    spread = (ours.max() - ours.min()) / (formula.max() - formula.min())
    np.testing.assert_allclose(ours - ours.min(), (formula - formula.min()) * spread, atol=1.01)


def windowed(pixels: np.ndarray, film: np.ndarray) -> np.ndarray:
    """What the network sees of the pixels, by the percentiles of what belongs to the film."""
    low, high = np.percentile(film, (0.5, 99.5), method="inverted_cdf")
    return np.clip(np.rint((pixels.astype(float) - low) * 255 / (high - low)), 0, 255)


# --- padding ---


def padded(value: int, of: np.ndarray = DEEP) -> tuple[np.ndarray, np.ndarray]:
    """A film with a frame of padding around it, and where it is."""
    frame = np.ones(of.shape, bool)
    frame[20:-20, 15:-15] = False
    return np.where(frame, value, of).astype(of.dtype), frame


@pytest.mark.parametrize("value", [0, 4095])
@pytest.mark.parametrize("colour", ["MONOCHROME2", "MONOCHROME1"])
def test_padding_is_darkest_and_counts_nowhere(value: int, colour: str) -> None:
    pixels, frame = padded(value)
    film = read_dicom(dicom(pixels, PixelPaddingValue=value, PhotometricInterpretation=colour, **TWELVE))
    inside = pixels[~frame].astype(int)
    shown = inside.max() + inside.min() - inside if colour == "MONOCHROME1" else inside
    np.testing.assert_array_equal(film.pixels[~frame], shown)
    assert (film.pixels[frame] == shown.min()).all()
    assert film.padded_px == frame.sum()
    np.testing.assert_array_equal(preprocess(film, SPEC), windowed(film.pixels, shown))


def test_a_range_of_padding() -> None:
    pixels, frame = padded(0)
    pixels[:10], pixels[60, 50] = 60, 50
    is_padding = pixels <= 60
    film = read_dicom(dicom(pixels, PixelPaddingValue=60, PixelPaddingRangeLimit=0, **TWELVE))
    assert film.padded_px == is_padding.sum() == frame.sum() + 1
    np.testing.assert_array_equal(film.pixels[~is_padding], pixels[~is_padding])
    assert (film.pixels[is_padding] == pixels[~is_padding].min()).all()


def test_padding_outside_of_a_window_does_not_stretch_it() -> None:
    pixels, frame = padded(4095)
    film = read_dicom(dicom(pixels, PixelPaddingValue=4095, WindowCenter=1000, WindowWidth=1200, **TWELVE))
    shown = np.rint(linear(pixels.astype(float), 1000, 1200, 0, 4095))[~frame]
    np.testing.assert_array_equal(film.pixels[~frame], shown)
    assert (film.pixels[frame] == shown.min()).all()


def test_signed_padding_that_is_written_unsigned() -> None:
    signed, frame = padded(-2000, DEEP.astype(np.int16) - 1500)
    film = read_dicom(dicom(signed, PixelRepresentation=1, PixelPaddingValue=-2000))
    assert film.padded_px == frame.sum()
    like(film.pixels[~frame], signed[~frame])
    assert (film.pixels[frame] == film.pixels[~frame].min()).all()


def test_nothing_but_padding_is_blank() -> None:
    film = read_dicom(dicom(np.full_like(DEEP, 7), PixelPaddingValue=7))
    with pytest.raises(UnsupportedImage, match="blank"):
        refuse_unreadable(film)


# --- where the bits lie ---


@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_bits_that_lie_high_are_moved_down(high_bit: int) -> None:
    low = np.random.default_rng(0).integers(0, 1 << (high_bit - 11), DEEP.shape)  # an overlay, or anything
    cells = ((DEEP << (high_bit - 11)) | low).astype(np.uint16)
    np.testing.assert_array_equal(read(cells, BitsStored=12, HighBit=high_bit), DEEP)


def test_signed_bits_that_lie_high() -> None:
    values = DEEP.astype(np.int32) // 2 - 1000
    cells = ((values << 4).astype(np.int64) & 0xFFFF).astype(np.uint16)
    like(read(cells, BitsStored=12, HighBit=15, PixelRepresentation=1), values)


def test_what_stands_above_the_value_is_none_of_it() -> None:
    cells = (DEEP | 0xF000).astype(np.uint16)
    np.testing.assert_array_equal(read(cells, **TWELVE), DEEP)


# --- bright or dark ---


@pytest.mark.parametrize(
    ("colour", "shape", "is_inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_presentation_lut_shape(colour: str, shape: str, is_inverted: bool) -> None:
    ours = read(FILM, PhotometricInterpretation=colour, PresentationLUTShape=shape).astype(int)
    np.testing.assert_array_equal(ours, int(FILM.max()) + int(FILM.min()) - FILM.astype(int) if is_inverted else FILM)


# --- rescale and window ---


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -100), (-1, 4095), (-0.5, 300)])
def test_a_window_after_a_rescale_of_any_sign(slope: float, intercept: float) -> None:
    values = DEEP * float(slope) + intercept
    center, width = float(np.median(values)), float(np.ptp(values)) * 0.6
    ends = sorted((0 * slope + intercept, 4095 * slope + intercept))
    elements = {"RescaleSlope": slope, "RescaleIntercept": intercept, "WindowCenter": center, "WindowWidth": width}
    ours = read(DEEP, **elements, **TWELVE)
    like(ours, linear(values, center, width, *ends))
    assert np.sign(np.corrcoef(ours.ravel(), DEEP.ravel())[0, 1]) == np.sign(slope)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_the_other_functions_of_a_window(function: str) -> None:
    values = DEEP.astype(float)
    ours = read(DEEP, WindowCenter=2000, WindowWidth=1500, VOILUTFunction=function, **TWELVE)
    if function == "SIGMOID":  # C.11.2.1.3.1
        like(ours, 4095 / (1 + np.exp(-4 * (values - 2000) / 1500)))
    else:  # C.11.2.1.3.2
        like(ours, np.clip(((values - 2000) / 1500 + 0.5) * 4095, 0, 4095))


@pytest.mark.parametrize(("center", "width"), [(60_000, 100), (-5000, 10), (0, 0), (4090, 2)])
def test_a_window_that_leaves_nothing_of_the_film_is_as_if_absent(center: int, width: int) -> None:
    film = read_dicom(dicom(DEEP, WindowCenter=center, WindowWidth=width, **TWELVE))
    np.testing.assert_array_equal(film.pixels, DEEP)
    refuse_unreadable(film)


@pytest.mark.parametrize(
    "elements", [{"VOILUTFunction": "CUBIC"}, {"WindowWidth": "nan"}, {"WindowCenter": "inf"}, {"WindowWidth": "-3"}]
)
def test_a_window_that_makes_no_sense_is_as_if_absent(elements: dict[str, Any]) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1500, **elements}
    np.testing.assert_array_equal(read(DEEP, **window, **TWELVE), DEEP)


@pytest.mark.parametrize("slope", ["nan", "inf"])
def test_a_slope_that_is_no_number_is_damage(slope: str) -> None:
    with pytest.raises(UnreadableInput, match="damaged"):
        read(DEEP, RescaleSlope=slope, RescaleIntercept=0)


def table(values: list[int], first: int, depth: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(values), first, depth], values
    return item


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("depth", [8, 12])
def test_lookup_tables(name: str, depth: int) -> None:
    """More entries than 8 bits count, which pydicom wraps around; first and last entry hold for what lies beyond."""
    entries = [round((k / 2999) ** 2 * ((1 << depth) - 1)) for k in range(3000)]
    item = table(entries, 500, depth)
    item["LUTDescriptor"].VR = "US"
    item["LUTData"].VR = "US"
    ours = read(DEEP, **{name: [item]}, **TWELVE)
    np.testing.assert_array_equal(ours, np.array(entries)[np.clip(DEEP.astype(int) - 500, 0, 2999)])


def test_few_levels_far_from_zero_are_a_film() -> None:
    narrow = FILM[:100].astype(np.uint16) // 2 + 40_000
    film = read_dicom(dicom(narrow))
    refuse_unreadable(film)
    np.testing.assert_array_equal(film.pixels, narrow)
    np.testing.assert_array_equal(preprocess(film, SPEC), windowed(narrow, narrow))


# --- pixels that are not square ---


@pytest.mark.parametrize(("ratio", "shape"), [((2, 1), (240, 100)), ((1, 2), (120, 200)), ((1, 1), (120, 100))])
def test_pixels_become_square(ratio: tuple[int, int], shape: tuple[int, int]) -> None:
    film = read_dicom(dicom(FILM, PixelAspectRatio=list(ratio)))
    assert film.pixels.shape == shape
    stretched = FILM.astype(float)
    for axis, factor in ((0, ratio[0] / ratio[1]), (1, ratio[1] / ratio[0])):
        if factor > 1:
            old, new = stretched.shape[axis], round(stretched.shape[axis] * factor)
            at = (np.arange(new) + 0.5) / factor - 0.5
            stretched = np.apply_along_axis(
                lambda line, at=at, old=old: np.interp(at, np.arange(old), line), axis, stretched
            )
    np.testing.assert_allclose(film.pixels, stretched, atol=0.51)


def test_padding_stays_padding_when_pixels_become_square() -> None:
    pixels, frame = padded(0)
    film = read_dicom(dicom(pixels, PixelAspectRatio=[2, 1], PixelPaddingValue=0, **TWELVE))
    assert film.padded_px == 2 * frame.sum()
    assert (film.pixels[np.repeat(frame, 2, axis=0)] == film.pixels.min()).all()


def test_square_pixels_have_one_spacing() -> None:
    film = read_dicom(dicom(FILM, PixelAspectRatio=[4, 2], ImagerPixelSpacing=[0.4, 0.2]))
    assert film.pixel_spacing_mm == (0.2, 0.2)


@pytest.mark.parametrize("ratio", [[100, 1], [1, 100]])
def test_pixels_like_needles_are_refused(ratio: list[int]) -> None:
    with pytest.raises(UnsupportedImage, match="100 times as long as wide"):
        read_dicom(dicom(FILM, PixelAspectRatio=ratio))


@pytest.mark.parametrize("ratio", [[0, 1], [3], [-1, 1]])
def test_a_ratio_that_is_none_is_as_if_absent(ratio: list[int]) -> None:
    np.testing.assert_array_equal(read(FILM, PixelAspectRatio=ratio), FILM)
