"""All figures of one run, made from its predictions or taken as they were stated. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import NO_FINDING, OutputKind
from training.calibrate.fit import youden_threshold
from training.evaluate.evaluation import SEED
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
)
from training.evaluate.predictions import Predictions
from training.report import curves
from training.report.curves import Confusion, PrecisionRecall, Reliability, Roc, Weighted
from training.report.runs import FITTED_HERE, Estimate, Run, Stated


class Rule(StrEnum):
    """How probabilities become answers."""

    OPERATING_POINT = "at the operating point"
    HALF = "at 0.5"
    ARGMAX = "most probable class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One rule applied to all images. Means are over the findings with positives; for exclusive classes over classes.

    accuracy_K: share of right answers for each output. all_negative: what mean_accuracy would be for always answering
    no. accuracy: of whole images, for binary and exclusive tasks.
    """

    rule: Rule
    confusions_K: tuple[Confusion | None, ...]
    accuracy_K: tuple[Estimate | None, ...]
    mean_accuracy: Estimate | None
    all_negative: float | None
    accuracy: Estimate | None
    weighted: Weighted | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One output. Everything but the counts is None for an output without positives, and shown as n/a.

    fold_auc: mean and standard deviation over folds, each at its chosen epoch. all_negative: the accuracy of always
    answering no. threshold: the operating point; threshold_from: the data it was chosen on.
    """

    name: str
    kind: OutputKind
    positives: int | None
    negatives: int | None
    auc: Estimate | None
    auprc: Estimate | None
    ece: float | None
    fold_auc: tuple[float, float] | None
    all_negative: float | None
    threshold: float | None
    threshold_from: str
    roc: Roc | None
    precision_recall: PrecisionRecall | None
    reliability: Reliability | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run and its figures. answers: by the rule that the tool uses; at_half: by probability 0.5, None for softmax.

    constant: the accuracy of the best answer that
    never looks at an image, for binary and exclusive tasks. matrix_KK: for exclusive classes, rows the labels.
    """

    run: Run
    activation: Activation | None
    images: int | None
    patients: int | None
    findings: tuple[Finding, ...]
    mean_auc: Estimate | None
    mean_auprc: Estimate | None
    mean_ece: float | None
    fold_mean_auc: tuple[float, float] | None
    answers: Answers | None
    at_half: Answers | None
    constant: float | None
    matrix_KK: NDArray[np.int64] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs' names in order."""
        return tuple(finding.name for finding in self.findings)


def judge_run(run: Run) -> Judged:
    """All figures of a run. Takes seconds for 25,000 images: 1,000 bootstrap replicates of each output."""
    if run.predictions is not None:
        return _from_predictions(run, run.predictions)
    return _from_stated(run, run.stated or Stated(auc={}, auprc={}, ece={}, positives={}))


def folds_mean(values: list[float | None]) -> tuple[float, float] | None:
    """Mean and sample standard deviation of the values that are numbers; None for fewer than two."""
    known = [value for value in values if value is not None]
    return (float(np.mean(known)), float(np.std(known, ddof=1))) if len(known) > 1 else None


def _from_predictions(run: Run, said: Predictions) -> Judged:
    scores_NK, labels_NK = said.scores_NK, said.labels_NK
    weights_RN = patient_weights(said.patients, SEED)
    counted = _counted(said)
    found_K = [k for k in range(len(said.outputs)) if said.outputs[k].kind is OutputKind.FINDING]
    auc_RK = auc_replicates(scores_NK, labels_NK, weights_RN)
    auprc_RK = curves.average_precision_replicates(scores_NK, labels_NK, weights_RN)
    findings = tuple(_finding(run, said, k, auc_RK[:, k], auprc_RK[:, k]) for k in range(len(said.outputs)))
    softmax = said.activation is Activation.SOFTMAX
    thresholds_K = np.array([np.nan if f.threshold is None else f.threshold for f in findings])
    return Judged(
        run=run,
        activation=said.activation,
        images=len(said.images),
        patients=len(set(said.patients)),
        findings=findings,
        mean_auc=_mean_estimate([findings[k].auc for k in found_K], auc_RK[:, found_K]),
        mean_auprc=_mean_estimate([findings[k].auprc for k in found_K], auprc_RK[:, found_K]),
        mean_ece=mean_defined([findings[k].ece for k in found_K]),
        fold_mean_auc=folds_mean([record.mean_auc for record in run.chosen]),
        answers=_answers(said, counted, Rule.ARGMAX if softmax else Rule.OPERATING_POINT, thresholds_K, weights_RN),
        at_half=None if softmax else _answers(said, counted, Rule.HALF, np.full(len(findings), 0.5), weights_RN),
        constant=_constant(labels_NK, said.activation),
        matrix_KK=curves.class_matrix(scores_NK, labels_NK) if softmax else None,
    )


def _counted(said: Predictions) -> list[int]:
    """The outputs that means over accuracy and the weighted averages are made of."""
    softmax = said.activation is Activation.SOFTMAX
    return [
        k
        for k, output in enumerate(said.outputs)
        if (softmax or output.kind is OutputKind.FINDING) and said.labels_NK[:, k].any()
    ]


