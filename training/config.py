"""A training run in one frozen value, read strictly from a TOML recipe: unknown keys are errors."""

import json
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeGuard

from cattrs import Converter
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception, transform_error

from diagnosis_tool.cxr.bundle import CONVERTER
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.preprocess import PreprocessSpec
from training.errors import RecipeInvalid


class Normalise(StrEnum):
    """Where the network's mean and std come from."""

    AS_WRITTEN = "as_written"
    """From [network] of the recipe: those of ImageNet when the start weights were trained with them."""
    TRAINING_SET = "training_set"
    """Of the run's own training images; computed at the start and saved with the run's recipe and its bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which data, and which part of it validates.

    normalise: whether the network's mean and std are those that the recipe writes, or are computed.

    folder: relative to where the command is started. folds: patient-grouped parts of train_val; fold
    `validation_fold` validates. cache_size_px: side of the cached training images, from which crops are taken.
    split_seed: apart from the run's seed, so that runs of several seeds share one split.
    """

    dataset: str
    folder: str
    folds: int
    validation_fold: int
    cache_size_px: int
    split_seed: int = 0
    skip_unreadable: bool = False
    normalise: Normalise = Normalise.AS_WRITTEN


class HeadBias(StrEnum):
    """Where the last layer's bias starts."""

    RANDOM = "random"
    PRIOR = "prior"
    """The logit of each label's share in the training set: the first loss is already that of a sensible guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig:
    """Where the weights come from. weights: 'random', or a name that training.start_weights knows.

    file: the unpacked weights; empty for start-weights/<weights>.safetensors.
    """

    weights: str
    file: str = ""
    head_bias: HeadBias = HeadBias.RANDOM


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Random changes of training images. A pair is a range; the defaults change nothing.

    crop: side of the square that is cut out, as part of the cached side; aspect: its width over its height.
    flip: probability of a left-right flip. rotate_deg: largest angle either way. translate: largest shift along each
    axis, as part of the side. scale: zoom about the centre, above 1 enlarges. brightness: largest shift in grey levels;
    contrast: largest change as a part. What comes into view from outside is black.
    """

    crop: tuple[float, float] = (1.0, 1.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    rotate_deg: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0


class SamplingKind(StrEnum):
    """Which training images an epoch draws; see training.sampling."""

    NONE = "none"
    WEIGHTED = "weighted"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """none: each image once. weighted: with replacement, rarer labels more often. down: as many of each class as the
    rarest has.
    """

    kind: SamplingKind = SamplingKind.NONE


class LossKind(StrEnum):
    """Losses, by their names in training.losses."""

    BCE = "bce"
    WEIGHTED_BCE = "weighted_bce"
    FOCAL = "focal"
    HAMMING = "hamming"
    BP_MLL = "bp_mll"
    CROSS_ENTROPY = "cross_entropy"
    FOCAL_CATEGORICAL = "focal_categorical"


class Balance(StrEnum):
    """A weight that the training set's label counts decide."""

    BALANCED = "balanced"


Weight = float | tuple[float, ...] | Balance
"""One number for all labels, one a label, or 'balanced'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """pos_weight: for bce, weight of a label's presence; 'balanced' is negatives / positives of the training set.

    class_weight: for cross_entropy and focal_categorical; 'balanced' is images / (classes * images of the class).
    label_smoothing: for cross_entropy. focal_gamma and focal_alpha: for focal (alpha 0: none) and focal_categorical
    (gamma only).
    """

    kind: LossKind
    pos_weight: Weight = 1.0
    class_weight: Weight = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    focal_alpha: float = 0.0


class OptimizerKind(StrEnum):
    """Optimizers of torch.optim."""

    ADAMW = "adamw"
    ADAM = "adam"
    SGD = "sgd"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """head_multiplier: learning rate of the head over that of the trunk. Weight decay spares biases and norms (1-D).

    clip_norm: largest gradient norm, 0 for no limit.
    """

    kind: OptimizerKind
    learning_rate: float
    weight_decay: float = 0.0
    head_multiplier: float = 1.0
    momentum: float = 0.9
    nesterov: bool = False
    clip_norm: float = 0.0


class ScheduleKind(StrEnum):
    """How the learning rate changes; see training.optim."""

    CONSTANT = "constant"
    STEP = "step"
    EXPONENTIAL = "exponential"
    COSINE = "cosine"
    ONE_CYCLE = "one_cycle"
    PLATEAU = "plateau"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """warmup: part of all steps over which the rate rises linearly. gamma: factor of step, exponential and plateau.

    step_epochs: epochs between two falls (step). patience: epochs without a better validation loss (plateau).
    """

    kind: ScheduleKind
    warmup: float = 0.0
    gamma: float = 0.1
    step_epochs: int = 1
    patience: int = 1


class Precision(StrEnum):
    """Arithmetic of the training step; validation is always float32."""

    F32 = "f32"
    BF16 = "bf16"


class Select(StrEnum):
    """What the best epoch is chosen by, on validation."""

    MEAN_AUC = "mean_auc"
    LOSS = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """ema_decay: 0 for none; the averaged weights are then validated and kept. accumulate: batches a step.

    early_stop: epochs without a better value of `select` after which the run ends, 0 for never.
    max_steps: ends each epoch early, 0 for never (for trying things out).
    """

    epochs: int
    batch_size: int
    precision: Precision = Precision.F32
    channels_last: bool = True
    ema_decay: float = 0.0
    accumulate: int = 1
    select: Select = Select.MEAN_AUC
    early_stop: int = 0
    max_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """What the released bundle is called, and what its card must say beside the figures."""

    name: str
    version: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a run. The same recipe, data and machine give the same loss curve."""

    name: str
    seed: int
    data: DataConfig
    preprocess: PreprocessSpec
    network: NetworkSpec
    start: StartConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    loop: LoopConfig
    release: ReleaseConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


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

    Raises RecipeInvalid with one line for each thing that is wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeInvalid(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeInvalid(f"{path} is not TOML: {error}.") from error
    for override in overrides:
        _set(data, override)
    return recipe_from(data, str(path))


def recipe_from(data: dict[str, Any], source: str) -> Recipe:
    """A recipe from plain values, strictly. Raises RecipeInvalid, naming `source`."""
    try:
        recipe = _CONVERTER.structure(data, Recipe)
    except ClassValidationError as error:
        lines = transform_error(error, path="recipe", format_exception=_say)
        raise RecipeInvalid(f"{source}: " + "; ".join(lines)) from error
    problems = [text for text, holds in _rules(recipe).items() if not holds] + _unused_loss_keys(recipe.loss)
    if problems:
        raise RecipeInvalid(f"{source}: " + "; ".join(problems) + ".")
    return recipe


def recipe_to_json(recipe: Recipe) -> str:
    """The whole recipe, defaults written out: what is saved with a run."""
    return json.dumps(_CONVERTER.unstructure(recipe), indent=2) + "\n"


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
    }


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
