"""Whole files of each format to begin with, and parts to put files together from."""

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from PIL import Image, PngImagePlugin
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.dicom_files import dicom
from tests.fuzz.mutations import mutated
from training.phantom import chest_phantom

FILM: Final = chest_phantom(seed=5, height_px=80, width_px=72)
_DEEP: Final = FILM.astype(np.uint16) * 16
_PYDICOM: Final = Path(pydicom.__file__).parent / "data" / "test_files"
_SMALL_BYTES: Final = 40_000


@cache
def dicom_samples() -> tuple[bytes, ...]:
    """Our film in seven transfer syntaxes, and pydicom's own small files, three of four as they are refused today."""
    return (*_films(), *(file.read_bytes() for file in _small_files()))


def _small_files() -> Iterator[Path]:
    return (file for file in sorted(_PYDICOM.glob("*.dcm")) if file.stat().st_size < _SMALL_BYTES)


def _films() -> Iterator[bytes]:
    plain = pydicom.dcmread(BytesIO(dicom(_DEEP, BitsStored=12, HighBit=11)))
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        film = pydicom.dcmread(BytesIO(dicom(FILM if syntax == ExplicitVRBigEndian else _DEEP)))
        film.file_meta.TransferSyntaxUID = syntax
        assert list(film)  # each element is read now, in the order of bytes that it has
        yield _saved(
            film,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            force_encoding=True,
        )
    for syntax in (RLELossless, JPEG2000Lossless):
        film = pydicom.dcmread(BytesIO(_saved(plain)))
        film.compress(syntax, generate_instance_uid=False)
        yield _saved(film)
    film = pydicom.dcmread(BytesIO(dicom(FILM)))
    film.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    film.PixelData = pydicom.encaps.encapsulate([picture("JPEG")])
    film["PixelData"].VR = "OB"
    yield _saved(film)


@cache
def streams() -> tuple[tuple[bytes, bytes, bytes], ...]:
    """(what stands before, the frame, what stands after) of a film whose pixels are compressed, for each compression.

    Our header says what the frame is, so that nothing is refused before a decoder sees it.
    """
    found = [_parted(picture("JPEG"), JPEGBaseline8Bit, (*FILM.shape[:2], 8, 8))]
    for name in _COMPRESSED:
        film = pydicom.dcmread(_PYDICOM / name)
        frame = pydicom.encaps.get_frame(film.PixelData, 0, number_of_frames=1)
        size = (film.Rows, film.Columns, film.BitsAllocated, film.BitsStored)
        found.append(_parted(frame, film.file_meta.TransferSyntaxUID, size))
    return tuple(found)


_COMPRESSED: Final = (
    "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "JPEG-lossy.dcm",
)  # fmt: skip


def _parted(frame: bytes, syntax: UID, size: tuple[int, int, int, int]) -> tuple[bytes, bytes, bytes]:
    film = pydicom.dcmread(BytesIO(dicom(FILM)))
    film.Rows, film.Columns, film.BitsAllocated, film.BitsStored = size
    film.HighBit = film.BitsStored - 1
    film.file_meta.TransferSyntaxUID = syntax
    film.PixelData = pydicom.encaps.encapsulate([frame])
    film["PixelData"].VR = "OB"
    before, after = _saved(film).split(frame)
    return before, frame, after


@st.composite
def dicom_streams(draw: DrawFn) -> bytes:
    """A film whose compressed pixels have edits, in a frame whose length is right."""
    before, frame, after = draw(st.sampled_from(streams()))
    changed = draw(mutated([frame]))[: 2 * len(frame) + 1000]
    changed += b"\0" * (len(changed) % 2)
    return before[:-4] + struct.pack("<L", len(changed)) + changed + after


def _saved(film: pydicom.Dataset, **how: Any) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, film, **how)
    return buffer.getvalue()


