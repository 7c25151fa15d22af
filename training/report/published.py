"""What others published, from published.csv and published_systems.csv beside this file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from training.evaluate.metrics import mean_defined

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One system's published metrics, as shares of 1. auc: by finding. differs: what is not as in our data.

    recipe: the recipe of ours that repeats it, '' for none. mean_auc_stated: as the authors gave it.
    metrics: 'mean_accuracy' (over findings), 'accuracy', 'f1'.
    """

    system: str
    dataset: str
    recipe: str
    title: str
    differs: str
    auc: dict[str, float]
    mean_auc_stated: float | None
    metrics: dict[str, float]

    def mean_auc_of(self, findings: tuple[str, ...]) -> float | None:
        """The mean over those of the findings that were published; None when none was."""
        return mean_defined([self.auc.get(name) for name in findings])


@cache
def published() -> tuple[Published, ...]:
    """All systems, in the order of published_systems.csv."""
    published_metrics = _rows(_HERE / "published.csv")
    result = []
    for row in _rows(_HERE / "published_systems.csv"):
        own = [item for item in published_metrics if item["system"] == row["system"]]
        other = {item["metric"]: float(item["percent"]) / 100 for item in own if not item["finding"]}
        result.append(
            Published(
                **row,
                auc={item["finding"]: float(item["percent"]) / 100 for item in own if item["metric"] == "auc"},
                mean_auc_stated=other.pop("mean_auc", None),
                metrics=other,
            )
        )
    return tuple(result)


def published_on(dataset: str) -> tuple[Published, ...]:
    """The systems that were trained on this data set."""
    return tuple(system for system in published() if system.dataset == dataset)


def differences(systems: Iterable[Published]) -> dict[str, list[str]]:
    """What differs in the systems' data, and the titles of those that it is said of."""
    by_text: dict[str, list[str]] = {}
    for system in systems:
        by_text.setdefault(system.differs, []).append(system.title)
    return by_text


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))
