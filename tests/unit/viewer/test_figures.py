from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind, anatomical_rank
from diagnosis_tool.cxr.types import Heatmap, ModelIdentity, PredictedOutput, Prediction
from diagnosis_tool.viewer.figures import (
    MUTED,
    NEGATIVE,
    POSITIVE,
    Order,
    findings_figure,
    places,
    row_height,
    rows,
)


def output(name: str, probability: float, threshold: float | None = 0.5) -> PredictedOutput:
    kind = OutputKind.ABSENCE if name in {NO_FINDING, "normal"} else OutputKind.FINDING
    empty = Heatmap(values=np.zeros((2, 2), np.uint8), scale=0.0)
    return PredictedOutput(name=name, kind=kind, logit=0.0, probability=probability, threshold=threshold, heatmap=empty)


def prediction(*outputs: PredictedOutput) -> Prediction:
    identity = ModelIdentity(bundle_name="b", bundle_version="1", bundle_sha256="0" * 64, engine="e", precision="f32")
    return Prediction(identity=identity, outputs=outputs)


@pytest.fixture
def nih() -> Prediction:
    return prediction(*(output(name, (k + 1) / 16, 0.5) for k, name in enumerate(NIH_OUTPUTS)))


@pytest.mark.parametrize("order", Order)
def test_plotly_accepts_the_figures(nih: Prediction, order: Order) -> None:
    go.Figure(findings_figure(nih, order, {"Mass": 0.1}))


def test_no_finding_stands_apart_on_top_and_findings_keep_their_place(nih: Prediction) -> None:
    found = rows(nih, Order.ANATOMICAL)
    names = [row.output.name for row in found]
    assert names[0] == NO_FINDING
    assert names[1:] == sorted(names[1:], key=anatomical_rank)
    assert found[1].y - found[0].y > 1.5 > found[2].y - found[1].y
    shape = findings_figure(nih)["layout"]["shapes"][0]
    assert found[0].y < shape["y0"] < found[1].y


def test_by_probability(nih: Prediction) -> None:
    found = rows(nih, Order.PROBABILITY)
    values = [row.output.probability for row in found[1:]]
    assert found[0].output.name == NO_FINDING
    assert values == sorted(values, reverse=True)


def test_top_four_are_marked_with_their_rank(nih: Prediction) -> None:
    labels = findings_figure(nih)["layout"]["yaxis"]["ticktext"]
    marked = {label[-1]: label[:-2] for label in labels if label[-1] in "①②③④⑤"}
    assert marked == {"①": "Pneumothorax", "②": "Pneumonia", "③": "Pleural thickening", "④": "Nodule"}


def test_amber_means_at_or_above_the_operating_point_and_no_finding_never_is() -> None:
    given = prediction(
        output("Mass", 0.5), output("Edema", 0.499), output("Hernia", 0.9, None), output(NO_FINDING, 0.99)
    )
    found = {row.output.name: row.colour for row in rows(given, Order.ANATOMICAL)}
    assert (found["Mass"], found["Edema"], found["Hernia"]) == (POSITIVE, NEGATIVE, NEGATIVE)
    assert found[NO_FINDING] != POSITIVE


def test_two_digits_in_the_chart_and_four_in_the_tooltip() -> None:
    figure = findings_figure(prediction(output("Mass", 0.123456, 0.3)))
    bars, numbers = figure["data"][1], figure["data"][3]
    assert numbers["text"][0].strip() == "0.12"
    assert "0.1235" in bars["customdata"][0][1]
    assert "below the operating point 0.3000" in bars["customdata"][0][1]
    assert bars["x"] == [0.123456]  # never rounded before it is drawn


def test_a_tick_for_each_operating_point_and_none_where_there_is_none() -> None:
    given = prediction(output("Mass", 0.1, 0.3), output("Edema", 0.2, None))
    figure = findings_figure(given)
    ticks = figure["data"][2]
    assert ticks["x"] == [0.3]
    assert ticks["y"] == [row.y for row in rows(given, Order.ANATOMICAL) if row.output.name == "Mass"]
    assert "no operating point" in findings_figure(given)["data"][1]["customdata"][0][1]


def test_other_bundles_are_drawn_too() -> None:
    binary = findings_figure(prediction(output("Pneumonia", 0.7)))
    assert binary["layout"]["shapes"] == []
    softmax = findings_figure(prediction(output("normal", 0.2), output("pneumonia", 0.5), output("COVID-19", 0.3)))
    assert softmax["layout"]["yaxis"]["ticktext"][0] == "normal"
    go.Figure(binary)
    go.Figure(softmax)


def test_normal_says_that_nothing_is_there() -> None:
    given = prediction(output("normal", 0.8), output("pneumonia", 0.15, 0.1), output("COVID-19", 0.05))
    first, *others = rows(given, Order.PROBABILITY)
    assert (first.output.name, first.rank, first.colour) == ("normal", None, MUTED)
    assert [(row.output.name, row.rank, row.colour) for row in others] == [
        ("pneumonia", 1, POSITIVE),
        ("COVID-19", 2, NEGATIVE),
    ]
    assert len(findings_figure(given)["layout"]["shapes"]) == 1  # the line between absence and findings
    assert given.top == ("pneumonia", "COVID-19")


def test_one_output_is_one_bar_with_its_rank() -> None:
    figure = findings_figure(prediction(output("Pneumonia", 0.7, 0.4)))
    assert figure["layout"]["yaxis"]["ticktext"] == ["Pneumonia ①"]
    assert figure["data"][1]["x"] == [0.7]
    assert figure["data"][2]["x"] == [0.4]
    assert places(prediction(output("Pneumonia", 0.7, 0.4)), Order.ANATOMICAL) == {"Pneumonia": 0.5}


def test_the_margin_is_the_same_whatever_is_ranked(nih: Prediction) -> None:
    other = prediction(*(output(name, (16 - k) / 17, 0.5) for k, name in enumerate(NIH_OUTPUTS)))
    assert findings_figure(nih)["layout"]["margin"] == findings_figure(other)["layout"]["margin"]


def test_the_unsure_band_reaches_from_screening_to_the_operating_point() -> None:
    given = prediction(
        output("Mass", 0.1, 0.3), output("Edema", 0.1, 0.3), output("Hernia", 0.1, None), output(NO_FINDING, 0.1, 0.3)
    )
    # Edema's lies above its operating point: nothing is unsure there; 'No Finding' is never unsure
    figure = findings_figure(given, Order.ANATOMICAL, {"Mass": 0.2, "Edema": 0.4, "Hernia": 0.1, NO_FINDING: 0.1})
    (band,) = [trace for trace in figure["data"] if trace["name"] == "unsure"]
    assert band["base"] == [0.2]
    assert band["x"] == pytest.approx([0.1])
    assert band["y"] == [row.y for row in rows(given, Order.ANATOMICAL) if row.output.name == "Mass"]
    assert band["marker"]["pattern"]["shape"] == "/"
    assert not [trace for trace in findings_figure(given)["data"] if trace["name"] == "unsure"]


@pytest.mark.parametrize("order", Order)
def test_the_viewers_rows_stand_as_the_charts_bars(nih: Prediction, order: Order) -> None:
    bottom, top = findings_figure(nih, order)["layout"]["yaxis"]["range"]
    found = places(nih, order)
    for row in rows(nih, order):
        assert found[row.output.name] == pytest.approx((row.y - top) / (bottom - top))
    middles = sorted(found.values())
    assert all(b - a >= row_height(nih) - 1e-9 for a, b in pairwise(middles))
