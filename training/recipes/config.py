"""A training run in one frozen value; training.recipes.load reads it from TOML."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.calibration import CalibrationMethod
from diagnosis_tool.cxr.explanation import Explanation
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.preprocess import PreprocessSpec


class Normalise(StrEnum):
    """Where the network's mean and std come from."""

    AS_WRITTEN = "as_written"
    """From [network] of the recipe: those of ImageNet when the start weights were trained with them."""
    TRAINING_SET = "training_set"
    """Of the run's own training images; computed at the start and saved with the run's recipe and its bundle."""


NIH_REFERENCES: Final = ("../shared/data/nih-256", "../shared/data/rsna")
"""Where the lists lie beside a checkout, as in the recipes' data.folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which data, and which part of it validates.

    normalise: whether the network's mean and std are those that the recipe writes, or are computed.

    folder: relative to where the command is started. folds: patient-grouped parts of train_val; fold
    `validation_fold` validates. cache_size_px: side of the cached training images, from which crops are taken.
    split_seed: apart from the run's seed, so that runs of several seeds share one split.
    published_validation: where the data set comes with a validation split, that one validates; false (cross-validate
    says so): it is divided into the folds with the rest.
    nih_references: folders where NIH's test_list.txt and RSNA's nih_source.csv are looked for when the data's folder
    has none; without_nih_lists: train where they are nowhere (training.datasets.leakage).
    soft_labels: probabilities by `teach` that are mixed into the training labels, with the share `soft_share`.
    """

    dataset: str
    folder: str
    folds: int
    validation_fold: int
    cache_size_px: int
    split_seed: int = 0
    skip_unreadable: bool = False
    normalise: Normalise = Normalise.AS_WRITTEN
    nih_references: tuple[str, ...] = NIH_REFERENCES
    without_nih_lists: bool = False
    published_validation: bool = True
    soft_labels: str = ""
    soft_share: float = 0.0

    @property
    def references(self) -> tuple[Path, ...]:
        """nih_references as paths."""
        return tuple(Path(folder) for folder in self.nih_references)


class HeadBias(StrEnum):
    """Where the last layer's bias starts."""

    RANDOM = "random"
    PRIOR = "prior"
    """The logit of each label's share in the training set: the first loss is already that of a sensible guess."""


TRAINED: Final = "trained"
"""In start.weights: start from what an earlier run learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig:
    """Where the weights come from. weights: 'random', 'trained', or a name that training.start_weights knows.

    trained: with weights = 'trained', folders of runs or bundles: one of this network, or smaller ones that it can
    grow from (training.train.warm_start). file: unpacked weights; empty for start-weights/<weights>.safetensors.
    """

    weights: str
    file: str = ""
    trained: tuple[str, ...] = ()
    head_bias: HeadBias = HeadBias.RANDOM


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeConfig:
    """What does not learn. names: modules or parameters of the network, always; 'features' leaves the head alone.

    stages: pairs (epoch from 0, how many of the backbone's first stages are frozen from then on).
    """

    names: tuple[str, ...] = ()
    stages: tuple[tuple[int, int], ...] = ()


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
    """Which training images an epoch draws; see training.train.sampling."""

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
    """Losses, by their names in training.train.losses."""

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
    """head_multiplier: learning rate of the head over that of the backbone. Weight decay spares biases and norms (1-D).

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
    """How the learning rate changes; see training.train.optim."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """ema_decay: 0 for none; the averaged weights are then validated and kept. accumulate: batches a step.

    batch_size: of all processes together, where torchrun starts several. select: the metric on validation that the best
    epoch is chosen by: mean_auc, loss, accuracy, f1, or auc:NAME, accuracy:NAME, f1:NAME of one output.
    early_stop: epochs without a better value of `select` after which the run ends, 0 for never.
    max_steps: ends each epoch early, 0 for never. stochastic_depth: how often residual blocks are left out, as a part
    of the architecture's own probability (training.train.freeze); 0 for short runs.
    """

    epochs: int
    batch_size: int
    precision: Precision = Precision.F32
    ema_decay: float = 0.0
    accumulate: int = 1
    select: str = "mean_auc"
    early_stop: int = 0
    max_steps: int = 0
    stochastic_depth: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxesConfig:
    """Readers' boxes that supervise where the network looks (training.prepare.boxes); none without a folder.

    folder: of RSNA's labels, whose films the data set must hold. weight: of the loss on the maps; that on the labels
    counts 1. images: films with boxes in each batch, in the place of as many others.
    """

    folder: str = ""
    weight: float = 0.0
    images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationConfig:
    """How logits become probabilities after training; nothing here changes what is trained.

    method: platt or temperature, of independent outputs; exclusive classes always get one temperature.
    slope_spread: how far Platt's slopes are expected to lie from their mean, as a part of it (training.calibrate.fit's
    fit_platt_together); 0 leaves each finding's slope free.
    """

    method: CalibrationMethod = CalibrationMethod.PLATT
    slope_spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """What the released bundle is called, and what its card must say beside the metrics."""

    name: str
    version: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationConfig:
    """How the bundle explains an answer: the method, and the part of a map's maximum above which its region lies."""

    method: Explanation = Explanation.GRADCAM
    box_threshold: float = 0.5


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
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    explanation: ExplanationConfig = field(default_factory=ExplanationConfig)
