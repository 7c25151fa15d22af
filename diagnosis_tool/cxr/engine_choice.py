"""Which engine the user wants, in plain values. Torch-free: settings and the command line use it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class EngineChoice(StrEnum):
    """auto: torch on CUDA where there is a GPU, else OpenVINO, else torch. torch: the reference, on the CPU."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class PrecisionChoice(StrEnum):
    """auto: the fastest that the bundle says was proved, else f32. bf16: the same, and says so where it was not."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What to read with. threads: for one image; 0 is one a core that this process may use.

    cache_folder: where converted networks are kept; None converts again every time.
    """

    engine: EngineChoice
    precision: PrecisionChoice
    threads: int
    cache_folder: Path | None


REFERENCE: Final = EngineOptions(engine=EngineChoice.TORCH, precision=PrecisionChoice.F32, threads=0, cache_folder=None)
"""Torch, float32, on the CPU: what bundles are released and judged with."""
