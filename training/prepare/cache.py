"""preprocess()'s arrays of a whole data set, decoded once and memory-mapped: N x side x side bytes, no more."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import CONVERTER
from diagnosis_tool.cxr.preprocess import PreprocessSpec, preprocess
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets.base import Issue, IssueKind, Record, read_radiograph
from training.errors import ImagesUnreadable
from training.files import whole_folder

_PIXELS: Final = "pixels.u8"  # rows without a header: their number is known only at the end
_INDEX: Final = "index.json"
_WORKERS: Final = 4  # decoding and resizing release the interpreter's lock


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCache:
    """Decoded images. pixels_NHW: (N, side, side) uint8, memory-mapped read-only; row n belongs to images[n]."""

    pixels_NHW: NDArray[np.uint8]
    images: tuple[str, ...]
    issues: tuple[Issue, ...]

    def rows_of(self, images: Iterable[str]) -> NDArray[np.int64]:
        """The rows of these images, in their order. Raises KeyError for one that was not cached."""
        row = {image: n for n, image in enumerate(self.images)}
        return np.array([row[image] for image in images], dtype=np.int64)


def spec_sha256(spec: PreprocessSpec) -> str:
    """Names a preprocess spec: equal specs, and only those, have equal hashes."""
    return hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode()).hexdigest()


def cached_pixels(
    records: Sequence[Record], spec: PreprocessSpec, folder: Path, *, skip_unreadable: bool = False
) -> PixelCache:
    """The cache of these records under `folder`, built now if it is not there yet.

    Its name holds the hash of the spec and of the files' names, sizes and times: a changed file is read again.
    Raises ImagesUnreadable, naming the images, unless skip_unreadable; TrainingFailed when the disk is full.
    """
    home = folder / f"{spec_sha256(spec)[:12]}-{_files_sha256(records)[:12]}"
    if not (home / _INDEX).is_file():
        with whole_folder(home) as scratch:
            _build(records, spec, scratch)
    cache = _open(home)
    unreadable = [issue for issue in cache.issues if issue.kind is IssueKind.UNREADABLE]
    if unreadable and not skip_unreadable:
        some = "; ".join(f"{issue.image}: {issue.detail}" for issue in unreadable[:5])
        raise ImagesUnreadable(
            f"{len(unreadable)} of {len(records)} images cannot be read: {some}. "
            "Copy them again, or say --skip-unreadable to go on without them."
        )
    return cache


def _files_sha256(records: Sequence[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        stat = record.path.stat()
        digest.update(f"{record.image}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _open(home: Path) -> PixelCache:
    index = json.loads((home / _INDEX).read_text())
    images, side = tuple(index["images"]), int(index["spec"]["size_px"])
    shape = (len(images), side, side)
    # an empty file cannot be mapped
    pixels = np.memmap(home / _PIXELS, np.uint8, "r", shape=shape) if images else np.zeros(shape, np.uint8)
    return PixelCache(pixels_NHW=pixels, images=images, issues=CONVERTER.structure(index["issues"], tuple[Issue, ...]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    record: Record
    pixels_HW: NDArray[np.uint8] | None
    content_sha256: str
    error: str


def _decode(record: Record, spec: PreprocessSpec) -> _Decoded:
    try:
        radiograph = read_radiograph(record.path)
    except (UnreadableInput, UnsupportedImage, OSError) as error:
        return _Decoded(record=record, pixels_HW=None, content_sha256="", error=str(error))
    content = hashlib.sha256(str(radiograph.pixels.shape).encode() + radiograph.pixels.tobytes()).hexdigest()
    return _Decoded(record=record, pixels_HW=preprocess(radiograph, spec), content_sha256=content, error="")


def _build(records: Sequence[Record], spec: PreprocessSpec, scratch: Path) -> None:
    """Writes row after row: a full disk is then an error, where writing through a map would kill the process."""
    images: list[str] = []
    issues: list[Issue] = []
    first_with: dict[str, str] = {}
    with (scratch / _PIXELS).open("wb") as stream:
        for item in _decoded_in_order(records, spec):
            image = item.record.image
            if item.pixels_HW is None:
                issues.append(Issue(kind=IssueKind.UNREADABLE, image=image, detail=item.error))
                continue
            twin = first_with.setdefault(item.content_sha256, image)
            if twin != image:
                issues.append(Issue(kind=IssueKind.DUPLICATE, image=image, detail=f"same pixels as {twin}", twin=twin))
            images.append(image)
            stream.write(item.pixels_HW.tobytes())
    index: dict[str, Any] = {"spec": asdict(spec), "images": images, "issues": [asdict(issue) for issue in issues]}
    (scratch / _INDEX).write_text(json.dumps(index))


def _decoded_in_order(records: Sequence[Record], spec: PreprocessSpec) -> Iterator[_Decoded]:
    waiting: deque[Future[_Decoded]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool, tqdm(total=len(records), unit="image", desc="decoding") as bar:
        for record in records:
            waiting.append(pool.submit(_decode, record, spec))
            if len(waiting) >= 8 * _WORKERS:  # bounds memory: a film at full size has tens of megabytes
                yield waiting.popleft().result()
                bar.update()
        while waiting:
            yield waiting.popleft().result()
            bar.update()
