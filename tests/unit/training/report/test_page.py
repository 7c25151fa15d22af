import csv
import html
import io
import json
import re
from xml.etree import ElementTree

import pytest

from tests.made_up_runs import (
    NIH,
    PNEUMONIA,
    SOFTMAX,
    THREE,
    made_up,
    outputs_named,
    write_evaluation,
    write_folds,
    write_run,
)
from training.commands import main
from training.report.charts import per_epoch
from training.report.runs import load_runs
from training.report.svg import Chart, Series, draw, short, ticks
from training.report.view import auc_rows, beside, comparable

EVIL = (
    "<img src=x onerror=alert(2)>",
    "=1+1 & a name that does not end so soon, nor here",
    "</script><script>alert(3)",
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Runs of every task, and the folder of their comparison."""
    home = tmp_path_factory.mktemp("runs")
    both = made_up(seed=1, count=120)
    paths = [
        write_folds(home / "cv", "nih14-effnet_b7-adam-exponential", folds=2, count=80),
        write_run(home / "better", "nih14-effnet_b0-adam-step", made_up(seed=1, count=120, skill=2.5)),
        write_run(home / "worse", "nih14-resnet_50-adam-step", both),
        write_evaluation(home / "kept.json", made_up(seed=2, count=80), bundle="kept-1.0"),
        write_evaluation(home / "bare.json", made_up(seed=2, count=80), bundle="bare-1.0", kept=False),
        write_run(home / "k", "kermany-vgg16", made_up(PNEUMONIA, seed=3, count=80, dataset="kermany", share=0.6)),
        write_run(home / "r", "rsna-resnet18-grey", made_up(PNEUMONIA, seed=3, count=80, dataset="rsna", share=0.3)),
        write_run(home / "c", "covidx-coatnet0", made_up(THREE, SOFTMAX, seed=3, count=80, dataset="covidx")),
        write_run(home / "s", "sample", made_up(NIH[:14], seed=4, count=80, dataset="nih_sample")),
        write_run(home / "own", "<b>own", made_up(outputs_named(*EVIL), seed=5, count=80, dataset="<i>own")),
    ]
    assert main(["compare", *map(str, paths), "--out", str(home / "out")]) == 0
    return home / "out", paths


def _page(compared):
    return (compared[0] / "comparison.html").read_text()


def _lines(compared):
    return list(csv.DictReader(io.StringIO((compared[0] / "comparison-figures.csv").read_text())))


def test_the_page_needs_nothing_else_and_is_small(compared):
    page = _page(compared)
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="[^#]', page)
    assert "://" not in page
    assert len(page) < 1_000_000


def test_what_comes_from_data_is_text(compared):
    page = _page(compared)
    for name in (*EVIL, "<b>own", "<i>own"):
        assert name not in page
    assert html.escape(EVIL[0]) in page
    assert short("<b>" + "x" * 40) == "<b>" + "x" * 26 + "…"


def test_every_chart_is_there_and_is_whole(compared):
    drawings = re.findall(r"<svg viewBox.*?</svg>", _page(compared), re.S)
    assert len(drawings) == 6 * 3 + 9 * 4 - 1 * 1  # data sets; runs with predictions; an evaluation has no epochs
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.findall("path[@d]")
        assert not re.search(r"\bnan", drawing)


def test_a_point_is_drawn_where_its_axes_say():
    series = Series(name="<one>", x=[0.25], y=[0.5], n=9, mark=3, hints=["a & b"], ends=[(0.0, 1.0)], line=False)
    chart = Chart(x_title="x", y_title="y", series=[series], x_range=(0, 1), y_range=(0, 1))
    root = ElementTree.fromstring(draw(chart))
    ends = [float(value) for value in re.findall(r"[\d.]+", root.find("path[@class='c1 d1']").get("d"))]
    place = root.find("use")
    assert float(place.get("x")) == pytest.approx(ends[0] + 0.25 * (ends[2] - ends[0]), abs=0.1)
    axis = {text.text: float(text.get("y")) for text in root.findall("text[@class='end']")}
    assert float(place.get("y")) == pytest.approx((axis["0"] + axis["1"]) / 2, abs=0.1)
    assert (place.get("href"), place.find("title").text) == ("#m3", "a & b")
    assert root.find("text[@class='start']").text == "<one>"


@pytest.mark.parametrize(
    ("low", "high", "least", "expected"),
    [
        (-0.02, 1.02, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.5, 4.5, 1, [1, 2, 3, 4]),
        (0.5, 30.5, 1, [5, 10, 15, 20, 25, 30]),
        (0.712, 0.718, 0, [0.712, 0.713, 0.714, 0.715, 0.716, 0.717, 0.718]),
    ],
)
def test_ticks_are_round_and_few(low, high, least, expected):
    assert ticks(low, high, least) == pytest.approx(expected)


def test_a_finding_without_positives_says_so_everywhere(compared):
    lines = [row for row in _lines(compared) if row["output"] == "Hernia"]
    assert len(lines) == 6
    for line in lines:
        assert {line[name] for name in ("auc", "auprc", "ece", "accuracy", "f1", "threshold", "true_positive")} == {
            "n/a"
        }
    rows = re.findall(r'<tr><th scope="row">Hernia</th><td>0</td>(.*?)</tr>', _page(compared), re.S)
    assert len(rows) == 6
    for row in rows:
        assert set(re.findall(r"<td[^>]*>(.*?)</td>", row)) == {"n/a"}
    values = json.loads((compared[0] / "comparison-figures.json").read_text())
    assert values["runs"][0]["outputs"]["Hernia"].get("auc") is None


def test_a_spreadsheet_runs_nothing(compared):
    names = {row["output"] for row in _lines(compared)}
    assert "'" + EVIL[1] in names


def test_the_best_is_marked_among_runs_on_the_same_images_only(compared):
    (group,) = comparable(load_runs(compared[1][:5]))
    rows = {row.title: row for row in auc_rows(group)}
    better, worse = rows["nih14-effnet_b0-adam-step"], rows["nih14-resnet_50-adam-step"]
    assert better.best[-1]
    assert not worse.best[-1]
    assert better.values[-1] > worse.values[-1]
    assert not any(rows["nih14-effnet_b7-adam-exponential"].best)
    theirs = [row for row in rows.values() if row.theirs]
    assert len(theirs) == 16
    assert not any(any(row.best) for row in theirs)
    marked = [r for r in _lines(compared) if r["best"] == "yes"]
    assert {r["run"] for r in marked} <= {"nih14-effnet_b0-adam-step", "nih14-resnet_50-adam-step"}
    assert "mean of findings" in {r["output"] for r in marked}


def test_published_figures_stand_beside_ours_with_a_guess_and_what_differs(compared):
    groups = comparable(load_runs([compared[1][0], *compared[1][5:9]]))
    found = {(item.title, item.metric): item for group in groups for item in beside(group)}
    b7 = found["EfficientNet-B7, Adam, exponential", "mean AUC"]
    assert b7.value == 0.754
    assert "all 2 folds" in b7.ours[0]
    assert "all-negative guess" in found["ResNet-50 on the NIH sample", "mean accuracy of the findings"].ours[0]
    assert "best constant answer" in found["VGG-16, paediatric pneumonia", "accuracy"].ours[0]
    assert "of the positives" in found["ResNet-18, RSNA pneumonia", "F1"].ours[0]
    assert "most probable class" in found["CoAtNet-0, three classes", "accuracy"].ours[0]
    assert found["ResNet-50 V2, three classes", "accuracy"].value == 0.85
    assert all(item.differs for item in found.values())


def test_epochs_are_averaged_over_the_folds_that_got_so_far(compared):
    (run,) = load_runs(compared[1][:1])
    short = (run.histories[0], run.histories[1][:2])
    points = per_epoch(short, "mean_auc")
    values = [history[1].mean_auc for history in short]
    assert [epoch for epoch, _, _ in points] == [1, 2, 3, 4]
    assert points[1][1] == pytest.approx(sum(values) / 2)
    assert points[1][2][1] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert points[2][2] is None
    assert per_epoch(short, "Hernia") == []


def test_what_is_no_run_ends_the_command_with_a_message(tmp_path, capsys):
    assert main(["compare", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "neither the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
