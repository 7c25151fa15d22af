"""Every kind of file that people send: a canonical radiograph, or an error that says what to do."""

import contextlib
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diagnosis_tool.cxr.image_file import read_image_file
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from tests.conftest import phantom_png
from training.phantom import chest_phantom


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return chest_phantom(seed=1, height_px=96, width_px=80)


def test_grey_png_is_read_as_it_is(film: np.ndarray) -> None:
    radiograph = read_image_file(encode(Image.fromarray(film)))
    assert radiograph.source_format == "PNG"
    np.testing.assert_array_equal(radiograph.pixels, film)


def test_jpeg_is_read(film: np.ndarray) -> None:
    radiograph = read_image_file(encode(Image.fromarray(film), "JPEG", quality=95))
    assert radiograph.source_format == "JPEG"
    assert np.abs(radiograph.pixels.astype(int) - film).mean() < 3


def test_format_is_found_by_content_not_by_name(film: np.ndarray) -> None:
    # the reader never sees a name: a PNG called film.jpg is a PNG
    assert read_image_file(encode(Image.fromarray(film))).source_format == "PNG"


def test_16_bit_keeps_its_range(film: np.ndarray) -> None:
    deep = film.astype(np.uint16) * 200
    radiograph = read_image_file(encode(Image.fromarray(deep)))
    assert radiograph.pixels.dtype == np.uint16
    np.testing.assert_array_equal(radiograph.pixels, deep)


def test_grey_stored_as_rgb_is_no_colour_photograph(film: np.ndarray) -> None:
    radiograph = read_image_file(encode(Image.fromarray(film).convert("RGB"), "JPEG"))
    assert radiograph.pixels.ndim == 2


def test_grey_palette_is_resolved(film: np.ndarray) -> None:
    radiograph = read_image_file(encode(Image.fromarray(film).convert("P")))
    assert np.abs(radiograph.pixels.astype(int) - film).max() <= 1


def test_grey_cmyk_is_resolved(film: np.ndarray) -> None:
    radiograph = read_image_file(encode(Image.fromarray(film).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(radiograph.pixels.astype(int) - film).mean() < 4


def test_transparent_parts_become_black(film: np.ndarray) -> None:
    alpha = np.full_like(film, 255)
    alpha[:10] = 0
    radiograph = read_image_file(encode(Image.merge("LA", [Image.fromarray(film), Image.fromarray(alpha)])))
    assert radiograph.pixels[:10].max() == 0
    np.testing.assert_array_equal(radiograph.pixels[10:], film[10:])


def test_exif_rotation_is_applied(film: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees clockwise
    radiograph = read_image_file(encode(Image.fromarray(film), "PNG", exif=exif))
    np.testing.assert_array_equal(radiograph.pixels, np.rot90(film, k=-1))


def test_one_bit_is_widened() -> None:
    half = np.zeros((70, 70), bool)
    half[:, 35:] = True
    assert set(np.unique(read_image_file(encode(Image.fromarray(half))).pixels)) == {0, 255}


def test_animated_is_refused(film: np.ndarray) -> None:
    frames = [Image.fromarray(film), Image.fromarray(film[::-1].copy())]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImage, match="several frames"):
        read_image_file(data)


def test_colour_photograph_is_refused() -> None:
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8))
    with pytest.raises(UnsupportedImage, match="colour photograph"):
        read_image_file(encode(photo, "JPEG"))


def test_small_coloured_marker_is_no_photograph(film: np.ndarray) -> None:
    rgb = np.array(Image.fromarray(film).convert("RGB"))
    rgb[2:10, 2:14] = (255, 200, 0)
    assert read_image_file(encode(Image.fromarray(rgb))).pixels.shape == film.shape


def test_empty_file() -> None:
    with pytest.raises(UnreadableInput, match="0 bytes"):
        read_image_file(b"")


@pytest.mark.parametrize(
    "data", [b"hello, this is a text file", b"GIF89a" + b"\0" * 100, b"%PDF-1.7\n", b"\x89PNX\r\n\x1a\n"]
)
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(UnreadableInput, match="not a PNG, JPEG or DICOM"):
        read_image_file(data)


def test_an_image_with_nothing_behind_its_signature_is_said_to_be_damaged() -> None:
    with pytest.raises(UnreadableInput, match="header is damaged"):
        read_image_file(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
def test_strips_give_what_the_whole_image_gives(mode: str) -> None:
    """Higher than a strip and no multiple of one: no row is lost, doubled or moved."""
    tall = chest_phantom(seed=2, height_px=600, width_px=70)
    image = Image.fromarray(tall).convert("RGB").convert(mode)
    file = encode(image, "JPEG" if mode == "CMYK" else "PNG")
    whole = np.asarray(Image.open(BytesIO(file)).convert("RGB").convert("L"))
    np.testing.assert_array_equal(read_image_file(file).pixels, whole)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated(film: np.ndarray, kind: str, part: float) -> None:
    data = encode(Image.fromarray(film), kind)
    with pytest.raises(UnreadableInput, match="damaged or truncated"):
        read_image_file(data[: int(len(data) * part)])


@pytest.mark.parametrize("part", [0.05, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_that_was_cut_and_closed_again(
    film: np.ndarray, part: float, options: dict[str, Any], mode: str
) -> None:
    """Pillow makes up the rest and says nothing."""
    data = encode(Image.fromarray(film).convert(mode), "JPEG", **options)
    assert read_image_file(data).pixels.shape == film.shape
    with pytest.raises(UnreadableInput, match=r"damaged|not a PNG"):
        read_image_file(data[: int(len(data) * part)] + b"\xff\xd9")


@pytest.mark.parametrize("behind", [b"\0" * 10, b"trailer of a camera", b"\xff\xd8\xff\xe0"])
def test_what_stands_behind_a_jpeg_is_none_of_it(film: np.ndarray, behind: bytes) -> None:
    data = encode(Image.fromarray(film), "JPEG")
    np.testing.assert_array_equal(read_image_file(data + behind).pixels, read_image_file(data).pixels)


def test_flipped_bytes_never_crash() -> None:
    whole = phantom_png(side_px=64)
    rng = np.random.default_rng(3)
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(8, len(data), 4):
            data[at] ^= int(rng.integers(1, 255))
        with contextlib.suppress(UnreadableInput, UnsupportedImage):
            read_image_file(bytes(data))


def _png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [30_000, 11_000])
def test_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    with pytest.raises(UnsupportedImage, match="million"):
        read_image_file(_png_header(side, side))


def test_one_pixel_is_decoded_and_left_to_the_refusals() -> None:
    assert read_image_file(encode(Image.new("L", (1, 1)))).pixels.shape == (1, 1)
