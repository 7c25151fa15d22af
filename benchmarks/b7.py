"""EfficientNet-B7 with random weights under several engines, for the claims on reading."""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from diagnosis_tool.cxr.engines import Engine, TorchEngine
from diagnosis_tool.cxr.engines import openvino_engine as ov
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from testing.bundles import network_spec, settle_statistics
from training.phantom import chest_phantom

OUTPUTS = 15
_SETTLE_PX = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The same network, as many threads: eager torch (float32, NCHW, whole batches) and OpenVINO by precision."""

    eager: Engine
    openvino: dict[str, Engine]


@cache
def network() -> ChestNetwork:
    """15 outputs; its BatchNorm has seen phantoms, else values vanish and are computed at another speed."""
    torch.manual_seed(0)
    made = build_network(network_spec("efficientnet_b7"), OUTPUTS)
    settle_statistics(made, torch.from_numpy(films(_SETTLE_PX, 2)))
    return made.requires_grad_(False)


def films(size_px: int, count: int) -> NDArray[np.uint8]:
    """So many phantoms, (count, size_px, size_px)."""
    return np.stack([chest_phantom(seed=k, height_px=size_px, width_px=size_px) for k in range(count)])


_scratch: Final = tempfile.TemporaryDirectory()


@cache
def _model(size_px: int) -> Path:
    file = Path(_scratch.name) / f"{size_px}.xml"
    ov.save(ov.converted(network(), size_px), file)
    return file


def engines(size_px: int, batch: int = 1) -> Engines:
    """For input of this size. OpenVINO in every precision that the processor computes in, one image at a time."""
    threads = torch.get_num_threads()
    return Engines(
        eager=TorchEngine(network(), batch=batch),
        openvino={
            precision: ov.OpenVINOEngine(_model(size_px), precision=precision, threads=threads)
            for precision in ("f32", "bf16")
            if ov.computes(precision)
        },
    )


def flop(size_px: int) -> int:
    """Floating-point operations of one forward pass; a multiplication with its addition counts as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network()(torch.zeros(1, size_px, size_px))
    return int(counter.get_total_flops())


def conditions() -> str:
    """On what it was measured, for the record."""
    return f"B7, random weights, {torch.get_num_threads()} threads, {ov.processor()}"
