"""Does the model read some patients worse than others: AUC by sex, age and view position."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.types import ViewPosition
from training.datasets.base import Record
from training.evidence.estimates import aucs_of, each, mean_of, weights_of
from training.evidence.said import Said

NOT_STATED: Final = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
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
    groups: tuple[Group, ...]


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


def partitions_of(said: Said) -> tuple[Partition, ...]:
    """All partitions of one pass."""
    result = []
    for name, (shown, group_of) in PARTITIONS.items():
        group_n = np.array([group_of(record) for record in said.records])
        others = sorted(set(group_n.tolist()) - set(shown))
        result.append(_partition(said, name, {group: group_n == group for group in (*shown, *others)}))
    return tuple(result)


def _partition(said: Said, name: str, masks: dict[str, NDArray[np.bool_]]) -> Partition:
    patients = np.array(said.patients)
    found = {
        group: aucs_of(said.probabilities_NK[mask_n], said.labels_NK[mask_n], weights_of(patients[mask_n].tolist()))
        for group, mask_n in masks.items()
    }
    judging = [values for values, _ in found.values() if any(value is not None for value in values)]
    common = [k for k in range(len(said.findings)) if judging and all(values[k] is not None for values in judging)]
    groups = tuple(
        Group(
            name=group,
            images=int(mask_n.sum()),
            patients=len(set(patients[mask_n].tolist())),
            mean_auc=mean_of(found[group], common),
            auc=dict(zip(said.findings, each(found[group]), strict=True)),
        )
        for group, mask_n in masks.items()
    )
    return Partition(name=name, common=tuple(said.findings[k] for k in common), groups=groups)