def _finding(run: Run, said: Predictions, k: int, auc_R: Array, auprc_R: Array) -> Finding:
    scores_N, labels_N = said.scores_NK[:, k], said.labels_NK[:, k]
    positives = int(labels_N.sum())
    negatives = len(labels_N) - positives
    threshold, source = _threshold(said, k)
    known = positives > 0
    return Finding(
        name=said.outputs[k].name,
        kind=said.outputs[k].kind,
        positives=positives,
        negatives=negatives,
        auc=_estimate(auc(scores_N, labels_N), auc_R),
        auprc=_estimate(average_precision(scores_N, labels_N), auprc_R),
        ece=expected_calibration_error(scores_N, labels_N) if known else None,
        fold_auc=folds_mean([record.auc.get(said.outputs[k].name) for record in run.chosen]),
        all_negative=negatives / len(labels_N) if known else None,
        threshold=threshold if known else None,
        threshold_from=source,
        roc=curves.roc(scores_N, labels_N),
        precision_recall=curves.precision_recall(scores_N, labels_N),
        reliability=curves.reliability(scores_N, labels_N) if known else None,
    )


def _threshold(said: Predictions, k: int) -> tuple[float | None, str]:
    """The stored operating point; Youden's on these images where nothing at all was stored."""
    if said.thresholds_from:
        stored = float(said.thresholds_K[k])
        return (None if np.isnan(stored) else stored), said.thresholds_from
    labels_N = said.labels_NK[:, k]
    if not labels_N.any() or labels_N.all():
        return None, ""
    return youden_threshold(said.scores_NK[:, k], labels_N), FITTED_HERE


def _estimate(value: float | None, replicates_R: Array) -> Estimate | None:
    if value is None:
        return None
    low, high = interval(replicates_R)
    return Estimate(value=value, low=low, high=high) if np.isfinite(low) else Estimate(value=value)


def _mean_estimate(values: list[Estimate | None], replicates_RK: Array) -> Estimate | None:
    mean = mean_defined([None if value is None else value.value for value in values])
    judged = [k for k, value in enumerate(values) if value is not None]
    # a replicate may by chance hold no positive of a rare finding: its mean is over the others
    mean_R = np.array([np.mean(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan
                       for row in replicates_RK[:, judged]])  # fmt: skip
    return _estimate(mean, mean_R)


def _answers(
    said: Predictions, counted: list[int], rule: Rule, thresholds_K: Array, weights_RN: NDArray[np.uint8]
) -> Answers:
    labels_NK, argmax_N = said.labels_NK, said.scores_NK.argmax(axis=1)
    exclusive, outputs = rule is Rule.ARGMAX, range(labels_NK.shape[1])
    called_NK = argmax_N[:, None] == np.arange(len(outputs)) if exclusive else said.scores_NK >= thresholds_K
    right_NK = called_NK == (labels_NK > 0)
    judged = [k for k in outputs if labels_NK[:, k].any() and (exclusive or np.isfinite(thresholds_K[k]))]
    confusions = [curves.confusion(called_NK[:, k], labels_NK[:, k]) if k in judged else None for k in outputs]
    share_RK = curves.share_replicates(right_NK, weights_RN)
    accuracies = [None if c is None else _estimate(c.accuracy, share_RK[:, k]) for k, c in enumerate(confusions)]
    used = [k for k in counted if k in judged]
    return Answers(
        rule=rule,
        confusions_K=tuple(confusions),
        accuracy_K=tuple(accuracies),
        mean_accuracy=_mean_estimate([accuracies[k] for k in used], share_RK[:, used]),
        all_negative=mean_defined([float(1 - labels_NK[:, k].mean()) for k in used]),
        accuracy=_whole_images(right_NK.all(axis=1), weights_RN) if used and (exclusive or len(outputs) == 1) else None,
        weighted=_weighted([c for k in used if (c := confusions[k]) is not None], binary=len(outputs) == 1),
    )


def _whole_images(right_N: NDArray[np.bool_], weights_RN: NDArray[np.uint8]) -> Estimate | None:
    return _estimate(float(right_N.mean()), curves.share_replicates(right_N[:, None], weights_RN)[:, 0])


def _weighted(confusions: list[Confusion], *, binary: bool) -> Weighted | None:
    """A binary task has two classes: positive and negative both count."""
    return curves.weighted([*confusions, *(c.turned for c in confusions)] if binary else confusions)


def _constant(labels_NK: Labels, activation: Activation) -> float | None:
    shares_K = labels_NK.mean(axis=0)
    if activation is Activation.SOFTMAX:
        return float(shares_K.max())
    return float(max(shares_K[0], 1 - shares_K[0])) if len(shares_K) == 1 else None


def _from_stated(run: Run, stated: Stated) -> Judged:
    findings = []
    for name, value in stated.auc.items():
        positives = stated.positives.get(name)
        empty = positives == 0
        ap = stated.auprc.get(name)
        findings.append(
            Finding(
                name=name,
                kind=OutputKind.ABSENCE if name == NO_FINDING else OutputKind.FINDING,
                positives=positives,
                negatives=None if positives is None or stated.images is None else stated.images - positives,
                auc=None if empty else value,
                auprc=None if ap is None or empty else Estimate(value=ap),
                ece=None if empty else stated.ece.get(name),
                fold_auc=folds_mean([record.auc.get(name) for record in run.chosen]),
                all_negative=None if not positives or not stated.images else 1 - positives / stated.images,
                threshold=None,
                threshold_from="",
                roc=None,
                precision_recall=None,
                reliability=None,
            )
        )
    counted = [f for f in findings if f.kind is OutputKind.FINDING]
    mean_ap = mean_defined([f.auprc.value if f.auprc else None for f in counted])
    return Judged(
        run=run,
        activation=None,
        images=stated.images,
        patients=stated.patients,
        findings=tuple(findings),
        mean_auc=stated.mean_auc,
        mean_auprc=None if mean_ap is None else Estimate(value=mean_ap),
        mean_ece=mean_defined([f.ece for f in counted]),
        fold_mean_auc=folds_mean([record.mean_auc for record in run.chosen]),
        answers=None,
        at_half=None,
        constant=None,
        matrix_KK=None,
    )
