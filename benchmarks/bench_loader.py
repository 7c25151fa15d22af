"""Claim: the loader gives at least 10 times the images that a ResNet-50 at 224 px learns from on the CPU."""

from dataclasses import replace

from benchmarks import steps
from benchmarks.films import films_of_1024_px
from benchmarks.record import interleaved_medians, record

_IMAGES, _BATCH, _STEP_BATCH = 128, 32, 8


def run() -> None:
    """Cache, gather, flip and rotation, against forward, backward and Adam; both in one process, in turns."""
    spec = replace(steps.recipe().preprocess, size_px=steps.recipe().data.cache_size_px)
    with films_of_1024_px(spec) as films:
        tasks = {
            "load": lambda: steps.load(films.cached, _IMAGES, _BATCH),
            "f32": steps.training_step("resnet50", _STEP_BATCH, bf16=False),
            "bf16": steps.training_step("resnet50", _STEP_BATCH, bf16=True),
        }
        seconds = interleaved_medians(tasks, rounds=7)
    fastest = min(seconds["f32"], seconds["bf16"])
    ratio = (_IMAGES / seconds["load"]) / (_STEP_BATCH / fastest)
    how = f"images/s of loading / of the faster of the f32 and bf16 steps, 224 px, batch 8; {steps.conditions()}"
    record("loader_vs_train_step", ratio, "x", how)
