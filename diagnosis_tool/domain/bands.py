"""In which of three bands a probability lies: what the viewer says in a word and a shape. Pure."""

from enum import StrEnum
from typing import Final

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import PredictedOutput


class Band(StrEnum):
    """POSITIVE: at or above the operating point. UNSURE: below it, but at or above the one that keeps nine of ten
    positives (sensitivity_90). NEGATIVE: below both. A band says where a number lies, not what the patient has.
    """

    POSITIVE = "positive"
    UNSURE = "unsure"
    NEGATIVE = "negative"


_SHAPES: Final = {Band.POSITIVE: "▲", Band.UNSURE: "◆", Band.NEGATIVE: "▽"}


def band_of(output: PredictedOutput, screening: float | None) -> Band | None:
    """The band of a finding; None without an operating point, and for outputs that say 'nothing found'.

    screening: the threshold of sensitivity_90, None where the bundle has none; above the operating point it is as none.
    """
    if output.threshold is None or output.kind is OutputKind.ABSENCE:
        return None
    if output.is_above_threshold:
        return Band.POSITIVE
    return Band.UNSURE if screening is not None and output.probability >= screening else Band.NEGATIVE


def band_shape(band: Band) -> str:
    """The sign beside the word, so that colour is never alone."""
    return _SHAPES[band]
