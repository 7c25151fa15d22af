"""OpenVINO on the CPU: converts a network once, then runs it at two to six times the speed of torch."""

import ctypes
import functools
import os
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from diagnosis_tool.cxr.engines import openvino_quiet  # noqa: F401  before openvino
from diagnosis_tool.cxr.network import ChestNetwork

# isort: split
import openvino

NAME: Final = "openvino"
_MADV_PAGEOUT: Final = 21  # linux/mman.h


class OpenVINOEngine:
    """One stream, one image at a time: on the CPU a batch is slower, and no prediction depends on its neighbours."""

    name = NAME
    batch = 1

    def __init__(self, model: Path, *, precision: str, threads: int) -> None:
        """model: the .xml file that save() wrote. threads: 0 is one a core of this process.

        Raises RuntimeError when OpenVINO cannot read or run it, or runs it in another precision on this machine.
        """
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads or len(os.sched_getaffinity(0))),
            # pinned, the threads of every worker would take the same cores
            "ENABLE_CPU_PINNING": "NO",
        }
        compiled = _core().compile_model(model, "CPU", settings)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if self.precision != precision:
            raise RuntimeError(f"OpenVINO computes in {self.precision} where {precision} was asked for")
        self._request = compiled.create_infer_request()
        _drop_pages_of(model.with_suffix(".bin"))

    def run(self, x_BHW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Preprocessed radiographs (B, H, W) uint8 -> logits (B, K) and feature map (B, C, h, w), float32."""
        pairs = [self._one(np.ascontiguousarray(x_HW)) for x_HW in x_BHW]
        logits, features = zip(*pairs, strict=True)
        return np.concatenate(logits), np.concatenate(features)

    def _one(self, x_HW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._request.infer([x_HW[None]])
        logits_1K, features_1Chw = (self._request.get_output_tensor(k).data.copy() for k in (0, 1))
        return logits_1K, features_1Chw  # copies, for the next image overwrites the request's own


@functools.cache
def _core() -> Any:
    """The one Core of this process, never let go.

    On processors with AMX a Core gives its thread a larger stack for signals, and frees it when it goes. Of two Cores
    that went in the order they came, the second put the first one's back, which was freed by then: the next signal to a
    handler of Python's ended the process with a segmentation fault (docs/results/engines.md).
    """
    return openvino.Core()


def _drop_pages_of(file: Path) -> None:
    """Asks the kernel to take back the memory of a file that is mapped to be read: compiling copied what is needed
    (256 MB of B7).

    MADV_PAGEOUT, and not MADV_DONTNEED: it loses nothing where a page was written to after all, or the address means
    something else by now; with DONTNEED a later fork or garbage collection ended in a segmentation fault. Pages that
    are touched again are read from the file. Without Linux' /proc, or before Linux 5.4, nothing happens.
    """
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    mapped = str(file.resolve())
    for line in lines:
        span, rights, *_ = line.split(maxsplit=2)
        if line.endswith(mapped) and "w" not in rights:
            first, last = (int(text, 16) for text in span.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_PAGEOUT)


def converted(network: ChestNetwork, size_px: int) -> Any:
    """The network as an OpenVINO model, float32: uint8 (1, size_px, size_px) -> logits, feature map.

    For engines.convert, which does it in a process of its own: it silences the root logger where it fails.
    """
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # loads torch's tracer

    shape = [1, size_px, size_px]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it traces: torch has a newer way, and sizes become constants, as is meant
        traced = TorchScriptPythonDecoder(
            network.eval().requires_grad_(False),
            example_input=torch.zeros(shape, dtype=torch.uint8),
            # torch would trace again and compare, most of the time that this takes: the golden inputs judge the engine
            trace_kwargs={"check_trace": False},
        )
        return openvino.convert_model(traced, input=[(shape, openvino.Type.u8)])


def save(model: Any, file: Path) -> None:
    """Writes <file>.xml and its .bin, in full precision."""
    openvino.save_model(model, file, compress_to_fp16=False)


def version() -> str:
    """The version of OpenVINO, with its build."""
    return str(openvino.get_version())


def processor() -> str:
    """What OpenVINO calls this machine's processor, with what it can do."""
    core = _core()
    able = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"{core.get_property('CPU', 'FULL_DEVICE_NAME').strip()} {' '.join(able)}"


def computes(precision: str) -> bool:
    """Whether this processor computes in 'f32' or 'bf16' by its own instructions."""
    name = {"f32": "FP32", "bf16": "BF16"}[precision]
    return name in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
