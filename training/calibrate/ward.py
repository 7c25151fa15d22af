"""Validation images weighted as if they came from a stated ward: its share of AP films, and of late follow-ups.

Patients who are filmed in bed and often are sicker than those of an outpatient clinic, and probabilities that were
fitted on the one are too low for the other. Only what a ward knows of itself is matched, never a label.
Source: raking, Deming and Stephan 1940, 'On a least squares adjustment of a sampled frequency table'.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from diagnosis_tool.cxr.types import ViewPosition
from training.datasets.base import Record
from training.errors import TrainingFailed
from training.evaluate.metrics import Array
from training.recipes.config import CalibrationConfig, Weighting

_ROUNDS: Final = 1000
_CLOSE: Final = 1e-9  # of a share


def calibration_weights(records: Sequence[Record], config: CalibrationConfig) -> Array:
    """(N,) what each image counts, of mean 1: so that views and follow-up numbers have the ward's shares.

    All 1 without weighting. Raises TrainingFailed when a view or follow-up number is not known, or when a part of the
    ward has no image at all here.
    """
    weights_n = np.ones(len(records))
    if config.weighting is Weighting.NONE:
        return weights_n
    if any(r.follow_up is None or r.view_position not in {ViewPosition.PA, ViewPosition.AP} for r in records):
        raise TrainingFailed(
            "calibration.weighting = ward needs the view position (PA or AP) and the follow-up number of every "
            "validation image, and this data does not give them: set it to none."
        )
    is_ap_n = np.array([record.view_position is ViewPosition.AP for record in records], dtype=np.int64)
    band_n = np.searchsorted(config.follow_up_from, [record.follow_up or 0 for record in records], side="right") - 1
    margins = ((is_ap_n, (1 - config.ap_share, config.ap_share)), (band_n, config.follow_up_shares))
    for group_n, shares in margins:
        if len(np.unique(group_n)) < len(shares):
            raise TrainingFailed("A part of the ward in [calibration] has no validation image: state wider parts.")
    for _ in range(_ROUNDS):
        before_n = weights_n
        for group_n, shares in margins:
            now = np.bincount(group_n, weights_n) / weights_n.sum()
            weights_n = weights_n * (np.asarray(shares) / now)[group_n]
        if np.abs(weights_n - before_n).max() < _CLOSE:
            break
    return np.asarray(weights_n / weights_n.mean())


def weighting_words(config: CalibrationConfig, weights_n: Array) -> str:
    """What was done, for the bundle and its card; '' without weighting."""
    if config.weighting is Weighting.NONE:
        return ""
    ends = [*(f" to {following - 1}" for following in config.follow_up_from[1:]), " and later"]
    bands = ", ".join(
        f"{share:.0%} {start}{end}".replace(f"{start} to {start}", str(start))
        for start, end, share in zip(config.follow_up_from, ends, config.follow_up_shares, strict=True)
    )
    effective = weights_n.sum() ** 2 / (weights_n**2).sum()
    return (
        f"images weighted to a ward where {config.ap_share:.0%} of the films are AP and follow-up numbers are {bands} "
        f"(weights {weights_n.min():.2f} to {weights_n.max():.2f}; they count as {effective:.0f} of {len(weights_n)} "
        "images)"
    )
