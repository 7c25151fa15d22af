"""What the largest lawful films and files made to do harm cost: python -m tests.hostile_large [--here] [NAME...]

Prints a JSON object a file: what came of it, the seconds, and the most memory that the process that decoded it held.
Each is decoded as the product does it, in a process with limits; --here: in a process without any, as it once was.
"""

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import DiagnosisToolError
from tests import hostile_files as made
from tests.dicom_files import dicom

_SIDE: Final = 10_000
_LIMIT_S: Final = 150.0


def _deep(side: int = _SIDE) -> np.ndarray:
    """A film of 16 bits with noise in its lower ones."""
    noise = np.random.default_rng(0).integers(0, 16, (side, side), np.uint16)
    noise += np.linspace(0, 60_000, side).astype(np.uint16)[:, None]
    return noise


def _lawful_jpeg2000() -> bytes:
    frame = made.encoded("JPEG2000", _deep(), no_jp2=True)
    elements = {"Rows": _SIDE, "Columns": _SIDE, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    return made.compressed(frame, JPEG2000Lossless, **elements)


def _black(side: int = _SIDE) -> np.ndarray:
    return np.zeros((side, side), np.uint8)


def _lossless_jpeg() -> bytes:
    """Every pixel as the one before it (SOF3, predictor 1), which takes one bit each."""
    frame = b"\xff\xc3" + struct.pack(">HBHHB", 11, 16, _SIDE, _SIDE, 1) + b"\1\x11\0"
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + b"\1" + bytes(15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    stream = b"\xff\xd8" + frame + table + scan + bytes(_SIDE * _SIDE // 8) + b"\xff\xd9"
    elements = {"Rows": _SIDE, "Columns": _SIDE, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    return made.compressed(stream, JPEGLosslessSV1, **elements)


def _rle_that_fits() -> bytes:
    """As long as a frame of its size may be, and unpacks to 64 times of it."""
    elements = {"Rows": 2600, "Columns": 2600, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    return made.compressed(made.rle(made.run_of(6_500_000), made.run_of(6_500_000)), RLELossless, **elements)


def _channels() -> bytes:
    frame = made.encoded("JPEG2000", np.zeros((7000, 7000, 3), np.uint8), no_jp2=True)
    return made.compressed(frame, JPEG2000, Rows=7000, Columns=7000)


def runs_of_one(pixels: int) -> bytes:
    """A film of 8 bits packed in runs of one pixel: lawful, as long as RLE can be, and slow to unpack."""
    width = 10_000
    frame = made.rle(b"\0\x40\0\x80" * (pixels // 2))
    return made.compressed(frame, RLELossless, Rows=pixels // width, Columns=width)


FILES: Final[dict[str, Callable[[], bytes]]] = {
    "lawful: DICOM 100 Mpx 16 bit": lambda: dicom(_deep()),
    "lawful: JPEG 2000 100 Mpx 16 bit": _lawful_jpeg2000,
    "lawful: JPEG 100 Mpx, 6 scans": lambda: made.encoded("JPEG", _black(), progressive=True),
    "lawful: DICOM, JPEG 100 Mpx 8 bit": lambda: made.compressed(
        made.encoded("JPEG", (_deep() >> 8).astype(np.uint8)), JPEGBaseline8Bit, Rows=_SIDE, Columns=_SIDE
    ),
    "lawful: DICOM, lossless JPEG 100 Mpx 16 bit": _lossless_jpeg,
    "JPEG 100 Mpx, 100 scans": lambda: made.jpeg_of_scans(100, _black()),
    "JPEG 100 Mpx, 3000 scans": lambda: made.jpeg_of_scans(3000, _black()),
    "RLE, 26 MB for 12,000 pixels": lambda: made.compressed(made.rle(made.run_of(13_000_000)), RLELossless),
    "RLE, 26 MB for 6.8 Mpx": _rle_that_fits,
    "RLE, 100 Mpx in runs of one": lambda: runs_of_one(100_000_000),
    "JPEG 2000, 3 channels of 49 Mpx for one": _channels,
    "JPEG 2000, 16,000 channels": lambda: made.compressed(made.jpeg2000_of(120, 100, components=16_000), JPEG2000),
    "JPEG, height 0": lambda: made.compressed(made.jpeg_of(0, 100), JPEGBaseline8Bit),
    "4 million private elements": lambda: made.many_elements(4_000_000),
    "4 million fragments": lambda: made.many_fragments(4_000_000),
    "body part of 10 MB": lambda: made.long_words("BodyPartExamined", 10_000_000),
}


def main() -> int:
    """Each file in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--file")
    options = parser.parse_args()
    if options.file:
        return _one(Path(options.file).read_bytes(), here=options.here)
    for name, make in FILES.items():
        if options.names and name not in options.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            file.write_bytes(make())
            command = [sys.executable, "-m", "tests.hostile_large", "--file", str(file)]
            start = time.monotonic()
            try:
                done = subprocess.run(
                    [*command, *(["--here"] if options.here else [])],
                    capture_output=True, text=True, check=False, timeout=_LIMIT_S,
                )  # fmt: skip
                found = json.loads(done.stdout) if done.returncode == 0 else {"came of it": f"code {done.returncode}"}
            except subprocess.TimeoutExpired:
                found = {"came of it": f"nothing in {_LIMIT_S:.0f} s", "s": round(time.monotonic() - start, 1)}
            print(json.dumps({"file": name, "MB": round(file.stat().st_size / 1e6, 1), **found}), flush=True)
    return 0


def _one(data: bytes, *, here: bool) -> int:
    start = time.perf_counter()
    try:
        if here:
            film = decode_radiograph(data)
        else:
            from diagnosis_tool.decoding.pool import Pool

            with Pool(warm=1) as pool:
                pool.decode(made.encoded("PNG"))
                start = time.perf_counter()
                film = pool.decode(data)
        came = f"{film.width_px} x {film.height_px}"
    except (DiagnosisToolError, MemoryError) as error:
        came = f"{type(error).__name__}: {str(error)[:100]}"
    seconds = time.perf_counter() - start
    if here:  # ru_maxrss would be inherited from whoever started this process
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        most = int(line.split()[1]) * 1024 / 1e6
    else:
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    print(json.dumps({"came of it": came, "s": round(seconds, 2), "memory_mb": round(most)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
