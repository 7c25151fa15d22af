"""Files made to do harm, each small enough for a test; tests/hostile_large.py makes them as large as an attacker would.

A name, the file, and words of its refusal; None for one that is a film all the same.
"""

import struct
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom_files import FILM, dicom, written

HEIGHT, WIDTH = FILM.shape


def encoded(kind: str, pixels: np.ndarray = FILM, **options: object) -> bytes:
    """A picture file of these pixels."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def compressed(frame: bytes, syntax: UID, **elements: object) -> bytes:
    """A film whose tags are FILM's and whose only frame is this."""
    ds = dcmread(BytesIO(dicom()))
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame]) if frame else b""
    ds["PixelData"].VR = "OB"
    for name, value in elements.items():
        setattr(ds, name, value)
    return written(ds)


def rle(*segments: bytes) -> bytes:
    """A frame of these segments."""
    starts = np.cumsum([64, *map(len, segments)])[:-1]
    return struct.pack("<16L", len(segments), *map(int, starts), *[0] * (15 - len(segments))) + b"".join(segments)


def run_of(count: int) -> bytes:
    """An RLE segment that unpacks to 128 bytes `count` times."""
    return b"\x81\x00" * count


def jpeg_of(height: int, width: int, *, precision: int = 8, components: int = 1) -> bytes:
    """FILM's JPEG stream whose frame header says otherwise."""
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 4 : at + 10] = struct.pack(">BHHB", precision, height, width, components)
    return bytes(data)


def jpeg_ls_of(height: int, width: int) -> bytes:
    """The head of a JPEG-LS stream."""
    frame = b"\xff\xf7" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 0, 0)
    return b"\xff\xd8" + frame + scan + b"\x12" * 400 + b"\xff\xd9"


