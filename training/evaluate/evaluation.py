"""Judges a released bundle on labelled images, through the very Classifier that the worker uses; nothing is fitted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import Evaluation, Interval, Localisation, Output
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import Classifier, ModelIdentity
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets.base import AnnotatedBox, Record, read_radiograph
from training.errors import DatasetInvalid
from training.evaluate.localise import Located, localisation, locate
from training.evaluate.metrics import (
    Array,
    Labels,
    auc,
    auc_replicates,
    average_precision,
    expected_calibration_error,
    interval,
    mean_defined,
    patient_weights,
    per_output,
    row_means,
)

SEED: Final = 2017
"""Of the bootstrap, so that an evaluation gives the same intervals every time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An image that the classifier would not read, and why."""

    image: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Everything that the classifier said. probabilities_NK: (N, K) calibrated, columns as in `outputs`.

    located: each box on a read image, and what the heatmap of its finding was worth there. box_threshold: the part of
    a heatmap's maximum above which its region was taken.
    """

    records: tuple[Record, ...]
    outputs: tuple[Output, ...]
    probabilities_NK: Array
    located: tuple[Located, ...]
    box_threshold: float
    refused: tuple[Refused, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """95% intervals [low, high], patients drawn with replacement; null where a figure is."""

    mean_auc: tuple[float, float] | None
    auc: dict[str, tuple[float, float] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The JSON of `evaluate`. Figures are null where they are not defined, never a number.

    mean_auc and mean_ece are over findings (No Finding apart); left_out names those that the labels cannot judge.
    ece: 15 bins of equal mass. localisation: pointing and overlap with readers' boxes, beside a prior that never looks
    at the image; None without boxes. images_per_s: decoding, reading and heatmaps. n: images that were read.
    """

    bundle: str
    bundle_sha256: str
    engine: str
    precision: str
    dataset: str
    split: str
    n: int
    patients: int
    refused: tuple[Refused, ...]
    missing: tuple[str, ...]
    mean_auc: float | None
    left_out: tuple[str, ...]
    auc: dict[str, float | None]
    ci: Confidence
    auprc: dict[str, float | None]
    ece: dict[str, float | None]
    mean_ece: float | None
    positives: dict[str, int]
    localisation: Localisation | None
    images_per_s: float


def read_all(
    classifier: Classifier,
    bundle_outputs: Sequence[Output],
    records: Sequence[Record],
    boxes: Sequence[AnnotatedBox],
    *,
    box_threshold: float,
) -> Read:
    """Reads every record once. box_threshold: the bundle's. Raises DatasetInvalid when there is none."""
    if not records:
        raise DatasetInvalid("There is no image to evaluate: look into the split lists and the files.")
    boxed: dict[str, list[AnnotatedBox]] = {}
    for box in boxes:
        boxed.setdefault(box.image, []).append(box)
    read, rows, located, refused = [], [], [], []
    started = time.perf_counter()
    for record in tqdm(records, unit="image", desc="reading"):
        try:
            reading = classifier.predict(read_radiograph(record.path))
        except (UnreadableInput, UnsupportedImage, OSError) as error:
            refused.append(Refused(image=record.image, reason=str(error)))
            continue
        read.append(record)
        rows.append([output.probability for output in reading.outputs])
        maps = {output.name: output.heatmap for output in reading.outputs}
        located += [
            locate(maps[box.finding], box, record.patient, box_threshold)
            for box in boxed.get(record.image, [])
            if box.finding in maps
        ]
    return Read(
        records=tuple(read),
        outputs=tuple(bundle_outputs),
        probabilities_NK=np.array(rows, dtype=np.float64).reshape(len(rows), len(bundle_outputs)),
        located=tuple(located),
        box_threshold=box_threshold,
        refused=tuple(refused),
        seconds=time.perf_counter() - started,
    )


def judge(
    read: Read,
    identity: ModelIdentity,
    labelled: Sequence[Output],
    *,
    dataset: str,
    split: str,
    missing: Sequence[str] = (),
) -> Report:
    """All figures of one pass. labelled: the data set's outputs, in the order of its labels.

    Raises DatasetInvalid when the bundle answers nothing that the data set labels.
    """
    names, scores_NK, labels_NK = common_columns(read, labelled)
    kinds = {output.name: output.kind for output in read.outputs}
    values = dict(zip(names, per_output(auc, scores_NK, labels_NK), strict=True))
    ece = dict(zip(names, per_output(expected_calibration_error, scores_NK, labels_NK), strict=True))
    findings = [name for name in names if kinds[name] is OutputKind.FINDING]
    return Report(
        bundle=identity.bundle,
        bundle_sha256=identity.bundle_sha256,
        engine=identity.engine,
        precision=identity.precision,
        dataset=dataset,
        split=split,
        n=len(read.records),
        patients=len({record.patient for record in read.records}),
        refused=read.refused,
        missing=tuple(missing),
        mean_auc=mean_defined([values[name] for name in findings]),
        left_out=tuple(name for name in findings if values[name] is None),
        auc=values,
        ci=_confidence(names, findings, scores_NK, labels_NK, [record.patient for record in read.records]),
        auprc=dict(zip(names, per_output(average_precision, scores_NK, labels_NK), strict=True)),
        ece=ece,
        mean_ece=mean_defined([ece[name] for name in findings]),
        positives={name: int(labels_NK[:, k].sum()) for k, name in enumerate(names)},
        localisation=localisation(read.located, read.box_threshold),
        images_per_s=len(read.records) / read.seconds if read.seconds else 0.0,
    )


def common_columns(read: Read, labelled: Sequence[Output]) -> tuple[list[str], Array, Labels]:
    """Names, probabilities and labels of the outputs that the bundle answers and the data set labels."""
    answered = {output.name: k for k, output in enumerate(read.outputs)}
    names = [output.name for output in labelled if output.name in answered]
    if not names or not read.records:
        raise DatasetInvalid("No image was read, or the bundle answers nothing that this data set labels.")
    column = {output.name: k for k, output in enumerate(labelled)}
    all_labels = np.array([record.labels for record in read.records], dtype=np.uint8)
    labels_NK: NDArray[np.uint8] = all_labels[:, [column[name] for name in names]]
    return names, read.probabilities_NK[:, [answered[name] for name in names]], labels_NK


def _confidence(
    names: list[str], findings: list[str], scores_NK: Array, labels_NK: Labels, patients: Sequence[str]
) -> Confidence:
    replicates_RK = auc_replicates(scores_NK, labels_NK, patient_weights(patients, SEED))
    by_name = {name: _pair(replicates_RK[:, k]) for k, name in enumerate(names)}
    judged = [k for k, name in enumerate(names) if name in findings and by_name[name] is not None]
    # a replicate may by chance hold no positive of a rare finding: its mean is over the others
    return Confidence(mean_auc=_pair(row_means(replicates_RK[:, judged])), auc=by_name)


def _pair(replicates_R: Array) -> tuple[float, float] | None:
    low, high = interval(replicates_R)
    return (low, high) if np.isfinite(low) else None


def as_evaluation(report: Report) -> Evaluation:
    """The part of a report that travels in the bundle. Raises DatasetInvalid when no finding could be judged."""
    if report.mean_auc is None or report.ci.mean_auc is None or report.mean_ece is None:
        raise DatasetInvalid(f"{report.dataset} {report.split} has no finding with positives and negatives.")
    mean_low, mean_high = report.ci.mean_auc
    intervals: dict[str, Interval | None] = {}
    for name, value in report.auc.items():
        pair = report.ci.auc[name]
        intervals[name] = None if value is None or pair is None else Interval(value=value, low=pair[0], high=pair[1])
    return Evaluation(
        dataset=report.dataset,
        split=report.split,
        images=report.n,
        patients=report.patients,
        mean_auc=Interval(value=report.mean_auc, low=mean_low, high=mean_high),
        auc=intervals,
        mean_ece=report.mean_ece,
        localisation=report.localisation,
    )
