from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.types import ViewPosition
from training.calibrate.ward import calibration_weights, weighting_words
from training.datasets.base import Record, Split
from training.errors import TrainingFailed
from training.recipes.config import CalibrationConfig, Weighting

WARD = CalibrationConfig(
    weighting=Weighting.WARD, ap_share=0.6, follow_up_from=(0, 1, 4), follow_up_shares=(0.2, 0.3, 0.5)
)


def _records(count=200, seed=0):
    """AP and late films are rare, and go together."""
    rng = np.random.default_rng(seed)
    records = []
    for n in range(count):
        late = int(rng.integers(0, 9)) if rng.random() < 0.5 else 0
        view = ViewPosition.AP if rng.random() < 0.1 + 0.06 * late else ViewPosition.PA
        records.append(
            Record(
                image=f"{n}.png",
                path=Path(f"{n}.png"),
                patient=f"{n}",
                labels=(0,),
                split=Split.TRAIN_VAL,
                view_position=view,
                follow_up=late,
            )
        )
    return records


def test_weighted_images_have_the_wards_shares():
    records = _records()
    weights = calibration_weights(records, WARD)
    is_ap = np.array([r.view_position is ViewPosition.AP for r in records])
    follow_up = np.array([r.follow_up for r in records])
    assert weights.mean() == pytest.approx(1)
    assert weights[is_ap].sum() / weights.sum() == pytest.approx(0.6)
    for low, high, share in ((0, 0, 0.2), (1, 3, 0.3), (4, 99, 0.5)):
        assert weights[(follow_up >= low) & (follow_up <= high)].sum() / weights.sum() == pytest.approx(share)
    assert len(set(np.round(weights, 9))) == 6  # a weight depends on view and band alone


def test_without_weighting_every_image_counts_once_and_nothing_is_said():
    weights = calibration_weights(_records(5), CalibrationConfig())
    assert weights.tolist() == [1.0] * 5
    assert weighting_words(CalibrationConfig(), weights) == ""


@pytest.mark.parametrize("unknown", [{"view_position": ViewPosition.UNKNOWN}, {"follow_up": None}])
def test_data_that_does_not_say_view_or_follow_up_is_refused(unknown):
    records = _records(30)
    records[3] = replace(records[3], **unknown)
    with pytest.raises(TrainingFailed, match="needs the view position"):
        calibration_weights(records, WARD)


def test_a_ward_with_a_part_that_validation_lacks_is_refused():
    early = [replace(record, follow_up=0) for record in _records(30)]
    with pytest.raises(TrainingFailed, match="no validation image"):
        calibration_weights(early, WARD)


def test_the_words_say_what_was_done():
    records = _records()
    words = weighting_words(WARD, calibration_weights(records, WARD))
    assert "60% of the films are AP" in words
    assert "20% 0, 30% 1 to 3, 50% 4 and later" in words
    assert f"of {len(records)} images" in words
