"""From a run to a bundle: weights, metadata, golden inputs, card; proven to load before it takes its name."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from diagnosis_tool.cxr.bundle import (
    BUNDLE_FILE,
    CONVERTER,
    SCHEMA_VERSION,
    BundleMetadata,
    EvaluationRecord,
    FileHash,
    Golden,
    GoldenInput,
    PrecisionValidation,
    TrainingRecord,
)
from diagnosis_tool.cxr.classifier import BundleClassifier, load_classifier
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.explanation import ExplanationSpec
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from diagnosis_tool.cxr.preprocess import PreprocessSpec, preprocess
from diagnosis_tool.cxr.types import Radiograph, ViewPosition
from diagnosis_tool.cxr.weights import NoRandomStart
from training.calibrate.fit import Calibrated
from training.datasets.base import Dataset
from training.errors import TrainingFailed
from training.files import whole_folder
from training.phantom import Anatomy, chest_phantom
from training.prepare.splits import split_sha256
from training.provenance import git_commit
from training.recipes.config import Recipe
from training.release.card import model_card
from training.train.run_folder import RunFolder

SHARD_BYTES: Final = 90_000_000  # a repository host refuses files of 100 MB
GOLDEN_TOLERANCE: Final = 0.01
"""Largest allowed difference of a golden logit. Float32 engines on other machines round apart by far less; a wrong
resize, layout or weight moves logits by far more."""
_GOLDEN_PEOPLE: Final = (
    (11, None),
    (12, Anatomy(heart_size=1.35)),
    (13, Anatomy(effusion=0.35, nodule=0.04)),
)
ReleaseMetrics = tuple[tuple[EvaluationRecord, ...], tuple[PrecisionValidation, ...]]
"""What a release finds of its own bundle: evaluations, and precisions that are as good as float32."""


def as_released(name: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor of a run as the bundle stores it: float16, or float32 where a value lies beyond float16's range.

    Raises TrainingFailed when a value is not finite.
    """
    if not value.is_floating_point():
        return value
    if not torch.isfinite(value).all():
        raise TrainingFailed(f"{name} holds values that are not finite: the run diverged. Lower the learning rate.")
    half = value.half()
    # a first layer that sees 0..255 has variances beyond float16's 65504; such a tensor is small and stays float32
    return half if torch.isfinite(half).all() else value.float()


def released_network(run: RunFolder, outputs: int) -> ChestNetwork:
    """The run's best weights as they will be released: rounded to float16 where its range allows, in eval mode.

    Raises TrainingFailed when the weights belong to another network or are not finite.
    """
    recipe = run.recipe()
    with NoRandomStart():
        network = build_network(recipe.network, outputs)
    state = {name: as_released(name, value) for name, value in run.best().items()}
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    except RuntimeError as error:
        raise TrainingFailed(
            f"{run.best_file} is of another architecture than {recipe.network.architecture}: {error}"
        ) from error
    return network.eval()


def release(
    run: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    calibrated: Calibrated,
    target: Path,
    judge: Callable[[BundleClassifier], ReleaseMetrics],
) -> BundleMetadata:
    """Writes the bundle folder `target`, whole or not at all. recipe: the run's, or as release_run has it.

    `judge` is given the very bundle that is being released, read through its classifier; what it finds is then written
    into it. Raises BundleInvalid when the written bundle does not reproduce its own golden logits.
    """
    network = released_network(run, len(dataset.outputs))
    with whole_folder(target) as scratch:
        weights = _write_weights(run, scratch)
        golden = _write_golden(network, recipe.preprocess, scratch)
        metadata = _metadata(run, recipe, dataset, calibrated, weights, golden)
        _write_metadata(metadata, scratch)
        evaluations, admitted = judge(load_classifier(scratch))
        metadata = replace(metadata, evaluations=(*metadata.evaluations, *evaluations), admitted=admitted)
        _write_metadata(metadata, scratch)
        size = sum((scratch / item.file).stat().st_size for item in weights)
        card = model_card(metadata, calibrated.notes, weights_bytes=size)
        (scratch / "MODEL_CARD.md").write_text(card)
        for file in scratch.iterdir():  # whoever serves must read it, whatever the umask and safetensors' own choice
            file.chmod(0o644)
        load_classifier(scratch)
    return metadata


