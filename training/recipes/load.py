"""Reads recipes strictly from TOML: unknown and missing keys, impossible values and combinations are errors."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeGuard

from cattrs import Converter
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception, transform_error

from diagnosis_tool.cxr.bundle import CONVERTER
from diagnosis_tool.cxr.calibration import CalibrationMethod
from training.errors import RecipeInvalid
from training.recipes.config import (
    TRAINED,
    AugmentConfig,
    Balance,
    BoxesConfig,
    CalibrationConfig,
    ExplanationConfig,
    HeadBias,
    LossConfig,
    LossKind,
    Normalise,
    OptimizerConfig,
    OptimizerKind,
    Recipe,
    ReleaseConfig,
    SamplingKind,
    ScheduleConfig,
    ScheduleKind,
    Weight,
)


def _converter() -> Converter:
    converter = CONVERTER.copy()
    converter.register_structure_hook_func(lambda kind: kind == Weight, _weight_from)
    converter.register_unstructure_hook_func(
        lambda kind: kind == Weight, lambda value: list(value) if isinstance(value, tuple) else value
    )
    return converter


def _weight_from(value: object, _: object) -> Weight:
    if value == Balance.BALANCED:
        return Balance.BALANCED
    if isinstance(value, list | tuple) and all(_is_number(item) for item in value):
        return tuple(float(item) for item in value)
    if _is_number(value):
        return float(value)
    raise ValueError(f"expected a number, a list of numbers or 'balanced', found {value!r}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CONVERTER: Final = _converter()


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe; each override is 'key.key=value' with the value in TOML (plain words may go without quotes).

    `extends = "other.toml"`, relative to the file, takes all keys of another one that the recipe does not set itself.
    Raises RecipeInvalid with one line for each thing that is wrong.
    """
    data, (_, *extended) = _extended(path, ())
    for override in overrides:
        _set(data, override)
    return recipe_from(data, f"{path} (extends {', '.join(map(str, extended))})" if extended else str(path))


