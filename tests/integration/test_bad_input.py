"""Everything that people send instead of a film: one upload, a clear message on each line, nothing lost."""

import json
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from testing.serving import serve
from tests.conftest import phantom_png
from training.phantom import chest_phantom


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes whose header promises side x side pixels, all of them there."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    row = b"\0" * (side + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


FILM = chest_phantom(seed=9, height_px=200, width_px=200)
GREY = Image.fromarray(FILM)
TURNED = Image.Exif()
TURNED[0x0112] = 6

# name sent, bytes, name shown, state, part of the message
CASES: list[tuple[str, bytes, str, str, str | None]] = [
    ("good.png", phantom_png(9, 200), "good.png", "done", None),
    ("text.png", b"just text", "text.png", "refused", "not a PNG, JPEG or DICOM"),
    ("page.pdf", b"%PDF-1.7 ...", "page.pdf", "refused", "not a PNG, JPEG or DICOM"),
    ("cut.png", phantom_png(9, 200)[:5000], "cut.png", "refused", "damaged or truncated"),
    ("cut.jpg", encode(GREY, "JPEG")[:2000], "cut.jpg", "refused", "damaged or truncated"),
    ("empty.png", b"", "empty.png", "refused", "0 bytes"),
    ("deep.png", encode(Image.fromarray(FILM.astype(np.uint16) * 200)), "deep.png", "done", None),
    ("palette.png", encode(GREY.convert("P")), "palette.png", "done", None),
    ("cmyk.jpg", encode(GREY.convert("CMYK"), "JPEG"), "cmyk.jpg", "done", None),
    ("alpha.png", encode(GREY.convert("LA")), "alpha.png", "done", None),
    ("moving.png", encode(GREY, save_all=True, append_images=[GREY.rotate(5)]), "moving.png", "refused", "frames"),
    ("turned.jpg", encode(GREY, "JPEG", exif=TURNED), "turned.jpg", "done", None),
    ("dot.png", encode(Image.new("L", (1, 1))), "dot.png", "refused", "at least 64 x 64"),
    ("bomb.png", bomb(30_000), "bomb.png", "refused", "million"),
    ("blank.png", encode(Image.new("L", (300, 300), 90)), "blank.png", "refused", "blank"),
    ("wrong.dcm", encode(GREY, "JPEG"), "wrong.dcm", "done", None),
    ("../../../etc/passwd", phantom_png(9, 128), "passwd", "done", None),
    ("Thorax-Übersicht 胸部.png", phantom_png(10, 128), "Thorax-Übersicht 胸部.png", "done", None),
    ("n" * 300 + ".png", phantom_png(11, 128), "n" * 254 + "…", "done", None),
    ("good.png", phantom_png(9, 200), "good.png", "done", None),
]


def test_each_line_has_its_own_outcome(tiny_bundle: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    cases = [*CASES, ("holiday.jpg", encode(Image.fromarray(photo), "JPEG"), "holiday.jpg", "refused", "colour photo")]
    with serve(tmp_path / "data", tiny_bundle, {"TORCH_THREADS": "1", "LOG_FORMAT": "json"}) as server:
        study = server.finished(server.upload([(name, data) for name, data, *_ in cases]))
        page = server.get(f"/studies/{study['uid']}").decode()
    for case, instance in zip(cases, study["instances"], strict=True):
        _, _, shown, state, message = case
        assert (instance["file"], instance["state"]) == (shown, state), instance
        assert (instance["error"] is None) == (message is None)
        assert message is None or message in instance["error"]
        assert len(instance["findings"]) == (15 if state == "done" else 0)
    first, again = study["instances"][0], study["instances"][-2]
    assert first["findings"] == again["findings"]
    assert page.count("0 bytes") >= 1
    log = server.log.read_text()  # of web, gunicorn, worker and supervisor
    assert [json.loads(line)["logger"] for line in log.splitlines() if line.startswith("{")].count("gunicorn.error") > 2
    assert [name for name, *_ in cases if name in log] == []
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and p.name in {"passwd", "good.png"}]
    assert outside == []
