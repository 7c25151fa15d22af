"""Does the model read some patients worse than others: AUC by sex, age and view position."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.types import ViewPosition
from training.datasets.base import Record
from training.evaluate.metrics import auc_with_replicates, mean_with_interval, patient_weights, with_interval
from training.evaluate.predictions import Predictions

NOT_STATED: Final = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """mean_auc: over the partition's `common` findings. auc: by finding, None without positives or negatives."""

    name: str
    images: int
    patients: int
    mean_auc: Interval | None
    auc: dict[str, Interval | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One way to divide the images. common: the findings that every group (but those without any) can judge, so that
    the groups' means are over the same ones.
    """

    name: str
    common: tuple[str, ...]
    groups: tuple[Subgroup, ...]


def age_band(record: Record) -> str:
    """The band of the age at the time of the film."""
    age = record.age_years
    if age is None:
        return NOT_STATED
    return "under 40" if age < 40 else "40 to 59" if age < 60 else "60 and over"


PARTITIONS: Final[dict[str, tuple[tuple[str, ...], Callable[[Record], str]]]] = {
    "sex": (("women", "men"), lambda record: {"F": "women", "M": "men"}.get(record.sex, NOT_STATED)),
    "age in years": (("under 40", "40 to 59", "60 and over"), age_band),
    "view position": ((ViewPosition.PA.value, ViewPosition.AP.value), lambda record: record.view_position.value),
}
"""By name: the groups that are always shown, and which one a record is in; others are shown where they occur."""


def partitions_of(predictions: Predictions, records: Sequence[Record]) -> tuple[Partition, ...]:
    """All partitions of one pass. records: of the predictions' images, in their order."""
    result = []
    for name, (shown, group_of) in PARTITIONS.items():
        group_n = np.array([group_of(record) for record in records])
        others = sorted(set(group_n.tolist()) - set(shown))
        result.append(_partition(predictions, name, {group: group_n == group for group in (*shown, *others)}))
    return tuple(result)


def _partition(predictions: Predictions, name: str, masks: dict[str, NDArray[np.bool_]]) -> Partition:
    columns, patients = predictions.findings, np.array(predictions.patients)
    names = [predictions.names[k] for k in columns]
    found = {
        group: auc_with_replicates(
            predictions.scores_NK[mask_n][:, columns],
            predictions.labels_NK[mask_n][:, columns],
            patient_weights(patients[mask_n].tolist()),
        )
        for group, mask_n in masks.items()
    }
    judging = [values_K for values_K, _ in found.values() if any(value is not None for value in values_K)]
    common = [k for k in range(len(columns)) if judging and all(values_K[k] is not None for values_K in judging)]
    groups = tuple(
        Subgroup(
            name=group,
            images=int(masks[group].sum()),
            patients=len(set(patients[masks[group]].tolist())),
            mean_auc=mean_with_interval([values_K[k] for k in common], replicates_RK[:, common]),
            auc={n: with_interval(values_K[k], replicates_RK[:, k]) for k, n in enumerate(names)},
        )
        for group, (values_K, replicates_RK) in found.items()
    )
    return Partition(name=name, common=tuple(names[k] for k in common), groups=groups)
