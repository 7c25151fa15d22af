"""A training run in one frozen value, read strictly from a TOML recipe: unknown keys are errors."""

import json
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cattrs.errors import ClassValidationError
from cattrs.v import format_exception, transform_error

from diagnosis_tool.cxr.bundle import CONVERTER
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.preprocess import PreprocessSpec
from training.errors import RecipeInvalid

NIH_REFERENCES: Final = ("../shared/data/nih-256", "../shared/data/rsna")
"""Where the lists lie beside a checkout, as in the recipes' data.folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which data, and which part of it validates.

    folder: relative to where the command is started. folds: patient-grouped parts of train_val; fold
    `validation_fold` validates. cache_size_px: side of the cached training images, from which crops are taken.
    split_seed: apart from the run's seed, so that runs of several seeds share one split.
    nih_references: folders where NIH's test_list.txt and RSNA's nih_source.csv are looked for when the data's folder
    has none; without_nih_lists: train where they are nowhere (training.datasets.leakage).
    """

    dataset: str
    folder: str
    folds: int
    validation_fold: int
    cache_size_px: int
    split_seed: int = 0
    skip_unreadable: bool = False
    nih_references: tuple[str, ...] = NIH_REFERENCES
    without_nih_lists: bool = False

    @property
    def references(self) -> tuple[Path, ...]:
        """nih_references as paths."""
        return tuple(Path(folder) for folder in self.nih_references)


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

    crop: side of the square that is cut out, as part of the cached side. flip: probability of a left-right flip.
    rotate_deg: largest angle either way. brightness: largest shift in grey levels; contrast: largest change as a part.
    """

    crop: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    rotate_deg: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0


class LossKind(StrEnum):
    """Losses, by their names in training.losses."""

    BCE = "bce"
    CROSS_ENTROPY = "cross_entropy"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """pos_weight: for bce, one a label, one for all, or none; label_smoothing: for cross_entropy."""

    kind: LossKind
    pos_weight: tuple[float, ...] = ()
    label_smoothing: float = 0.0


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
        recipe = CONVERTER.structure(data, Recipe)
    except ClassValidationError as error:
        lines = transform_error(error, path="recipe", format_exception=_say)
        raise RecipeInvalid(f"{source}: " + "; ".join(lines)) from error
    problems = _problems(recipe)
    if problems:
        raise RecipeInvalid(f"{source}: " + "; ".join(problems) + ".")
    return recipe


def recipe_to_json(recipe: Recipe) -> str:
    """The whole recipe, defaults written out: what is saved with a run."""
    return json.dumps(CONVERTER.unstructure(recipe), indent=2) + "\n"


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


def _problems(recipe: Recipe) -> list[str]:
    """What each value may be on its own was checked by its type; this is about ranges."""
    low, high = recipe.augment.crop
    checks = {
        "loop.epochs, batch_size and accumulate must be at least 1": min(
            recipe.loop.epochs, recipe.loop.batch_size, recipe.loop.accumulate
        )
        >= 1,
        "loop.ema_decay must lie in [0, 1)": 0 <= recipe.loop.ema_decay < 1,
        "augment.crop must be two parts of the side, 0 < low <= high <= 1": 0 < low <= high <= 1,
        "augment.flip must lie in [0, 1]": 0 <= recipe.augment.flip <= 1,
        "optimizer.learning_rate must be above 0": recipe.optimizer.learning_rate > 0,
        "schedule.warmup must lie in [0, 1)": 0 <= recipe.schedule.warmup < 1,
        "data.validation_fold must lie in 0 .. data.folds - 1": 0 <= recipe.data.validation_fold < recipe.data.folds,
        "preprocess.size_px and data.cache_size_px must be at least 16": min(
            recipe.preprocess.size_px, recipe.data.cache_size_px
        )
        >= 16,
    }
    return [text for text, holds in checks.items() if not holds]
