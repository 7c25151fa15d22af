"""The tables of evidence, on answers that are known and on a made data set."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnosis_tool.cxr.bundle import Interval, OperatingPoint
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import ModelIdentity, PredictedOutput, Prediction, Radiograph, ViewPosition
from diagnosis_tool.errors import UnsupportedImage
from tests.made_up_runs import outputs_named
from tests.nih_phantoms import write_nih
from tests.small_datasets import write_small_kermany
from training.commands import main
from training.datasets.base import Record, Split
from training.evaluate.evaluation import common_columns
from training.evaluate.predictions import Predictions, predictions_of
from training.evidence.operating_points import points_on_test
from training.evidence.robustness import changes_at, measure
from training.evidence.subgroups import NOT_STATED, partitions_of
from training.phantom import save_phantom

A, B, ABSENT, NOTHING = outputs_named("A", "B", "C", "No Finding")


def _record(n: int, labels: tuple[int, ...] = (0, 0), **more: object) -> Record:
    about = {"image": f"{n}.png", "path": Path(f"{n}.png"), "patient": f"p{n}", "split": Split.TEST}
    return Record(labels=labels, **about, **more)  # type: ignore[arg-type]


def _predictions(records: list[Record], probabilities: list[list[float]]) -> Predictions:
    return predictions_of(
        records, np.array(probabilities), (A, B), Activation.SIGMOID,
        dataset="nih", split="test", recipe="", calibrated=True,
    )  # fmt: skip


def test_only_outputs_that_both_sides_know_are_judged_each_with_its_own_column() -> None:
    assert common_columns((B, NOTHING, ABSENT, A), (A, NOTHING, B)) == [(3, 0), (1, 1), (0, 2)]
    mixed = predictions_of(
        [_record(0, (0, 1))], np.array([[0.2, 0.1]]), (NOTHING, B), Activation.SIGMOID,
        dataset="nih", split="test", recipe="",
    )  # fmt: skip
    assert [mixed.names[k] for k in mixed.findings] == ["B"]
    assert [one.finding for one in points_on_test(mixed, ()).findings] == ["B"]
    (sex, *_) = partitions_of(mixed, [_record(0, (0, 1), sex="F")])
    assert set(sex.groups[0].auc) == {"B"}


def test_groups_are_judged_apart_and_their_means_are_over_the_same_findings() -> None:
    records, probabilities = [], []
    for n in range(40):  # A is read rightly in women and wrongly in men; B has positives in women alone
        sex, positive = "FM"[n % 2], n % 4 < 2
        records.append(_record(n, (int(positive), int(n == 0)), sex=sex, age_years=70 if n < 20 else None,
                               view_position=ViewPosition.AP))  # fmt: skip
        probabilities.append([0.5 + (0.1 if positive == (sex == "F") else -0.1), 0.9 if n == 0 else 0.1])
    by_name = {one.name: one for one in partitions_of(_predictions(records, probabilities), records)}
    women, men = by_name["sex"].groups
    assert by_name["sex"].common == ("A",)
    assert (women.name, women.images, men.images) == ("women", 20, 20)
    assert women.mean_auc == Interval(value=1.0, low=1.0, high=1.0)
    assert men.mean_auc == Interval(value=0.0, low=0.0, high=0.0)
    assert women.auc["B"] is not None
    assert women.auc["B"].value == 1.0
    assert men.auc["B"] is None
    ages = {group.name: group.images for group in by_name["age in years"].groups}
    assert ages == {"under 40": 0, "40 to 59": 0, "60 and over": 20, NOT_STATED: 20}
    pa, ap = by_name["view position"].groups
    assert (pa.images, pa.mean_auc, ap.images) == (0, None, 40)
    assert ap.mean_auc is not None


def test_answers_at_each_point_beside_always_no() -> None:
    records = [_record(n, (int(n < 2), 0)) for n in range(10)]
    predictions = _predictions(records, [[p, 0.1] for p in (0.9, 0.4, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)])
    some = Interval(value=0.5, low=0.4, high=0.6)
    points = [
        OperatingPoint(output="A", criterion=c, threshold=t, sensitivity=some, specificity=some, source="x")
        for c, t in (("youden", 0.5), ("sensitivity_90", 0.3))
    ]
    answers = points_on_test(predictions, points)
    a, b = answers.findings
    assert (a.positives, a.all_negative, b.all_negative) == (2, 0.8, 1.0)
    youden, sensitive = a.at("youden"), a.at("sensitivity_90")
    assert youden is not None
    assert sensitive is not None
    assert [i.value for i in (youden.accuracy, youden.sensitivity, youden.specificity) if i] == [0.8, 0.5, 0.875]
    assert sensitive.sensitivity is not None
    assert sensitive.sensitivity.value == 1.0
    assert b.points == ()
    assert b.at("youden") is None
    assert answers.mean_accuracy["youden"] == pytest.approx(0.8)
    assert answers.mean_all_negative == pytest.approx(0.9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", changes_at(48))
def test_every_change_keeps_the_picture_and_changes_it(name: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:96, 0:80]
    top = np.iinfo(dtype).max
    film = ((0.3 + 0.2 * np.sin(rows / 9) * np.cos(columns / 7)) * top + rng.integers(0, 8, (96, 80))).astype(dtype)
    before = film.copy()
    changed = changes_at(48)[name](film, rng)
    assert (film == before).all()
    assert changed.shape == ((48, 48) if name.startswith("resized") else (96, 80))
    if changed.shape == film.shape:
        inner = (slice(20, 76), slice(20, 60))
        assert np.corrcoef(changed[inner].ravel(), film[inner].ravel())[0, 1] > 0.9
        assert (changed.dtype, changed.tolist()) != (film.dtype, film.tolist())
    if name == "12 bits for 8" and dtype is np.uint8:
        assert (changed // 16 == film).all()
        assert len(np.unique(changed % 16)) == 16
    if name == "brightness +10%":
        assert changed.mean() == pytest.approx(1.1 * film.mean(), rel=0.01)


class MeanReader:
    """Says how bright the film is; refuses the darkest."""

    identity = ModelIdentity(bundle_name="m", bundle_version="1", bundle_sha256="", engine="none", precision="f32")

    def predict(self, radiograph: Radiograph) -> Prediction:
        mean = float(radiograph.pixels.mean() / (4096 if radiograph.pixels.dtype == np.uint16 else 256))
        if mean < 0.1:
            raise UnsupportedImage("Too dark.")
        shares = {"A": mean, "B": 0.5}
        return Prediction(
            identity=self.identity,
            outputs=tuple(
                PredictedOutput(name=n, kind=OutputKind.FINDING, logit=0.0, probability=p, threshold=None, heatmap=None)  # type: ignore[arg-type]
                for n, p in shares.items()
            ),
        )


def test_robustness_is_paired_and_leaves_out_what_is_refused(tmp_path: Path) -> None:
    records = []
    for n in range(12):
        file = tmp_path / f"{n}.png"
        save_phantom(file, np.full((64, 64), 10 if n == 5 else 60 + 10 * n, np.uint8))
        records.append(replace(_record(n, (int(n >= 6), 0)), path=file))
    found = measure(MeanReader(), (A, B), (A, B), records, 64)
    assert (found.images, found.left_out, found.judged) == (11, 1, ("A",))
    assert found.mean_auc is not None
    assert found.mean_auc.value == 1.0
    effects = {effect.change: effect for effect in found.effects}
    assert len(effects) == len(changes_at(64))
    darker, same = effects["brightness -10%"], effects["resized first, box"]
    assert same.moved == Interval(value=0.0, low=0.0, high=0.0)
    assert darker.moved is not None
    expected = np.mean([0.1 * (60 + 10 * n) / 256 for n in range(12) if n != 5]) / 2  # B does not move
    assert darker.moved.value == pytest.approx(expected, rel=0.02)
    assert darker.moved.low < darker.moved.value < darker.moved.high
    assert darker.difference == Interval(value=0.0, low=0.0, high=0.0)


def test_the_command_writes_every_table_of_a_made_folder(tmp_path: Path, tiny_bundle: Path) -> None:
    write_nih(tmp_path / "data" / "films", patients=6, films_each=2, test_patients=4)
    write_small_kermany(tmp_path / "data" / "children")
    arguments = ["evidence", "--bundle", str(tiny_bundle), "--data", str(tmp_path / "data"), "--robustness-images", "3"]
    outputs = ["--json", str(tmp_path / "e.json"), "--markdown", str(tmp_path / "e.md")]
    assert main([*arguments, *outputs]) == 0
    found, text = json.loads((tmp_path / "e.json").read_text()), (tmp_path / "e.md").read_text()
    assert found["test"]["n"] == 8
    assert found["robustness"]["images"] == 3
    assert (found["external"]["images"], found["external"]["positives"]) == (6, 3)
    assert 0 <= found["external"]["auc"]["value"] <= 1
    for words in (
        "8 images of 4 patients",
        "not comparable digit by digit",
        "| Hernia | n/a | 0.863 |",
        "### By sex",
        "AP (0 images, 0 patients)",
        "| JPEG, quality 50 |",
        "children of one to five years",
        "sensitivity_90",
        "What differs from ours",
    ):
        assert words in text, words
    assert "nan" not in text
    assert "A trial" not in text


def test_without_kermany_and_with_a_limit_the_page_says_so(tmp_path: Path, tiny_bundle: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    folder = write_nih(tmp_path / "films", patients=4, films_each=1, test_patients=3)
    arguments = ["evidence", "--bundle", str(tiny_bundle), "--robustness-images", "1", "--limit", "2"]
    assert main([*arguments, "--data", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "A trial with at most 2 images" in text
    assert "no folder with Kermany's layout" in text
    assert main([*arguments, "--data", str(tmp_path / "films" / "images")]) == 1
    assert "has Data_Entry_2017.csv" in capsys.readouterr().err
