"""Which runs follow one another on the lent GPU: teachers, the second of B7's two members, then B7 at two sizes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.recipes.config import Recipe
from training.recipes.load import load_recipe

BOXES: Final = "rsna"
"""The folder of RSNA's labels, under `work`."""
_RECIPES: Final = Path(__file__).resolve().parents[1] / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A run and what differs from its recipe. start: start weights; members, teachers: names of earlier runs."""

    run: str
    recipe: str
    settings: tuple[str, ...]
    start: str = ""
    members: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()


_GPU: Final = ("loop.precision=bf16", "loop.batch_size=64")
_OWN_LIMITS: Final = (
    "EfficientNet-B7 by its layout, two MobileNetV2 by its start: no ImageNet weights of B7 were to be had. As "
    "one network it was trained on a lent GPU, for minutes.",
    "Trained on JPEG copies of 256 x 256 px of one hospital's films, most of them of adults; small nodules and "
    "thin pleural lines are lost at that size.",
)
"""What a card must say of a B7 of this chain, in place of what the recipe says of the one trained on a CPU alone."""
_NOT_OURS: Final = (
    "EfficientNet-B7 by its layout",
    "Trained on JPEG copies",
    "Calibration and heatmaps were worked on",
)
"""How these limits of the recipe begin."""
_B7: Final = (
    *_GPU,
    'release.version="2.0"',
    "loop.max_steps=0",
    "optimizer.learning_rate=1e-4",
    "loop.accumulate=1",
    "loop.ema_decay=0.998",
    "loop.stochastic_depth=1.0",
    "boxes.images=8",
)
_TEACHERS: Final = ("mobilenet", "resnet50")
CHAIN: Final = (
    Step(
        run="mobilenet", recipe="nih14-mobilenet_v2", start="mobilenet_v2-imagenet",
        settings=(*_GPU, "preprocess.size_px=225", "loop.epochs=8"),
    ),
    Step(
        run="resnet50", recipe="nih14-resnet_50-teacher", start="resnet50_v1-imagenet",
        settings=(*_GPU, "preprocess.size_px=224", "loop.epochs=8"),
    ),
    Step(
        run="taught", recipe="nih14-mobilenet_v2-taught", start="mobilenet_v2-imagenet", teachers=_TEACHERS,
        settings=(
            *_GPU, "loop.epochs=8", "loop.ema_decay=0.998", "optimizer.learning_rate=4e-4", "start.trained=[]",
            "start.weights=mobilenet_v2-imagenet", "start.head_bias=prior",
        ),
    ),
    Step(
        run="b7", recipe="nih14-efficientnet_b7", members=("mobilenet", "taught"), teachers=_TEACHERS,
        settings=(*_B7, "preprocess.size_px=225", "loop.epochs=8"),
    ),
    Step(
        run="b7-large", recipe="nih14-efficientnet_b7", members=("b7",), teachers=_TEACHERS,
        settings=(*_B7, "preprocess.size_px=289", "loop.epochs=4", "optimizer.learning_rate=5e-5"),
    ),
)  # fmt: skip
"""Sizes and epochs for about 20 minutes of an H200, by what B7 was expected to do there: measure first."""


def recipe_of(step: Step, work: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """The step's recipe with its files under `work`; overrides come last."""
    files = [f"start.file={work / 'start-weights' / step.start}.safetensors"] if step.start else []
    files += [f"start.trained={[str(work / 'runs' / name) for name in step.members]}"] if step.members else []
    files += [f"data.soft_labels={work / 'soft-labels.npz'}"] if step.teachers else []
    file = _RECIPES / f"{step.recipe}.toml"
    recipe = load_recipe(file)
    files += [f"boxes.folder={work / BOXES}"] if recipe.boxes.folder else []
    if recipe.release.limits:
        limits = (*_OWN_LIMITS, *(text for text in recipe.release.limits if not text.startswith(_NOT_OURS)))
        files.append(f"release.limits={json.dumps(limits)}")
    return load_recipe(file, (*files, *step.settings, *overrides))
