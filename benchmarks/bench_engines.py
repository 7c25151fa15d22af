"""Claim: OpenVINO reads with EfficientNet-B7 at least 2.3 times as fast as eager torch in f32, 3.3 times in bf16."""

from collections.abc import Callable

import torch

from benchmarks import b7
from benchmarks.record import interleaved_medians, record

_SIDE, _LARGE_SIDE, _BATCH = 224, 600, 8
_PEAK_CHANNELS, _PEAK_SIDE = 1024, 64


def run() -> None:
    """Batch 1 at 224 and 600 px, batch 8 at 224 px, and how much of the machine's own peak that is."""
    of_batch_1 = versus_eager(_SIDE, 1, rounds=15)
    shares_of_peak(of_batch_1)
    versus_eager(_SIDE, _BATCH, rounds=3)
    versus_eager(_LARGE_SIDE, 1, rounds=5)


def versus_eager(size_px: int, batch: int, rounds: int) -> dict[str, float]:
    """Records b7_<px>_b<batch>[_bf16]_vs_eager; returns the median seconds of one batch by precision."""
    engines, x_BHW = b7.engines(size_px, batch), b7.films(size_px, batch)
    tasks: dict[str, Callable[[], object]] = {"eager": lambda: engines.eager.run(x_BHW)}
    tasks |= {name: (lambda engine=engine: engine.run(x_BHW)) for name, engine in engines.openvino.items()}
    seconds = interleaved_medians(tasks, rounds)
    for precision in engines.openvino:
        name = f"b7_{size_px}_b{batch}{'' if precision == 'f32' else '_' + precision}_vs_eager"
        how = (
            f"eager torch fp32 NCHW {seconds['eager'] * 1e3:.0f} ms / OpenVINO {precision} "
            f"{seconds[precision] * 1e3:.0f} ms for {batch} images of {size_px} px; {b7.conditions()}"
        )
        record(name, seconds["eager"] / seconds[precision], "x", how)
    return seconds


def shares_of_peak(seconds: dict[str, float]) -> None:
    """Records b7_224[_bf16]_share_of_peak; seconds: of one image by precision."""
    operations = b7.flop(_SIDE)
    for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        if precision in seconds:
            reached, peak = operations / seconds[precision], _peak(dtype)
            name = f"b7_{_SIDE}{'' if precision == 'f32' else '_' + precision}_share_of_peak"
            how = (
                f"{reached / 1e9:.0f} GFLOP/s of {peak / 1e9:.0f} by a oneDNN 1x1 convolution, {precision}; "
                f"{operations / 1e9:.1f} GFLOP an image; {b7.conditions()}"
            )
            record(name, reached / peak, "of peak", how)


def _peak(dtype: torch.dtype) -> float:
    """FLOP/s of the kind of product that a processor does best: 1024 channels to 1024, channels last."""
    convolution = torch.nn.Conv2d(_PEAK_CHANNELS, _PEAK_CHANNELS, 1, bias=False).to(dtype)
    convolution = convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x_BCHW = torch.randn(1, _PEAK_CHANNELS, _PEAK_SIDE, _PEAK_SIDE).to(dtype).to(memory_format=torch.channels_last)
    operations = 2 * _PEAK_CHANNELS**2 * _PEAK_SIDE**2
    with torch.inference_mode():
        return operations / interleaved_medians({"peak": lambda: convolution(x_BCHW)}, rounds=15)["peak"]
