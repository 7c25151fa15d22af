"""Released models: the metadata in bundle.json, read strictly, and the check that nothing was altered. Torch-free.

A bundle is a folder: bundle.json, weights (safetensors, float16, possibly in shards), MODEL_CARD.md, golden inputs
(8-bit grey PNG at the network's input size). It is the only thing that training hands to serving.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import cattrs
from cattrs.errors import ClassValidationError
from cattrs.v import format_exception, transform_error

from diagnosis_tool.cxr.calibration import Activation, Calibration
from diagnosis_tool.cxr.explanation import ExplanationSpec
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.network_spec import NetworkSpec
from diagnosis_tool.cxr.preprocess import PreprocessSpec
from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.errors import BundleInvalid

SCHEMA_VERSION: Final = 2
BUNDLE_FILE: Final = "bundle.json"
DEFAULT_FILE: Final = "DEFAULT"
_MOST_WORDS: Final = 500
"""Of a message about one thing that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of the model, in the order of its logits."""

    name: str
    kind: OutputKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95% interval (bootstrap by patient)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold on an output's probability, with what it was worth where it was chosen.

    criterion: how it was chosen; 'youden' (largest sensitivity + specificity - 1) is what 'above its operating point'
    means in the tool; 'sensitivity_90' is the highest threshold with a sensitivity of at least 0.90, for who would
    rather look twice than miss something. source: the data it was chosen on.
    """

    output: str
    criterion: str
    threshold: float
    sensitivity: Interval
    specificity: Interval
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Where the weights come from. The hashes are those of the sorted image lists of each split."""

    dataset: str
    recipe: str
    start_weights: str
    seed: int
    epochs: int
    train_images: int
    train_patients: int
    validation_images: int
    validation_patients: int
    train_split_sha256: str
    validation_split_sha256: str
    test_split_sha256: str
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Localisation:
    """Where the heatmaps point against readers' boxes; each figure by finding, and as their 'mean'.

    boxes: how many were judged. box_threshold: part of a map's maximum above which its region was taken.
    pointing: share of boxes that hold the heatmap's maximum. iou: by T, share of boxes whose intersection over union
    with the box around the region is T or more (Wang et al. 2017). …_blind: of a location prior that never looks at the
    image, how often other patients' boxes of the finding cover each place.
    """

    boxes: dict[str, int]
    box_threshold: float
    pointing: dict[str, float]
    pointing_blind: dict[str, float]
    iou: dict[str, dict[str, float]]
    iou_blind: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """What a bundle keeps of an evaluation. auc has None for an output without positives or without negatives;
    mean_auc is over the findings that have one. mean_ece: expected calibration error, 15 equal-mass bins, mean over
    findings. localisation: None where the data set has no boxes.
    """

    dataset: str
    split: str
    images: int
    patients: int
    mean_auc: Interval
    auc: dict[str, Interval | None]
    mean_ece: float
    localisation: Localisation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHash:
    """A file of the bundle by its name (no folders) and sha256."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenInput:
    """A radiograph already at the network's input size, and the logits that the released weights gave for it."""

    file: str
    sha256: str
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The self-test: every engine must reproduce these logits within `tolerance` (absolute) before it is used."""

    tolerance: float
    inputs: tuple[GoldenInput, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionValidation:
    """Proof that an engine may read in less than float32: both read the same images, float32 torch was the reference.

    engine, precision: as in a prediction's row. mean_abs_dp: mean absolute difference of probabilities, over images and
    outputs. calls_changed: part of all calls at operating points that came out otherwise. auc_moved: absolute
    difference of the findings' mean AUC. images: how many were read. source: which, and on which processor.
    golden_tolerance: largest difference of a golden logit (absolute) on the user's machine.
    """

    engine: str
    precision: str
    mean_abs_dp: float
    calls_changed: float
    auc_moved: float
    images: int
    source: str
    golden_tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleMetadata:
    """All of bundle.json. Unknown and missing keys are both errors, at every level."""

    schema_version: int
    name: str
    version: str
    git_commit: str
    outputs: tuple[Output, ...]
    activation: Activation
    network: NetworkSpec
    preprocess: PreprocessSpec
    calibration: Calibration
    explanation: ExplanationSpec
    operating_points: tuple[OperatingPoint, ...]
    allowed_views: tuple[ViewPosition, ...]
    training: TrainingRecord
    evaluations: tuple[EvaluationRecord, ...]
    weights: tuple[FileHash, ...]
    golden: Golden
    admitted: tuple[PrecisionValidation, ...]

    def threshold(self, output: str) -> float | None:
        """The output's operating point by Youden's criterion, None where the bundle has none."""
        for point in self.operating_points:
            if point.output == output and point.criterion == "youden":
                return point.threshold
        return None

    def golden_tolerance(self, engine: str, precision: str) -> float:
        """How far a golden logit may be off: wider only where this engine was admitted in this precision."""
        for proof in self.admitted:
            if (proof.engine, proof.precision) == (engine, precision):
                return proof.golden_tolerance
        return self.golden.tolerance


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=False)
    for plain in (str, bool, int):
        converter.register_structure_hook(plain, _exactly(plain))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))  # else the hook of str would take it
    return converter


def _exactly(kind: type) -> Any:  # cattrs hooks are untyped
    def structure(value: object, _: type) -> object:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}, found {value!r}")
        return value

    return structure


def _number(value: object, _: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {value!r}")  # noqa: TRY004  cattrs gathers ValueErrors
    return float(value)


CONVERTER: Final = _converter()
"""Strict: no key may be missing or unknown, no value is coerced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk whose metadata was read and whose files are all there and unaltered."""

    path: Path
    metadata: BundleMetadata
    sha256: str
    """Of bundle.json, which holds the hashes of all other files that matter."""


def open_bundle(path: Path) -> Bundle:
    """Reads bundle.json and checks every file it names against its sha256.

    Raises BundleInvalid, naming the key or file, when anything is missing, unknown, altered or inconsistent.
    """
    metadata_file = path / BUNDLE_FILE
    try:
        raw = metadata_file.read_bytes()
    except OSError as error:
        raise BundleInvalid(f"{metadata_file} cannot be read: {error.strerror}. Is this a bundle folder?") from error
    metadata = parse_metadata(raw)
    files = [(w.file, w.sha256) for w in metadata.weights] + [(g.file, g.sha256) for g in metadata.golden.inputs]
    for name, digest in files:
        _check_file(path, name, digest)
    return Bundle(path=path, metadata=metadata, sha256=hashlib.sha256(raw).hexdigest())


def parse_metadata(raw: bytes) -> BundleMetadata:
    """bundle.json's bytes to values; raises BundleInvalid with one line for each thing that is wrong."""
    try:
        data = json.loads(raw, parse_constant=_no_number, parse_float=_finite)
        json.dumps(data, ensure_ascii=False).encode()  # no halves of characters: no page and no terminal shows them
    except ValueError as error:
        raise BundleInvalid(_cut(f"bundle.json is not JSON: {error}.")) from error
    except RecursionError as error:
        raise BundleInvalid("bundle.json is not one of ours: it is nested too deeply.") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        found = _cut(repr(version))
        raise BundleInvalid(f"bundle.json has schema_version {found}; this release reads {SCHEMA_VERSION}.")
    try:
        metadata = CONVERTER.structure(data, BundleMetadata)
    except ClassValidationError as error:
        lines = transform_error(error, path="bundle.json", format_exception=_say)
        raise BundleInvalid(_cut("; ".join(_cut(line) for line in lines), 10 * _MOST_WORDS)) from error
    _check_consistency(metadata)
    return metadata


