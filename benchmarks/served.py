"""What the benchmarks of the whole tool share: distinct films, a B7 bundle, a server with what it cost."""

import os
import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from diagnosis_tool.dicom.decode import decode_radiograph
from testing.bundles import write_bundle
from testing.serving import Server, wait_for
from training.phantom import chest_phantom

READY_S: Final = 900.0
"""For a server that converts B7 first."""
_REAL: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih-1024"
_PHANTOMS: Final = 4
_SIDE_PX: Final = 1024
_SHIFT_PX: Final = 7


def distinct_films(count: int) -> tuple[list[tuple[str, bytes]], str]:
    """(name, PNG) of `count` films of 1024 x 1024 px whose pixels all differ, and what they were made from.

    Real films where shared/ lies beside the checkout, else phantoms; each is shifted sideways once more every time it
    is used, which keeps what decoding costs.
    """
    files = sorted(_REAL.glob("*.png"))
    made_from = [decode_radiograph(file.read_bytes()).pixels for file in files] or [
        chest_phantom(seed, height_px=_SIDE_PX, width_px=_SIDE_PX) for seed in range(_PHANTOMS)
    ]
    films = (
        np.roll(pixels, turn * _SHIFT_PX, axis=1)
        for turn in range(1, count // len(made_from) + 2)
        for pixels in made_from
    )
    named = [(f"{k}.png", _png(pixels)) for k, pixels in enumerate(islice(films, count))]
    return named, f"{count} PNG of 1024 px from {len(made_from)} {'NIH films' if files else 'phantoms'}"


def _png(pixels_HW: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels_HW).save(buffer, "PNG", compress_level=4)  # the default takes three times as long
    return buffer.getvalue()


def b7_bundle(folder: Path) -> Path:
    """EfficientNet-B7 at 224 px with random weights."""
    return write_bundle(folder, architecture="efficientnet_b7", size_px=224)


def chosen_engine() -> dict[str, str]:
    """The engine that a user's server would choose, or ENGINE's: tests serve with torch."""
    return {"ENGINE": os.environ.get("ENGINE", "auto")}


def wait_until_done(server: Server, uid: str, *, at_least: int, every_s: float) -> None:
    """Asks the server, as the study page does, until so many images of the study are done."""

    def look() -> bool | None:
        states = [i["state"] for i in server.get_json(f"/studies/{uid}/status.json")["instances"]]
        if broken := {"refused", "failed"} & set(states):
            raise AssertionError(f"an image was {broken}; see {server.log}")
        return True if states.count("done") >= at_least else None

    wait_for(look, f"study {uid} did not finish; see {server.log}", deadline_s=3600, every_s=every_s)


def resident_mb(server: Server) -> float:
    """Resident memory of the one worker, in 10^6 bytes."""
    (pid,) = server.worker_pids()
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) * 1024 / 1e6


def forget_files(server: Server) -> None:
    """Removes the uploaded files; a long benchmark would fill the disk."""
    for folder in (server.data_dir / "blobs").iterdir():
        if len(folder.name) == 2:
            shutil.rmtree(folder)


def machine() -> str:
    """What the machine has, and does besides: for the record."""
    return f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


def answered(log: Path) -> Iterator[int]:
    """Of each worker that stopped: how many images its model answered, that is, its forward passes."""
    return (int(n) for n in re.findall(r"stopped after (\d+) images", log.read_text()))
