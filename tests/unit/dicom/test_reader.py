"""Real and made DICOM files: the same film gives the same radiograph, whatever its encoding."""

from io import BytesIO
from pathlib import Path

import data_store
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.uid import JPEG2000, UID, JPEGBaseline8Bit

from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec, preprocess
from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.dicom.reader import read_dicom
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from tests.conftest import phantom_png
from tests.dicom_files import FILM, compressed, dicom

REAL = Path(data_store.__file__).parent / "data"


def test_plain_8_bit() -> None:
    radiograph = read_dicom(dicom(PixelSpacing=[0.2, 0.3]))
    np.testing.assert_array_equal(radiograph.pixels, FILM)
    assert radiograph.source_format == "DICOM"
    assert radiograph.view_position is ViewPosition.PA
    assert radiograph.pixel_spacing_mm == (0.2, 0.3)


@pytest.mark.parametrize("spacing", [["1e400", "0.2"], ["0.2", "1e300"], ["0", "0.2"], ["-0.2", "0.2"], ["1e-9", "1"]])
def test_a_spacing_that_no_film_has_is_as_if_absent(spacing: list[str]) -> None:
    assert read_dicom(dicom(PixelSpacing=spacing)).pixel_spacing_mm is None
    assert read_dicom(dicom(PixelSpacing=spacing, ImagerPixelSpacing=[0.2, 0.2])).pixel_spacing_mm == (0.2, 0.2)


def test_monochrome1_is_inverted() -> None:
    radiograph = read_dicom(dicom(np.ascontiguousarray(255 - FILM), PhotometricInterpretation="MONOCHROME1"))
    ours = radiograph.pixels.astype(int)
    assert np.corrcoef(ours.ravel(), FILM.ravel())[0, 1] == pytest.approx(1)
    assert ours.max() == 255 - FILM.min() or ours.max() == FILM.max()


def test_monochrome1_with_window_is_inverted_after_the_window() -> None:
    deep = (4095 - FILM.astype(np.uint16) * 16).astype(np.uint16)
    elements = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    radiograph = read_dicom(dicom(deep, PhotometricInterpretation="MONOCHROME1", **elements))
    assert radiograph.pixels.dtype == np.uint16
    assert np.corrcoef(radiograph.pixels.ravel(), FILM.ravel())[0, 1] > 0.9999


def test_a_window_clips_what_lies_outside() -> None:
    radiograph = read_dicom(dicom(WindowCenter=128, WindowWidth=64))
    assert radiograph.pixels.min() == 0
    assert radiograph.pixels.max() == 255
    assert (radiograph.pixels[FILM < 90] == 0).all()


def test_an_impossible_window_is_as_if_absent() -> None:
    np.testing.assert_array_equal(read_dicom(dicom(WindowCenter=128, WindowWidth=0)).pixels, FILM)


def test_signed_values_and_rescale() -> None:
    signed = (FILM.astype(np.int16) - 100) * 10
    radiograph = read_dicom(dicom(signed, PixelRepresentation=1, RescaleSlope=2, RescaleIntercept=-5, RescaleType="US"))
    np.testing.assert_array_equal(radiograph.pixels, (FILM.astype(int) - FILM.min()) * 20)


def test_real_chest_film_is_the_same_in_its_lossless_encodings() -> None:
    spec = PreprocessSpec(
        size_px=224,
        geometry=Geometry.STRETCH,
        interpolation=Interpolation.BILINEAR,
        window_low_percentile=0.5,
        window_high_percentile=99.5,
    )
    first, second, third, lossy = (
        read_dicom((REAL / f"RG1_{kind}.dcm").read_bytes()) for kind in ("UNCR", "J2KR", "UNCI", "J2KI")
    )
    assert first.pixels.shape == (1955, 1841)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(third.pixels, lossy.pixels)
    # UNCI was made from the irreversible encoding: the same to a grey value at the network's input
    difference = preprocess(first, spec).astype(int) - preprocess(third, spec)
    assert np.abs(difference).max() <= 2


def test_real_film_is_bright_where_it_is_dense() -> None:
    pixels = read_dicom((REAL / "RG1_UNCR.dcm").read_bytes()).pixels
    middle, lung = pixels[1000:1400, 850:950], pixels[700:900, 400:600]
    assert middle.mean() > lung.mean()


def test_a_leg_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="EXTREMITY, not of the chest"):
        read_dicom((REAL / "RG3_UNCR.dcm").read_bytes())


def test_a_ct_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="CT image"):
        read_dicom((REAL / "693_UNCR.dcm").read_bytes())


def test_colour_and_frames_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match="colour"):
        read_dicom(dicom(PhotometricInterpretation="RGB"))
    with pytest.raises(UnsupportedImage, match="several frames"):
        read_dicom(dicom(NumberOfFrames=2))


def test_no_pixels() -> None:
    with pytest.raises(UnsupportedImage, match="no image"):
        read_dicom(dicom(PixelData=None))


def test_enormous_is_refused_before_decoding() -> None:
    with pytest.raises(UnsupportedImage, match="million"):
        read_dicom(dicom(Rows=60_000, Columns=60_000))


@pytest.mark.parametrize("part", [0.02, 0.05, 0.5, 0.95])
def test_truncated(part: float) -> None:
    data = dicom()
    with pytest.raises((UnreadableInput, UnsupportedImage)):
        read_dicom(data[: max(140, int(len(data) * part))])


def test_flipped_bytes_never_crash() -> None:
    whole = dicom()
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(132, 800, 3):
            data[at] = int(rng.integers(0, 256))
        try:
            assert read_dicom(bytes(data)).pixels.ndim == 2
        except (UnreadableInput, UnsupportedImage):
            continue


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    inner = Dataset()
    inner.PatientID = "x"
    for _ in range(200):
        outer = Dataset()
        outer.RequestAttributesSequence = [inner]
        inner = outer
    data = dicom(RequestAttributesSequence=[inner])
    with pytest.raises(UnsupportedImage, match="far more parts"):
        read_dicom(data)


def test_decode_chooses_by_content() -> None:
    assert decode_radiograph(dicom()).source_format == "DICOM"
    assert decode_radiograph(phantom_png()).source_format == "PNG"


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000)])
def test_a_stream_of_another_size_is_refused(kind: str, syntax: UID) -> None:
    stream = BytesIO()
    Image.fromarray(FILM).resize((500, 500)).save(stream, kind)
    with pytest.raises(UnreadableInput):
        read_dicom(compressed(stream.getvalue(), syntax, FILM.shape, 8))


def test_a_fractional_slope_keeps_the_steps() -> None:
    deep = FILM.astype(np.uint16) * 16
    plain = read_dicom(dicom(deep)).pixels
    tiny = read_dicom(dicom(deep, RescaleSlope="0.000244", RescaleIntercept="0")).pixels
    assert len(np.unique(tiny)) == len(np.unique(plain))
    assert np.corrcoef(plain.ravel(), tiny.ravel())[0, 1] > 0.9999
