"""What a bar shows of a prediction, for study page, viewer and report, which draw it each in its own way. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from diagnosis_tool.cxr.findings import OutputKind, anatomical_rank
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.tiers import Tier, tier_of

Screening = Mapping[str, float]
"""By output: the threshold that keeps nine of ten positives, for those that have one."""

EDGE: Final = 0.6
"""Rows of space above the first bar's middle and below the last one's."""
_GAP: Final = 0.7  # rows of space between 'No Finding' and the findings
_RANKS: Final = "①②③④⑤⑥⑦⑧⑨"


class Order(StrEnum):
    """How the findings are sorted, top to bottom."""

    ANATOMICAL = "anatomical"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An output's probability and operating point on a scale from 0 to 1.

    y: where its middle stands, in rows from the top. rank: among the top findings, 1 for the first. unsure: low and
    high of the hatched zone, below the operating point and above the one that keeps nine of ten positives.
    """

    output: PredictedOutput
    y: float
    rank: int | None
    unsure: tuple[float, float] | None
    tier: Tier | None

    @property
    def name(self) -> str:
        """The finding in words."""
        return wording.finding_name(self.output.name)

    @property
    def label(self) -> str:
        """The name with its rank's sign."""
        return f"{self.name} {_RANKS[self.rank - 1]}" if self.rank else self.name

    @property
    def number(self) -> str:
        """The probability as it is printed."""
        return wording.probability(self.output.probability)

    @property
    def is_absence(self) -> bool:
        """It says that there is no finding: no alarm, however high it is."""
        return self.output.kind is OutputKind.ABSENCE

    @property
    def is_positive(self) -> bool:
        """A finding at or above its operating point."""
        return self.output.is_above_threshold and not self.is_absence


def bars(
    prediction: Prediction, order: Order = Order.ANATOMICAL, screening: Screening = MappingProxyType({})
) -> tuple[Bar, ...]:
    """The bars top to bottom: outputs that say 'nothing found' first, a gap, then the findings in this order."""
    absences = [o for o in prediction.outputs if o.kind is OutputKind.ABSENCE]
    findings = [o for o in prediction.outputs if o.kind is OutputKind.FINDING]
    if order is Order.ANATOMICAL:
        findings.sort(key=lambda o: anatomical_rank(o.name))
    else:
        findings.sort(key=lambda o: -o.probability)
    gap = _GAP if absences else 0.0
    ranks = {name: rank for rank, name in enumerate(prediction.top, start=1)}
    return tuple(
        Bar(
            output=output,
            y=i + (gap if i >= len(absences) else 0.0),
            rank=ranks.get(output.name),
            unsure=_unsure(output, screening.get(output.name)),
            tier=tier_of(output, screening.get(output.name)),
        )
        for i, output in enumerate((*absences, *findings))
    )


def _unsure(output: PredictedOutput, screening: float | None) -> tuple[float, float] | None:
    high = output.threshold
    if screening is None or high is None or output.kind is OutputKind.ABSENCE:
        return None
    return (screening, high) if screening < high else None


def height_of(drawn: Sequence[Bar]) -> float:
    """How high all bars are together, in rows."""
    return (drawn[-1].y if drawn else 0.0) + 2 * EDGE


def places(drawn: Sequence[Bar]) -> dict[str, float]:
    """The middle of each output's bar by its name, in parts of the height from the top."""
    return {bar.output.name: (bar.y + EDGE) / height_of(drawn) for bar in drawn}
