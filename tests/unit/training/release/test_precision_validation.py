"""bf16 is admitted by figures, or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.bundle import PrecisionValidation, open_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from diagnosis_tool.cxr.engines import openvino_engine as ov
from testing.bundles import write_bundle
from training.datasets.base import Record, Split
from training.phantom import chest_phantom, save_phantom
from training.release.precision_validation import EnginePair, passes, precision_validation, validate_precisions


class Tried:
    name, precision = "openvino", "bf16"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "settled", settled=True, outputs=("Mass", "Nodule"))


def trial_of(moved_NK: np.ndarray) -> EnginePair:
    reference_NK = np.array([[-2.0, 1.0], [-0.001, -1.0], [0.5, 2.0], [1.0, -0.5]], np.float32)
    return EnginePair(
        reference_NK=reference_NK,
        candidate_NK=(reference_NK + moved_NK).astype(np.float32),
        golden_reference_GK=np.zeros((1, 2), np.float32),
        golden_candidate_GK=np.full((1, 2), 0.003, np.float32),
        labels_NK=np.array([[0, 1], [0, 0], [1, 1], [1, 0]], np.uint8),
    )


def test_figures_by_hand(bundle: Path) -> None:
    """One logit moves from below 0, its operating point at a probability of 0.5, to above; nothing else moves."""
    moved_NK = np.zeros((4, 2))
    moved_NK[1, 0] = 0.011
    found = precision_validation(trial_of(moved_NK), open_bundle(bundle).metadata, Tried(), source="by hand")  # type: ignore[arg-type]
    assert found.mean_abs_dp == pytest.approx(0.011 / 4 / 8, rel=1e-3)
    assert found.calls_changed == pytest.approx(1 / 8)
    assert found.auc_moved == 0
    assert found.golden_tolerance == pytest.approx(0.022, rel=1e-3)
    assert (found.images, found.engine, found.precision) == (4, "openvino", "bf16")


def test_an_order_that_changes_moves_the_auc(bundle: Path) -> None:
    moved_NK = np.zeros((4, 2))
    moved_NK[1, 0] = 0.7  # above one of the two positives: 3 of 4 pairs are left, in one of two findings
    found = precision_validation(trial_of(moved_NK), open_bundle(bundle).metadata, Tried(), source="by hand")  # type: ignore[arg-type]
    assert found.auc_moved == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("change", "admitted"),
    [
        ({}, True),
        ({"mean_abs_dp": 0.0051}, False),
        ({"calls_changed": 0.0051}, False),
        ({"auc_moved": 0.001}, False),
        ({"auc_moved": float("nan")}, False),
        ({"golden_tolerance": 1.1}, False),
    ],
)
def test_limits(change: dict[str, float], admitted: bool) -> None:
    within = PrecisionValidation(
        engine="openvino",
        precision="bf16",
        mean_abs_dp=0.005,
        calls_changed=0.005,
        auc_moved=0.0009,
        images=1,
        source="by hand",
        golden_tolerance=0.1,
    )
    assert passes(replace(within, **change)) is admitted  # type: ignore[arg-type]


def test_a_value_that_is_no_number_is_not_admitted(bundle: Path) -> None:
    moved_NK = np.zeros((4, 2))
    pair = replace(trial_of(moved_NK), golden_candidate_GK=np.array([[np.nan, 0.0]], np.float32))
    assert not passes(precision_validation(pair, open_bundle(bundle).metadata, Tried(), source=""))  # type: ignore[arg-type]


@pytest.mark.skipif(not ov.computes("bf16"), reason="this processor has no bf16")
def test_both_engines_read_the_files(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tuple(
        Record(
            image=f"{k}.png",
            path=save_phantom(tmp_path / f"{k}.png", chest_phantom(k, height_px=128, width_px=128)),
            patient=str(k),
            labels=(k % 2, k // 2),
            split=Split.TRAIN_VAL,
        )
        for k in range(4)
    )
    found = validate_precisions(load_classifier(bundle), records, source="phantoms")
    said = capsys.readouterr().out
    assert ("bf16 is admitted" in said) is bool(found)
    assert "probabilities moved by 0 " not in said  # random weights do move
    assert all(one.images == 4 and one.source.startswith("phantoms; ") for one in found)