def _extended(path: Path, extending: tuple[Path, ...]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The file's values over those of what it extends, and the files that they are from. extending: what led here."""
    if path.resolve() in (file.resolve() for file in extending):
        raise RecipeInvalid(f"Recipes extend each other: {' -> '.join(map(str, (*extending, path)))}.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        extended = f", which {extending[-1]} extends," if extending else ""
        raise RecipeInvalid(f"{path}{extended} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeInvalid(f"{path} is not TOML: {error}.") from error
    base = data.pop("extends", None)
    if base is None:
        return data, (path,)
    if not isinstance(base, str):
        raise RecipeInvalid(f'{path}: write extends = "other.toml", one file, relative to this one.')
    theirs, files = _extended(path.parent / base, (*extending, path))
    return _merged(theirs, data), (path, *files)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables key by key; a value or a list takes the place of the base's."""
    both = {
        key: _merged(base[key], own[key])
        for key in base.keys() & own.keys()
        if isinstance(base[key], dict) and isinstance(own[key], dict)
    }
    return {**base, **own, **both}


def recipe_from(data: dict[str, Any], source: str) -> Recipe:
    """A recipe from plain values, strictly. Raises RecipeInvalid, naming `source`."""
    try:
        recipe = _CONVERTER.structure(data, Recipe)
    except ClassValidationError as error:
        lines = transform_error(error, path="recipe", format_exception=_say)
        raise RecipeInvalid(f"{source}: " + "; ".join(lines)) from error
    return checked(recipe, source)


_GONE: Final = {
    "loop": ("channels_last", "compile"),
    "calibration": ("weighting", "ap_share", "follow_up_from", "follow_up_shares"),
    "explanation": ("method", "mean_images", "opposite", "smoothing_cells"),  # of the methods one is left, the default
}
"""Keys that older runs have stored and that decide nothing of their weights: such a run is read without them."""


def stored_recipe(data: dict[str, Any], source: str) -> Recipe:
    """The recipe that a run or checkpoint holds, perhaps of an older version. Raises as recipe_from does."""
    tables = {name: dict(table) for name, table in data.items() if isinstance(table, dict)}
    for name, table in tables.items():
        for key in _GONE.get(name, ()):
            table.pop(key, None)
    if tables.get("start", {}).get("blend") == 0:
        del tables["start"]["blend"]
    return recipe_from(data | tables, source)


def checked(recipe: Recipe, source: str) -> Recipe:
    """The recipe itself. Raises RecipeInvalid, naming `source`, when its values do not go together."""
    problems = [text for text, holds in _rules(recipe).items() if not holds] + _unused_loss_keys(recipe.loss)
    if problems:
        raise RecipeInvalid(f"{source}: " + "; ".join(problems) + ".")
    return recipe


def recipe_to_json(recipe: Recipe) -> str:
    """The whole recipe, defaults written out: what is saved with a run."""
    return json.dumps(_CONVERTER.unstructure(recipe), indent=2) + "\n"


def training_part(recipe: Recipe) -> Recipe:
    """All of a recipe that training depends on: name, calibration and explanation of a release may change after it."""
    unset = ReleaseConfig(name="", version="")
    return replace(recipe, release=unset, calibration=CalibrationConfig(), explanation=ExplanationConfig())


def _say(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):  # its text is only the key's name
        return f"missing key {error}"
    return str(error) if isinstance(error, ValueError) else format_exception(error, kind)


def _set(data: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found or not key:
        raise RecipeInvalid(f"--set {override!r}: write key=value, for example loop.epochs=2.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.split(".")
    for name in tables:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise RecipeInvalid(f"--set {override!r}: {name} is a value, not a table.")
    data[last] = value


def _rules(recipe: Recipe) -> dict[str, bool]:
    """What must hold, by what is said when it does not. What a value may be on its own was checked by its type."""
    network, loop = recipe.network, recipe.loop
    given = len(network.mean) == len(network.std) == network.in_channels
    empty = recipe.data.normalise is Normalise.TRAINING_SET and not network.mean and not network.std
    return {
        "loop.epochs, batch_size and accumulate must be at least 1": min(loop.epochs, loop.batch_size, loop.accumulate)
        >= 1,
        "loop.early_stop and max_steps must not be negative": min(loop.early_stop, loop.max_steps) >= 0,
        "start.trained names runs or bundles when start.weights is 'trained', and only then; its head is kept, so "
        "start.head_bias is left out": (recipe.start.weights == TRAINED) == bool(recipe.start.trained)
        and not (recipe.start.trained and recipe.start.head_bias is HeadBias.PRIOR),
        "data.soft_share must lie in (0, 1] with data.soft_labels, and be left out without; both need loss.kind bce "
        "and no sampling": _softens_well(recipe),
        "boxes.weight must be above 0 and boxes.images in 1 .. loop.batch_size with boxes.folder, or be left out; "
        'they need data.dataset = "nih"': _boxes_go(recipe),
        "loop.stochastic_depth must lie in [0, 1]": 0 <= loop.stochastic_depth <= 1,
        "loop.ema_decay must lie in [0, 1)": 0 <= loop.ema_decay < 1,
        "data.validation_fold must lie in 0 .. data.folds - 1": 0 <= recipe.data.validation_fold < recipe.data.folds,
        "preprocess.size_px and data.cache_size_px must be at least 16": min(
            recipe.preprocess.size_px, recipe.data.cache_size_px
        )
        >= 16,
        "network.mean and network.std must have one value for each of network.in_channels (or be empty lists, with "
        'data.normalise = "training_set")': given or empty,
        **_augment_rules(recipe.augment),
        **_optimizer_rules(recipe.optimizer, recipe.schedule),
        **_loss_rules(recipe.loss),
        **_calibration_rules(recipe.calibration),
    }


def _softens_well(recipe: Recipe) -> bool:
    if not recipe.data.soft_labels:
        return recipe.data.soft_share == 0
    plain = recipe.loss.kind is LossKind.BCE and recipe.sampling.kind is SamplingKind.NONE
    return plain and 0 < recipe.data.soft_share <= 1


def _boxes_go(recipe: Recipe) -> bool:
    boxes = recipe.boxes
    if not boxes.folder:
        return boxes == BoxesConfig()
    return boxes.weight > 0 and 1 <= boxes.images <= recipe.loop.batch_size and recipe.data.dataset == "nih"


def _augment_rules(augment: AugmentConfig) -> dict[str, bool]:
    return {
        "augment.crop must be two parts of the side, 0 < low <= high <= 1": 0 < augment.crop[0] <= augment.crop[1] <= 1,
        "augment.aspect and augment.scale must be two factors each, 0 < low <= high": all(
            0 < low <= high for low, high in (augment.aspect, augment.scale)
        ),
        "augment.flip must lie in [0, 1]": 0 <= augment.flip <= 1,
        "augment.translate and augment.contrast must lie in [0, 1)": all(
            0 <= part < 1 for part in (augment.translate, augment.contrast)
        ),
        "augment.rotate_deg and augment.brightness must not be negative": min(augment.rotate_deg, augment.brightness)
        >= 0,
    }


def _calibration_rules(calibration: CalibrationConfig) -> dict[str, bool]:
    return {
        "calibration.method must be platt or temperature": calibration.method is not CalibrationMethod.NONE,
        "calibration.slope_spread must not be negative, and is for method = platt only": calibration.slope_spread == 0
        or (calibration.slope_spread > 0 and calibration.method is CalibrationMethod.PLATT),
    }


def _optimizer_rules(optimizer: OptimizerConfig, schedule: ScheduleConfig) -> dict[str, bool]:
    return {
        "optimizer.learning_rate must be above 0": optimizer.learning_rate > 0,
        "optimizer.nesterov needs kind = sgd and momentum above 0": not optimizer.nesterov
        or (optimizer.kind is OptimizerKind.SGD and optimizer.momentum > 0),
        "schedule.warmup must lie in [0, 1)": 0 <= schedule.warmup < 1,
        "schedule.kind one_cycle rises first: set schedule.warmup above 0, for example to 0.3": schedule.kind
        is not ScheduleKind.ONE_CYCLE
        or schedule.warmup > 0,
        "schedule.gamma must lie in (0, 1], step_epochs and patience must be at least 1 and 0": 0 < schedule.gamma <= 1
        and schedule.step_epochs >= 1
        and schedule.patience >= 0,
    }


def _loss_rules(loss: LossConfig) -> dict[str, bool]:
    weights = [w if isinstance(w, tuple) else (w,) for w in (loss.pos_weight, loss.class_weight)]
    return {
        "loss.pos_weight and loss.class_weight must be above 0": all(
            isinstance(value, Balance) or value > 0 for values in weights for value in values
        ),
        "loss.label_smoothing and loss.focal_alpha must lie in [0, 1)": all(
            0 <= part < 1 for part in (loss.label_smoothing, loss.focal_alpha)
        ),
        "loss.focal_gamma must not be negative": loss.focal_gamma >= 0,
    }


_LOSS_KEYS: Final = {
    LossKind.BCE: {"pos_weight"},
    LossKind.FOCAL: {"focal_gamma", "focal_alpha"},
    LossKind.CROSS_ENTROPY: {"class_weight", "label_smoothing"},
    LossKind.FOCAL_CATEGORICAL: {"class_weight", "focal_gamma"},
}


def _unused_loss_keys(loss: LossConfig) -> list[str]:
    """Keys that were set and that this kind of loss would silently ignore."""
    default = LossConfig(kind=loss.kind)
    used = {"kind", *_LOSS_KEYS.get(loss.kind, ())}
    ignored = [
        name for name in LossConfig.__slots__ if name not in used and getattr(loss, name) != getattr(default, name)
    ]
    return [f"loss.{name} has no effect on loss.kind {loss.kind.value}: leave it out" for name in ignored]
