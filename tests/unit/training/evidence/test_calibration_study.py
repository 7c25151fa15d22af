from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.types import ViewPosition
from tests.made_up_runs import NIH, made_up, write_run
from tests.nih_phantoms import write_nih
from training.commands import main
from training.datasets.base import Record, Split
from training.evidence.calibration_study import ALL, WARD_PART, best_for_ward, parts_of, study, study_markdown
from training.recipes.config import CalibrationConfig, Weighting

WARD = CalibrationConfig(weighting=Weighting.WARD, ap_share=0.6, follow_up_from=(0, 4), follow_up_shares=(0.3, 0.7))


def _shifted(count: int = 1200):  # type: ignore[no-untyped-def]
    """Scores that are right but too low for AP and late films, where every finding is more frequent."""
    rng = np.random.default_rng(0)
    sick = rng.random(count) < 0.3
    said = made_up(count=count)
    logits = rng.normal(-2.0, 1.0, (count, len(NIH)))
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-(logits + 1.2 * sick[:, None])))).astype(np.uint8)
    records = [
        Record(image=image, path=Path(image), patient=patient, labels=(), split=Split.TRAIN_VAL,
               view_position=ViewPosition.AP if ill else ViewPosition.PA, follow_up=5 if ill and n % 3 else n % 2)
        for n, (image, patient, ill) in enumerate(zip(said.images, said.patients, sick, strict=True))
    ]  # fmt: skip
    return replace(said, scores_NK=logits * 2, labels_NK=labels), records, sick


@pytest.fixture(scope="module")
def found():  # type: ignore[no-untyped-def]
    said, records, sick = _shifted()
    return {(one.method, one.weighting): one for one in study(said, records, WARD)}, parts_of(records, WARD), sick


def test_weighting_to_the_ward_helps_the_ward_and_costs_the_rest(found) -> None:  # type: ignore[no-untyped-def]
    candidates, parts, sick = found
    assert (parts[WARD_PART] == sick).all()
    plain, ward = (candidates["platt", weighting].by_part for weighting in Weighting)
    assert ward[WARD_PART].ece < plain[WARD_PART].ece
    assert plain[WARD_PART].gap < ward[WARD_PART].gap < 0
    assert plain[ALL].ece < ward[ALL].ece
    assert best_for_ward(tuple(candidates.values())).weighting is Weighting.WARD


def test_the_floor_is_what_a_right_calibration_shows(found) -> None:  # type: ignore[no-untyped-def]
    candidates, _, _ = found
    platt = candidates["platt", Weighting.NONE].by_part[ALL]
    assert platt.floor > 0.01
    assert platt.ece == pytest.approx(platt.floor, abs=0.003)
    assert abs(platt.gap) < 0.003


def test_the_table_marks_the_choice(found) -> None:  # type: ignore[no-untyped-def]
    candidates, parts, _ = found
    text = study_markdown("a run", {name: int(mask.sum()) for name, mask in parts.items()}, tuple(candidates.values()))
    assert text.count("(chosen)") == 1
    assert "| isotonic, ward" in text
    assert "| all (1200 images) |" in text


def test_the_command_refuses_a_recipe_without_a_ward_and_data_of_others(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    recipes = Path(__file__).parents[4] / "training" / "recipes"
    data, run = write_nih(tmp_path / "nih", patients=4), write_run(tmp_path / "run", "one", made_up(count=20))
    arguments = ["calibration-study", str(run), "--data", str(data), "--recipe"]
    assert main([*arguments, str(recipes / "kermany-vgg16.toml")]) == 1
    assert "states no ward" in capsys.readouterr().err
    assert main([*arguments, str(recipes / "nih14-mobilenet_v2-taught.toml")]) == 1
    assert "not in the data" in capsys.readouterr().err