def picture(kind: str, mode: str = "L", **options: Any) -> bytes:
    """The film as PNG or JPEG."""
    buffer = BytesIO()
    image = Image.fromarray(_DEEP) if mode == "I;16" else Image.fromarray(FILM).convert(mode)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def png_samples() -> tuple[bytes, ...]:
    """Every kind of pixels that PNG has, one with texts and EXIF, one that moves."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "x" * 50, zip=True)
    notes.add_itxt("Title", "film", "de", "Bild", zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(FILM).rotate(5)]
    return (
        *(picture("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        picture("PNG", pnginfo=notes, exif=exif, dpi=(72, 72)),
        picture("PNG", save_all=True, append_images=frames),
    )


@cache
def jpeg_samples() -> tuple[bytes, ...]:
    """Baseline and progressive, grey and in colours, with EXIF, restarts, a comment."""
    exif = Image.Exif()
    exif[0x0112] = 8
    return (
        picture("JPEG"), picture("JPEG", progressive=True), picture("JPEG", "RGB"), picture("JPEG", "CMYK"),
        picture("JPEG", "RGB", progressive=True, subsampling=2), picture("JPEG", exif=exif, comment=b"x" * 20),
        picture("JPEG", restart_marker_rows=1), picture("JPEG", optimize=True, quality=5),
    )  # fmt: skip


@st.composite
def png_chunks(draw: DrawFn) -> bytes:
    """Chunks with right sums: a decoder looks at nothing else before them."""
    sample = draw(st.sampled_from(png_samples()))
    chunks = list(_chunks(sample))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(chunks) - 1))
        name, body = chunks[at]
        match draw(st.sampled_from(("head", "body", "name", "twice", "gone", "new"))):
            case "head" if len(chunks[0][1]) == 13:
                sizes = draw(st.sampled_from((0, 1, 72, 80, 10_000, 2**16, 2**31 - 1, 2**32 - 1)))
                rest = draw(st.tuples(*[st.sampled_from((0, 1, 2, 3, 4, 6, 8, 16, 255))] * 5))
                width, height = draw(st.permutations((sizes, 80)))
                chunks[0] = (b"IHDR", struct.pack(">II5B", width, height, *rest))
            case "body" | "head":
                chunks[at] = (name, draw(st.binary(max_size=40)))
            case "name":
                chunks[at] = (draw(st.sampled_from(_CHUNKS)), body)
            case "twice":
                chunks.insert(at, (name, body))
            case "gone" if len(chunks) > 1:
                del chunks[at]
            case _:
                body = draw(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(_packed)))
                chunks.insert(at, (draw(st.sampled_from(_CHUNKS)), body))
    return sample[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


_CHUNKS: Final = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"gAMA", b"sRGB", b"cHRM", b"pHYs", b"tEXt",
                  b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"CgBI", b"sBIT", b"abcd")  # fmt: skip


def _packed(body: bytes) -> bytes:
    return b"Comment\0\0" + zlib.compress(body * 1000)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


@st.composite
def jpeg_segments(draw: DrawFn) -> bytes:
    """Segments of samples in another order, with bodies and markers that they do not have, lengths right."""
    parts = list(_segments(draw(st.sampled_from(jpeg_samples()))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(1, len(parts) - 1))
        match draw(st.sampled_from(("frame", "body", "twice", "gone", "other", "many"))):
            case "frame":
                sides = st.sampled_from((0, 1, 72, 80, 4096, 65535))
                count = draw(st.sampled_from((0, 1, 2, 3, 4, 255)))
                body = struct.pack(">BHHB", draw(st.sampled_from((0, 8, 12, 16))), draw(sides), draw(sides), count)
                body += draw(st.binary(min_size=3 * min(count, 4), max_size=3 * min(count, 4)))
                parts.insert(at, _segment(draw(st.integers(0xC0, 0xCF)), body))
            case "body":
                parts[at] = _segment(parts[at][1], draw(st.binary(max_size=60)))
            case "twice":
                parts.insert(at, parts[at])
            case "gone" if len(parts) > 2:
                del parts[at]
            case "many":
                parts[at:at] = [parts[at]] * draw(st.sampled_from((10, 300)))
            case _:
                other = list(_segments(draw(st.sampled_from(jpeg_samples()))))
                parts[at:at] = [other[draw(st.integers(1, len(other) - 1))]]
    return b"".join(parts)[:1_000_000]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _segments(jpeg: bytes) -> Iterator[bytes]:
    """SOI, each segment, and from each SOS to the next marker that is none of its data's."""
    yield jpeg[:2]
    at = 2
    while at < len(jpeg) - 2:
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        if jpeg[at + 1] == 0xDA:
            while end < len(jpeg) - 1 and (jpeg[end] != 0xFF or jpeg[end + 1] in {0, *range(0xD0, 0xD8)}):
                end += 1
        yield jpeg[at:end]
        at = end
    yield b"\xff\xd9"
