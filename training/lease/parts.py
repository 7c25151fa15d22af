"""What travels to a lent machine and back: tars that are small enough, float16 weights in parts."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save

from training.errors import DatasetInvalid
from training.files import write_whole
from training.lease.chain import BOXES
from training.prepare.boxes import BOX_TABLES
from training.release.write_bundle import as_released
from training.train.run_folder import RunFolder

PART_BYTES: Final = 15 * 2**20
TAR_BYTES: Final = 56 * 2**20
"""Leaves room for the checkout and the wheels in one call of 64 MiB."""
_STARTS: Final = ("mobilenet_v2-imagenet", "resnet50_v1-imagenet")


def packed_tars(data: Path, boxes: Path, start_weights: Path, out: Path) -> list[Path]:
    """Tars of the data set's folder, of RSNA's labels and of the start weights (as float16), each below TAR_BYTES.

    Raises DatasetInvalid when `boxes` lacks a table: there it would be missed after hours of lent time.
    """
    if absent := [name for name in BOX_TABLES if not (boxes / name).is_file()]:
        raise DatasetInvalid(f"{boxes} has no {' and no '.join(absent)}: --boxes is RSNA's folder.")
    files = sorted(path for path in data.rglob("*") if path.is_file())
    items = [(f"{data.name}/{file.relative_to(data)}", file.read_bytes()) for file in files]
    items += [(f"{BOXES}/{name}", (boxes / name).read_bytes()) for name in BOX_TABLES]
    items += [
        (f"start-weights/{name}.safetensors", halved(load_file(start_weights / f"{name}.safetensors")))
        for name in _STARTS
    ]
    out.mkdir(parents=True, exist_ok=True)
    tars = {out / f"carry-{n}.tar": group for n, group in enumerate(_groups(items, TAR_BYTES), start=1)}
    for file, group in tars.items():
        write_whole(file, _tar_bytes(group))
    return list(tars)


def halved(state: dict[str, torch.Tensor]) -> bytes:
    """A safetensors file of the weights as bundles store them. Raises TrainingFailed as as_released does."""
    return save({name: as_released(name, value) for name, value in state.items()})


def pack(run: RunFolder, out: Path, first: int, count: int) -> list[Path]:
    """Writes parts first .. first + count - 1 of the run's tar (float16 best weights, recipe, metrics) into `out`.

    At home: `cat NAME.tar.* | tar x`; the folder is then a run that `calibrate` and `release` take.
    """
    files = [run.recipe_file, run.info_file, run.history_file, run.validation_file]
    items = [(f"{run.path.name}/{file.name}", file.read_bytes()) for file in files]
    items.append((f"{run.path.name}/{run.best_file.name}", halved(run.best())))
    whole = _tar_bytes(items)
    numbers = range(first, min(first + count, -(-len(whole) // PART_BYTES)))
    out.mkdir(parents=True, exist_ok=True)
    parts = [out / f"{run.path.name}.tar.{number:02d}" for number in numbers]
    for number, part in zip(numbers, parts, strict=True):
        write_whole(part, whole[number * PART_BYTES : (number + 1) * PART_BYTES])
    return parts


def _groups(items: Iterable[tuple[str, bytes]], limit: int) -> list[list[tuple[str, bytes]]]:
    groups: list[list[tuple[str, bytes]]] = [[]]
    size = 0
    for name, data in items:
        padded = len(data) + 1536  # tar's header, and the padding behind
        if groups[-1] and size + padded > limit:
            groups.append([])
            size = 0
        groups[-1].append((name, data))
        size += padded
    return groups


def _tar_bytes(items: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