def jpeg_of_scans(count: int, pixels: np.ndarray = FILM) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded("JPEG", pixels, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def jpeg2000_of(height: int, width: int, *, components: int = 1, depth: int = 8, tile: int = 0) -> bytes:
    """FILM's JPEG 2000 stream whose SIZ says otherwise."""
    data = encoded("JPEG2000", no_jp2=True)
    at = data.index(b"\xff\x51")
    rest = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
    side = (tile, tile) if tile else (width, height)
    head = struct.pack(">HHLLLLLLLLH", 38 + 3 * components, 0, width, height, 0, 0, *side, 0, 0, components)
    return data[: at + 2] + head + bytes([depth - 1, 1, 1]) * components + data[rest:]


def many_elements(count: int) -> bytes:
    """A film with so many private elements before its pixels."""
    data = dicom()
    at = data.index(b"\xe0\x7f\x10\x00")
    private = b"".join(struct.pack("<HH2sHH", 0x0029 + 2 * (k >> 15), k & 0x7FFF, b"US", 2, 7) for k in range(count))
    return data[:at] + private + data[at:]


def deep(levels: int, *, lengths: bool) -> bytes:
    """A film with sequences in each other. lengths: stated, else undefined."""
    inner = Dataset()
    inner.PatientID = "x"
    for _ in range(levels):
        outer = Dataset()
        outer.RequestAttributesSequence = [inner]
        outer["RequestAttributesSequence"].is_undefined_length = not lengths
        inner.is_undefined_length_sequence_item = not lengths
        inner = outer
    return dicom(RequestAttributesSequence=[inner])


def many_fragments(count: int) -> bytes:
    """A film whose frame is cut into so many."""
    data = compressed(encoded("JPEG"), JPEGBaseline8Bit)
    at = data.rindex(b"\xfe\xff\xdd\xe0")
    return data[:at] + b"\xfe\xff\x00\xe0\0\0\0\0" * count + data[at:]


def lying_table(table: bytes) -> bytes:
    """A film whose offset table says where no frame is."""
    data = compressed(encoded("JPEG"), JPEGBaseline8Bit)
    at = data.index(b"\xe0\x7f\x10\x00") + 12
    length = struct.unpack_from("<L", data, at + 4)[0]
    return data[: at + 4] + struct.pack("<L", len(table)) + table + data[at + 8 + length :]


def long_words(name: str, size_bytes: int) -> bytes:
    """A film with so long a value, which only implicit VR can write."""
    ds = dcmread(BytesIO(dicom(**{name: "X" * 16})))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    value = struct.pack("<L", 16) + b"X" * 16
    return written(ds).replace(value, struct.pack("<L", size_bytes) + b"X" * size_bytes)


DAMAGED, OTHER, PARTS = "damaged", "another size, depth or number of channels", "far more parts"
FILES: list[tuple[str, bytes, str | None]] = [
    ("rle-runs.dcm", compressed(rle(run_of(20_000)), RLELossless), DAMAGED),
    ("rle-long.dcm", compressed(rle(b"\x80" * 50_000), RLELossless), DAMAGED),
    ("rle-segments.dcm", compressed(rle(*[run_of(90)] * 15), RLELossless), DAMAGED),
    ("rle-offsets.dcm", compressed(struct.pack("<16L", 1, 0xFFFFFFF0, *[0] * 14) + run_of(90), RLELossless), DAMAGED),
    ("jpeg-size.dcm", compressed(jpeg_of(60_000, 60_000), JPEGBaseline8Bit), OTHER),
    ("jpeg-channels.dcm", compressed(jpeg_of(HEIGHT, WIDTH, components=4), JPEGBaseline8Bit), OTHER),
    ("jpeg-depth.dcm", compressed(jpeg_of(HEIGHT, WIDTH, precision=16), JPEGBaseline8Bit), OTHER),
    ("jpeg-height.dcm", compressed(jpeg_of(0, WIDTH), JPEGBaseline8Bit), DAMAGED),
    ("jpeg-scans.dcm", compressed(jpeg_of_scans(150), JPEGBaseline8Bit), "passes"),
    ("jpegls-size.dcm", compressed(jpeg_ls_of(60_000, 60_000), JPEGLSLossless), OTHER),
    ("jpegls-height.dcm", compressed(jpeg_ls_of(0, WIDTH), JPEGLSLossless), DAMAGED),
    ("j2k-size.dcm", compressed(jpeg2000_of(60_000, 60_000), JPEG2000), OTHER),
    ("j2k-channels.dcm", compressed(jpeg2000_of(HEIGHT, WIDTH, components=16_000), JPEG2000), OTHER),
    ("j2k-depth.dcm", compressed(jpeg2000_of(HEIGHT, WIDTH, depth=31), JPEG2000), OTHER),
    ("j2k-tiles.dcm", compressed(jpeg2000_of(HEIGHT, WIDTH, tile=1), JPEG2000), DAMAGED),
    ("bits.dcm", dicom(np.zeros(FILM.shape, np.uint32)), "8 or 16"),
    ("elements.dcm", many_elements(200_000), PARTS),
    ("deep.dcm", deep(200, lengths=True), PARTS),
    ("deep-open.dcm", deep(60, lengths=False), PARTS),
    ("fragments.dcm", many_fragments(200_000), PARTS),
    ("table.dcm", lying_table(struct.pack("<3L", 0, 0xFFFFFF00, 7)), DAMAGED),
    ("body-part.dcm", long_words("BodyPartExamined", 3_000_000), "X…, not of the chest"),
    ("modality.dcm", long_words("Modality", 3_000_000), "X… image, not a radiograph"),
    ("name.dcm", long_words("PatientName", 3_000_000), None),
    ("before-time.dcm", dicom(AcquisitionDateTime="00010101000000+1400"), None),
    ("after-time.dcm", dicom(AcquisitionDateTime="99991231235959-1200", TimezoneOffsetFromUTC="+9900"), None),
    ("scans.jpg", jpeg_of_scans(150), "passes"),
    ("height.jpg", jpeg_of(0, WIDTH), DAMAGED),
    ("frames.jpg", jpeg_of(HEIGHT, WIDTH)[:-2] + jpeg_of(60_000, 60_000)[2:], DAMAGED),
]
