"""Judges predictions, and a bundle through the very Classifier that the worker uses; nothing is fitted."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import (
    CONVERTER,
    BundleMetadata,
    EvaluationRecord,
    Interval,
    Localisation,
    OperatingPoint,
    Output,
)
from diagnosis_tool.cxr.findings import NO_FINDING, OutputKind
from diagnosis_tool.cxr.types import Classifier
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets.base import AnnotatedBox, Dataset, Record, labels_NK, read_radiograph
from training.errors import DatasetInvalid
from training.evaluate.localise import localisation, locate
from training.evaluate.metrics import (
    auc_with_replicates,
    average_precision,
    average_precision_replicates,
    expected_calibration_error,
    in_words,
    mean_defined,
    mean_with_interval,
    patient_weights,
    per_output,
    with_interval,
)
from training.evaluate.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An image that the classifier would not read, and why."""

    image: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A judged run. Dicts are by output; what is not defined or not known is None or left out, never a number.

    Intervals are of patients drawn with replacement; their ends are NaN where only the value was kept. Means are over
    the findings (No Finding apart). ece: 15 bins of equal mass. images: that were read. bundle to missing,
    images_per_s (decoding, reading and heatmaps) and localisation (None without boxes): of a bundle that read them.
    """

    bundle: str = ""
    bundle_sha256: str = ""
    engine: str = ""
    precision: str = ""
    dataset: str
    split: str
    images: int | None
    patients: int | None
    refused: tuple[Refused, ...] = ()
    missing: tuple[str, ...] = ()
    kinds: dict[str, OutputKind]
    positives: dict[str, int]
    mean_auc: Interval | None
    auc: dict[str, Interval | None]
    mean_auprc: Interval | None
    auprc: dict[str, Interval | None]
    mean_ece: float | None
    ece: dict[str, float | None]
    localisation: Localisation | None = None
    images_per_s: float | None = None

    @property
    def findings(self) -> tuple[str, ...]:
        """The outputs that are findings."""
        return tuple(name for name, kind in self.kinds.items() if kind is OutputKind.FINDING)


def judge(predictions: Predictions) -> Evaluation:
    """All metrics that need no operating point."""
    scores_NK, labels_NK, names = predictions.scores_NK, predictions.labels_NK, predictions.names
    weights_RN = patient_weights(predictions.patients)
    auc_K, auc_RK = auc_with_replicates(scores_NK, labels_NK, weights_RN)
    auprc_K = per_output(average_precision, scores_NK, labels_NK)
    auprc_RK = average_precision_replicates(scores_NK, labels_NK, weights_RN)
    ece_K = per_output(expected_calibration_error, scores_NK, labels_NK)
    found = predictions.findings
    return Evaluation(
        dataset=predictions.dataset,
        split=predictions.split,
        images=len(predictions.images),
        patients=len(set(predictions.patients)),
        kinds={output.name: output.kind for output in predictions.outputs},
        positives={name: int(labels_NK[:, k].sum()) for k, name in enumerate(names)},
        mean_auc=mean_with_interval([auc_K[k] for k in found], auc_RK[:, found]),
        auc={name: with_interval(auc_K[k], auc_RK[:, k]) for k, name in enumerate(names)},
        mean_auprc=mean_with_interval([auprc_K[k] for k in found], auprc_RK[:, found]),
        auprc={name: with_interval(auprc_K[k], auprc_RK[:, k]) for k, name in enumerate(names)},
        mean_ece=mean_defined([ece_K[k] for k in found]),
        ece=dict(zip(names, ece_K, strict=True)),
    )


def evaluate(
    classifier: Classifier,
    metadata: BundleMetadata,
    dataset: Dataset,
    records: Sequence[Record],
    split: str,
    *,
    boxes: Sequence[AnnotatedBox] = (),
) -> tuple[Evaluation, Predictions]:
    """Reads every record once, and judges what the bundle predicts for the outputs that the data set labels.

    Raises DatasetInvalid when there are no images or no such outputs.
    """
    if not records:
        raise DatasetInvalid("There is no image to evaluate: look into the split lists and the files.")
    boxed: dict[str, list[AnnotatedBox]] = {}
    for box in boxes:
        boxed.setdefault(box.image, []).append(box)
    read, rows, located, refused = [], [], [], []
    started = time.perf_counter()
    for record in tqdm(records, unit="image", desc="reading"):
        try:
            outputs = classifier.predict(read_radiograph(record.path)).outputs
        except (UnreadableInput, UnsupportedImage, OSError) as error:
            refused.append(Refused(image=record.image, reason=str(error)))
            continue
        read.append(record)
        rows.append([output.probability for output in outputs])
        maps = {output.name: output.heatmap for output in outputs}
        located += [
            locate(maps[box.finding], box, record.patient, metadata.explanation.box_threshold)
            for box in boxed.get(record.image, ())
            if box.finding in maps
        ]
    seconds = time.perf_counter() - started
    predictions, identity = _predictions(read, rows, metadata, dataset, split), classifier.identity
    evaluation = replace(
        judge(predictions),
        bundle=identity.bundle,
        bundle_sha256=identity.bundle_sha256,
        engine=identity.engine,
        precision=identity.precision,
        refused=tuple(refused),
        localisation=localisation(located, metadata.explanation.box_threshold),
        images_per_s=len(read) / seconds if seconds else 0.0,
    )
    return evaluation, predictions


def _predictions(
    read: Sequence[Record], rows: list[list[float]], metadata: BundleMetadata, dataset: Dataset, split: str
) -> Predictions:
    pairs = common_columns(metadata.outputs, dataset.outputs)
    if not pairs or not read:
        raise DatasetInvalid("No image was read, or the bundle answers nothing that this data set labels.")
    answered = [k for k, _ in pairs]
    outputs = tuple(metadata.outputs[k] for k in answered)
    thresholds = [metadata.threshold(output.name) for output in outputs]
    return Predictions(
        dataset=dataset.name,
        split=split,
        recipe=metadata.training.recipe,
        outputs=outputs,
        activation=metadata.activation,
        images=tuple(record.image for record in read),
        patients=tuple(record.patient for record in read),
        labels_NK=labels_NK(tuple(read))[:, [k for _, k in pairs]],
        scores_NK=np.array(rows, dtype=np.float64)[:, answered],
        calibrated=True,
        thresholds_K=np.array(thresholds, dtype=np.float64),  # NaN for None
        thresholds_from=", ".join(sorted({point.source for point in metadata.operating_points})),
    )


def common_columns(answered: Sequence[Output], labelled: Sequence[Output]) -> list[tuple[int, int]]:
    """Where each output that a bundle answers and a data set labels stands on both sides, in the data set's order."""
    column = {output.name: k for k, output in enumerate(answered)}
    return [(column[output.name], k) for k, output in enumerate(labelled) if output.name in column]