def _write_weights(run: RunFolder, folder: Path) -> tuple[FileHash, ...]:
    state = {name: as_released(name, value).contiguous() for name, value in run.best().items()}
    shards: list[dict[str, torch.Tensor]] = [{}]
    filled = 0
    for name, value in sorted(state.items()):
        size = value.numel() * value.element_size()
        if shards[-1] and filled + size > SHARD_BYTES:
            shards.append({})
            filled = 0
        shards[-1][name] = value
        filled += size
    files = []
    for number, shard in enumerate(shards, start=1):
        name = "weights.safetensors" if len(shards) == 1 else f"weights-{number:02}-of-{len(shards):02}.safetensors"
        save_file(shard, folder / name)
        files.append(_hashed(folder / name))
    return tuple(files)


@cache
def _phantom(seed: int, anatomy: Anatomy | None) -> NDArray[np.uint8] | NDArray[np.uint16]:
    return chest_phantom(seed, anatomy=anatomy)


def _write_golden(network: ChestNetwork, spec: PreprocessSpec, folder: Path) -> Golden:
    engine = TorchEngine(network)
    inputs = []
    for number, (seed, anatomy) in enumerate(_GOLDEN_PEOPLE, start=1):
        x_HW = preprocess(Radiograph(pixels=_phantom(seed, anatomy), source_format="PNG"), spec)
        file = folder / f"golden-{number}.png"
        Image.fromarray(x_HW).save(file, optimize=True)
        logits = tuple(round(float(value), 6) for value in engine.run(x_HW[None])[0][0])
        inputs.append(GoldenInput(file=file.name, sha256=_hashed(file).sha256, logits=logits))
    return Golden(tolerance=GOLDEN_TOLERANCE, inputs=tuple(inputs))


def _hashed(file: Path) -> FileHash:
    with file.open("rb") as stream:
        return FileHash(file=file.name, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def _metadata(
    run: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    calibrated: Calibrated,
    weights: tuple[FileHash, ...],
    golden: Golden,
) -> BundleMetadata:
    info = run.info()
    return BundleMetadata(
        schema_version=SCHEMA_VERSION,
        name=recipe.release.name,
        version=recipe.release.version,
        git_commit=git_commit(),
        outputs=dataset.outputs,
        activation=dataset.activation,
        network=recipe.network,
        preprocess=recipe.preprocess,
        calibration=calibrated.calibration,
        explanation=ExplanationSpec(
            method=recipe.explanation.method,
            mean_maps=(),
            opposite=0.0,
            smoothing_cells=0.0,
            box_threshold=recipe.explanation.box_threshold,
        ),
        operating_points=calibrated.operating_points,
        allowed_views=(ViewPosition.PA, ViewPosition.AP),
        training=TrainingRecord(
            dataset=info.dataset,
            recipe=recipe.name,
            start_weights=info.start_weights,
            seed=recipe.seed,
            epochs=len(run.history()),
            train_images=len(info.train_images),
            train_patients=info.train_patients,
            validation_images=len(info.validation_images),
            validation_patients=info.validation_patients,
            train_split_sha256=split_sha256(info.train_images),
            validation_split_sha256=split_sha256(info.validation_images),
            test_split_sha256=split_sha256(info.test_images),
            limits=recipe.release.limits,
        ),
        evaluations=(calibrated.evaluation,),
        weights=weights,
        golden=golden,
        admitted=(),
    )


def _write_metadata(metadata: BundleMetadata, folder: Path) -> None:
    text = json.dumps(CONVERTER.unstructure(metadata), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / BUNDLE_FILE).write_text(text + "\n", encoding="utf-8")
