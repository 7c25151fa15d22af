"""Chooses the fastest engine that computes what the bundle was released with, on this machine."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import torch

from diagnosis_tool.cxr.bundle import Bundle
from diagnosis_tool.cxr.engine_choice import EngineChoice, EngineOptions, PrecisionChoice
from diagnosis_tool.cxr.engines import convert
from diagnosis_tool.cxr.engines.openvino_cache import MODEL_FILE, cache_key, cached_model
from diagnosis_tool.cxr.engines.protocol import Engine
from diagnosis_tool.cxr.engines.torch_engine import CUDA_BATCH, CUDA_NAME, TorchEngine
from diagnosis_tool.cxr.golden import verify_golden
from diagnosis_tool.cxr.weights import load_network
from diagnosis_tool.errors import DiagnosisToolError

_log = logging.getLogger(__name__)
_OPENVINO: Final = "openvino"  # the module that knows it is imported only where it is tried

Say = Callable[[str], None]
"""Told, in a few words, what loading is doing."""
_Make = Callable[[], Engine]


def choose_engine(bundle: Bundle, options: EngineOptions, say: Say) -> Engine:
    """The first of the wanted engines that can be made and that the golden inputs prove; at last torch, float32, CPU.

    Each engine that could not be used is a logged warning. Raises BundleInvalid when the reference itself fails.
    """
    for name, make in _wanted(bundle, options, say):
        say(f"starting {name}")
        try:
            engine = make()
            verify_golden(bundle, engine)
        except (DiagnosisToolError, ImportError, OSError, RuntimeError) as error:
            _log.warning("%s cannot be used here, a slower engine is tried: %s", name, error)
            continue
        return engine
    say("starting torch f32")
    reference = TorchEngine(load_network(bundle))
    verify_golden(bundle, reference)
    return reference


def _wanted(bundle: Bundle, options: EngineOptions, say: Say) -> Iterator[tuple[str, _Make]]:
    if options.engine is EngineChoice.AUTO and torch.cuda.is_available():
        for precision in _precisions(bundle, options, CUDA_NAME):
            yield f"{CUDA_NAME} {precision}", lambda p=precision: _cuda(bundle, p)  # type: ignore[misc]
    if options.engine is not EngineChoice.TORCH:
        for precision in _precisions(bundle, options, _OPENVINO):
            yield f"{_OPENVINO} {precision}", lambda p=precision: _openvino(bundle, options, p, say)  # type: ignore[misc]


def _precisions(bundle: Bundle, options: EngineOptions, engine: str) -> tuple[str, ...]:
    """What was proved at release, then f32."""
    proved = tuple(a.precision for a in bundle.metadata.admitted if a.engine == engine)
    if options.precision is PrecisionChoice.F32:
        return ("f32",)
    if options.precision is PrecisionChoice.BF16:
        proved = tuple(precision for precision in proved if precision == "bf16")
        if not proved:
            _log.warning("bf16 was not proved for this bundle with %s: f32 is used", engine)
    return (*proved, "f32")


def _cuda(bundle: Bundle, precision: str) -> Engine:
    return TorchEngine(load_network(bundle), device="cuda", precision=precision, batch=CUDA_BATCH)


def _openvino(bundle: Bundle, options: EngineOptions, precision: str, say: Say) -> Engine:
    from diagnosis_tool.cxr.engines import openvino_engine as ov

    if not ov.computes(precision):
        raise RuntimeError(f"this processor has no instructions for {precision}")

    def write(file: Path) -> None:
        say("converting the network, once for this machine")
        convert.convert_bundle(bundle.path, file)

    def start(file: Path) -> Engine:
        return ov.OpenVINOEngine(file, precision=precision, threads=options.threads)

    if options.cache_folder is not None:
        key = cache_key(bundle.sha256, ov.version(), ov.processor())
        try:
            return start(cached_model(options.cache_folder, key, write))
        except OSError as error:
            _log.warning("the converted network cannot be kept, so every start converts it again: %s", error)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / MODEL_FILE
        write(file)
        return start(file)
