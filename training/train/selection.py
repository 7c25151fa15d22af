"""The metric that the best epoch is chosen by, and early stopping waits for: named in the recipe as loop.select."""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from training.errors import RecipeInvalid
from training.evaluate.metrics import mean_defined
from training.train.run_folder import EpochRecord

MEAN_AUC: Final = "mean_auc"
LOSS: Final = "loss"
_OF_ALL: Final = (MEAN_AUC, LOSS, "accuracy", "f1")
_OF_ONE: Final = re.compile(r"(auc|accuracy|f1):(.+)")


def check_select(name: str, outputs: Sequence[Output], labels_nK: NDArray[np.float32]) -> None:
    """Raises RecipeInvalid when validation cannot give this metric. labels_nK: of the validation images."""
    if name in _OF_ALL:
        return
    names = [output.name for output in outputs]
    match = _OF_ONE.fullmatch(name)
    if not match or match[2] not in names:
        raise RecipeInvalid(
            f"loop.select {name!r}: write {', '.join(_OF_ALL)}, or auc:NAME, accuracy:NAME, f1:NAME with NAME one of: "
            f"{', '.join(names)}."
        )
    positives = int(labels_nK[:, names.index(match[2])].sum())
    if match[1] != "accuracy" and not 0 < positives < len(labels_nK):
        raise RecipeInvalid(
            f"loop.select {name!r}: {positives} of {len(labels_nK)} validation images have {match[2]}; "
            "both kinds are needed."
        )


def answer_metrics(
    logits_nK: NDArray[np.float32], labels_nK: NDArray[np.float32], outputs: Sequence[Output], activation: Activation
) -> dict[str, float | None]:
    """Accuracy and F1 of the plain answers, by their names in loop.select: 0.5 as threshold, or the likeliest class.

    Of all: means over the findings; the accuracy of exclusive classes is the share of images answered rightly.
    F1 is None where a label is neither there nor answered.
    """
    says_nK = logits_nK > 0
    if activation is Activation.SOFTMAX:
        says_nK = logits_nK.argmax(axis=1)[:, None] == np.arange(logits_nK.shape[1])
    is_nK = labels_nK > 0.5
    accuracy = [float(value) for value in (says_nK == is_nK).mean(axis=0)]
    hits_K, both_K = (says_nK & is_nK).sum(axis=0), says_nK.sum(axis=0) + is_nK.sum(axis=0)
    f1 = [float(2 * hits / both) if both else None for hits, both in zip(hits_K, both_K, strict=True)]
    findings = [k for k, output in enumerate(outputs) if output.kind is OutputKind.FINDING]
    right = mean_defined([accuracy[k] for k in findings])
    if activation is Activation.SOFTMAX:
        right = float((says_nK & is_nK).any(axis=1).mean())
    return {
        "accuracy": right,
        "f1": mean_defined([f1[k] for k in findings]),
        **{f"accuracy:{output.name}": value for output, value in zip(outputs, accuracy, strict=True)},
        **{f"f1:{output.name}": value for output, value in zip(outputs, f1, strict=True)},
    }


def _goodness(record: EpochRecord, select: str) -> float:
    """Greater is better; what cannot be computed is worst."""
    if select == LOSS:
        return -record.validation_loss
    if select == MEAN_AUC:
        value = record.mean_auc
    elif select.startswith("auc:"):
        value = record.auc.get(select.removeprefix("auc:"))
    else:
        value = record.answers.get(select)
    return -math.inf if value is None else value


def best_epoch(history: Sequence[EpochRecord], select: str) -> EpochRecord | None:
    """The epoch with the best value of `select`, the earliest of equals; None before any."""
    return max(history, key=lambda e: _goodness(e, select), default=None)
