"""In which of three tiers a probability lies: what the viewer says in a word and a shape. Pure."""

from enum import StrEnum
from typing import Final

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import PredictedOutput


class Tier(StrEnum):
    """POSITIVE: at or above the operating point. UNSURE: below it, but at or above the one that keeps nine of ten
    positives (sensitivity_90). NEGATIVE: below both. A tier says where a number lies, not what the patient has.
    """

    POSITIVE = "positive"
    UNSURE = "unsure"
    NEGATIVE = "negative"


_SHAPES: Final = {Tier.POSITIVE: "▲", Tier.UNSURE: "◆", Tier.NEGATIVE: "▽"}


def tier_of(output: PredictedOutput, screening: float | None) -> Tier | None:
    """The tier of a finding; None without an operating point, and for outputs that say 'nothing found'.

    screening: the threshold of sensitivity_90, None where the bundle has none; above the operating point it is as none.
    """
    if output.threshold is None or output.kind is OutputKind.ABSENCE:
        return None
    if output.is_above_threshold:
        return Tier.POSITIVE
    return Tier.UNSURE if screening is not None and output.probability >= screening else Tier.NEGATIVE


def tier_shape(tier: Tier) -> str:
    """The sign beside the word, so that colour is never alone."""
    return _SHAPES[tier]