def record_of(evaluation: Evaluation) -> EvaluationRecord:
    """The part that travels in the bundle. Raises DatasetInvalid when no finding could be judged."""
    if evaluation.mean_auc is None or evaluation.mean_ece is None:
        raise DatasetInvalid(f"{evaluation.dataset} {evaluation.split} has no finding with positives and negatives.")
    return EvaluationRecord(
        dataset=evaluation.dataset,
        split=evaluation.split,
        images=evaluation.images or 0,
        patients=evaluation.patients or 0,
        mean_auc=evaluation.mean_auc,
        auc=evaluation.auc,
        mean_ece=evaluation.mean_ece,
        localisation=evaluation.localisation,
    )


def summary(evaluation: Evaluation) -> str:
    """One line for the terminal."""
    mean, found = evaluation.mean_auc, evaluation.localisation
    if mean is None:
        return f"{evaluation.images} images read; no finding has both positives and negatives: mean AUC n/a"
    pointing = f"{found.pointing['mean']:.3f} (blind {found.pointing_blind['mean']:.3f})" if found else "n/a"
    return (
        f"{evaluation.images} images of {evaluation.patients} patients: mean AUC {in_words(mean, digits=4)}, "
        f"mean ECE {evaluation.mean_ece:.4f}, pointing {pointing}, "
        f"{evaluation.images_per_s:.1f} images/s, {len(evaluation.refused)} refused"
    )


def evaluation_json(evaluation: Evaluation, points: tuple[OperatingPoint, ...] = ()) -> str:
    """What `evaluate --json` writes; the metrics of heatmaps stand beside the others."""
    data = STORED.unstructure(evaluation)
    if points:
        data["operating_points"] = CONVERTER.unstructure(points)
    located = data.pop("localisation") or {"boxes": {}, "pointing": {"mean": None}}
    return json.dumps(data | located, indent=1, allow_nan=False) + "\n"


def kinds_of(names: Iterable[str]) -> dict[str, OutputKind]:
    """What outputs are, where nothing but their names was kept."""
    return {name: OutputKind.ABSENCE if name == NO_FINDING else OutputKind.FINDING for name in names}


def _stored(evaluation: Evaluation) -> dict[str, Any]:
    def ends(value: Interval | None) -> tuple[float, float] | None:
        return None if value is None else (value.low, value.high)

    auc_of = evaluation.auc
    ci = {"mean_auc": ends(evaluation.mean_auc), "auc": {name: ends(value) for name, value in auc_of.items()}}
    left_out = [name for name in evaluation.findings if auc_of[name] is None]
    return {**_plain(evaluation), "ci": ci, "left_out": left_out}


def _from_stored(data: dict[str, Any], _: type) -> Evaluation:
    def joined(value: Any, ends: Any = None) -> dict[str, Any] | None:
        low, high = ends or (float("nan"), float("nan"))
        return None if value is None else {"value": value, "low": low, "high": high}

    ci, auprc = data["ci"], data["auprc"]
    kinds = kinds_of(data["auc"])
    mean_auprc = mean_defined([auprc.get(name) for name, kind in kinds.items() if kind is OutputKind.FINDING])
    whole = data | {
        "kinds": kinds,
        "mean_auc": joined(data["mean_auc"], ci["mean_auc"]),
        "auc": {name: joined(value, ci["auc"].get(name)) for name, value in data["auc"].items()},
        "mean_auprc": joined(mean_auprc),
        "auprc": {name: joined(value) for name, value in auprc.items()},
    }
    return _structured(whole, Evaluation)


STORED: Final = CONVERTER.copy(forbid_extra_keys=False)
"""An Evaluation as `evaluate` and `evidence` store it: of an interval the value, the ends of AUCs apart under 'ci'."""
_structured: Final = make_dict_structure_fn(
    Evaluation, CONVERTER, images=override(rename="n"), _cattrs_forbid_extra_keys=False
)
STORED.register_unstructure_hook(Interval, lambda interval: interval.value)
_plain: Final = make_dict_unstructure_fn(
    Evaluation, STORED, images=override(rename="n"), kinds=override(omit=True), mean_auprc=override(omit=True)
)
STORED.register_unstructure_hook(Evaluation, _stored)
STORED.register_structure_hook(Evaluation, _from_stored)