def _cut(words: str, most: int = _MOST_WORDS) -> str:
    """A message may quote what stands in the file, and that may be long."""
    return words if len(words) <= most else f"{words[:most]}…"


def _finite(text: str) -> float:
    number = float(text)  # 1e400 is infinity to Python: as a tolerance it would let every golden output pass
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")  # nor would NaN fail any


def _say(error: BaseException, kind: type | None) -> str:
    # KeyError's text is only the key's name
    return f"missing key {error}" if isinstance(error, KeyError) else format_exception(error, kind)


def _check_consistency(metadata: BundleMetadata) -> None:
    names = [output.name for output in metadata.outputs]
    problems = []
    if not names or len(set(names)) != len(names):
        problems.append("outputs must be one or more different names")
    for key in ("slope", "intercept"):
        if len(getattr(metadata.calibration, key)) != len(names):
            problems.append(f"calibration.{key} must have one value an output")
    problems += [
        f"operating point for unknown output {p.output}" for p in metadata.operating_points if p.output not in names
    ]
    problems += [
        f"golden {g.file} must have one logit an output" for g in metadata.golden.inputs if len(g.logits) != len(names)
    ]
    problems += metadata.explanation.problems()
    if metadata.network.input_px not in (0, metadata.preprocess.size_px):
        problems.append("network.input_px must be preprocess.size_px, or 0 for a network that takes any size")
    if not metadata.golden.inputs:
        problems.append("golden.inputs is empty: the bundle could not be checked on the machine that uses it")
    if not metadata.weights:
        problems.append("weights is empty")
    if problems:
        raise BundleInvalid(_cut("bundle.json: " + "; ".join(map(_cut, problems)), 10 * _MOST_WORDS) + ".")


def _check_file(folder: Path, name: str, sha256: str) -> None:
    if Path(name).name != name or "\0" in name:
        raise BundleInvalid(f"bundle.json names {_cut(name)!r}: files must lie in the bundle folder itself.")
    file = folder / name
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleInvalid(_cut(f"{file} cannot be read: {error.strerror}. Copy the bundle again.")) from error
    if found != sha256:
        raise BundleInvalid(
            f"{file} was altered or damaged (sha256 {found[:12]}…, released {sha256[:12]}…). Copy it again."
        )


def resolve_bundle(models: Path, name: str) -> Path:
    """The folder of a bundle: 'default' (named by models/DEFAULT), a name in `models`, or a path as it is.

    Raises BundleInvalid when there is none.
    """
    if name == "default":
        try:
            name = (models / DEFAULT_FILE).read_text().strip()
        except (OSError, ValueError) as error:  # ValueError: it is no text
            raise BundleInvalid(f"{models / DEFAULT_FILE} cannot be read: name a bundle folder instead.") from error
    for candidate in (models / name, Path(name)):
        if os.path.isfile(candidate / BUNDLE_FILE):  # Path.is_file raises for a name that is too long
            return candidate
    raise BundleInvalid(f"No bundle {name!r}: neither {models / name} nor {Path(name)} holds a {BUNDLE_FILE}.")
