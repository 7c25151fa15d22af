"""What a model predicts of labelled images, kept so that every metric can be made again: one .npz, no pickle."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.datasets.base import Record, labels_NK
from training.errors import TrainingFailed
from training.evaluate.metrics import findings_of, mean_auc
from training.files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """N images and K outputs. scores_NK: float64 logits, or calibrated probabilities where `calibrated` says so.

    labels_NK: uint8, 0 or 1. thresholds_K: float64 operating points on the probability, NaN for none;
    thresholds_from: the data they were chosen on, '' for none at all. recipe: the name of what was trained.
    """

    dataset: str
    split: str
    recipe: str
    outputs: tuple[Output, ...]
    activation: Activation
    images: tuple[str, ...]
    patients: tuple[str, ...]
    labels_NK: NDArray[np.uint8]
    scores_NK: NDArray[np.float64]
    calibrated: bool
    thresholds_K: NDArray[np.float64]
    thresholds_from: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs' names in order."""
        return tuple(output.name for output in self.outputs)

    @property
    def findings(self) -> list[int]:
        """The columns of the findings: No Finding is none."""
        return findings_of(self.outputs)

    @property
    def mean_auc(self) -> float | None:
        """Over the findings that have both kinds of label; None when none has."""
        return mean_auc(self.scores_NK, self.labels_NK, self.outputs)


def predictions_of(
    records: Sequence[Record],
    scores_NK: NDArray[np.floating],
    outputs: tuple[Output, ...],
    activation: Activation,
    *,
    dataset: str,
    split: str,
    recipe: str,
    calibrated: bool = False,
) -> Predictions:
    """The predictions of a network for records with labels of just these outputs: no operating points yet."""
    return Predictions(
        dataset=dataset,
        split=split,
        recipe=recipe,
        outputs=outputs,
        activation=activation,
        images=tuple(record.image for record in records),
        patients=tuple(record.patient for record in records),
        labels_NK=labels_NK(tuple(records)),
        scores_NK=scores_NK.astype(np.float64),
        calibrated=calibrated,
        thresholds_K=np.full(len(outputs), np.nan),
    )


def write_predictions(file: Path, predictions: Predictions) -> None:
    """Writes the .npz, whole or not at all. Raises TrainingFailed when the disk is full."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        text=np.array([predictions.dataset, predictions.split, predictions.recipe, predictions.thresholds_from]),
        outputs=np.array(predictions.names),
        kinds=np.array([output.kind.value for output in predictions.outputs]),
        activation=np.array(predictions.activation.value),
        images=np.array(predictions.images, dtype=np.str_),
        patients=np.array(predictions.patients, dtype=np.str_),
        labels_NK=predictions.labels_NK,
        scores_NK=predictions.scores_NK,
        calibrated=np.array(predictions.calibrated),
        thresholds_K=predictions.thresholds_K,
    )
    write_whole(file, buffer.getvalue())


def read_predictions(file: Path) -> Predictions:
    """Reads what write_predictions wrote. Raises TrainingFailed when the file is missing, damaged or something else."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return _from(stored)
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, IndexError, AttributeError) as error:
        raise TrainingFailed(f"{file} cannot be read as predictions ({error}). Train or evaluate again.") from error


def _from(stored: "np.lib.npyio.NpzFile") -> Predictions:
    dataset, split, recipe, thresholds_from = (str(value) for value in stored["text"])
    outputs = tuple(
        Output(name=str(name), kind=OutputKind(str(kind)))
        for name, kind in zip(stored["outputs"], stored["kinds"], strict=True)
    )
    predictions = Predictions(
        dataset=dataset,
        split=split,
        recipe=recipe,
        outputs=outputs,
        activation=Activation(str(stored["activation"])),
        images=tuple(str(image) for image in stored["images"]),
        patients=tuple(str(patient) for patient in stored["patients"]),
        labels_NK=stored["labels_NK"].astype(np.uint8),
        scores_NK=stored["scores_NK"].astype(np.float64),
        calibrated=bool(stored["calibrated"]),
        thresholds_K=stored["thresholds_K"].astype(np.float64),
        thresholds_from=thresholds_from,
    )
    shape = (len(predictions.images), len(outputs))
    if predictions.labels_NK.shape != shape or predictions.scores_NK.shape != shape:
        raise ValueError("its arrays do not fit each other")
    return predictions
