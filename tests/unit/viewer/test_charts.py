import plotly.graph_objects as go
import pytest

from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING
from diagnosis_tool.cxr.types import Prediction
from diagnosis_tool.domain.bars import Order, bars, places
from diagnosis_tool.viewer.charts import MUTED, NEGATIVE, POSITIVE, PlotlyChart, findings_chart
from tests.fakes.predictions import output, prediction


@pytest.fixture
def nih() -> Prediction:
    return prediction(*(output(name, (k + 1) / 16, 0.5) for k, name in enumerate(NIH_OUTPUTS)))


def chart_of(given: Prediction) -> PlotlyChart:
    return findings_chart(bars(given))


@pytest.mark.parametrize("order", Order)
def test_plotly_accepts_the_charts(nih: Prediction, order: Order) -> None:
    go.Figure(findings_chart(bars(nih, order, {"Mass": 0.1})))


def test_a_line_parts_no_finding_from_the_findings(nih: Prediction) -> None:
    found = bars(nih)
    shape = chart_of(nih)["layout"]["shapes"][0]
    assert found[0].y < shape["y0"] < found[1].y


def test_top_four_are_marked_with_their_rank(nih: Prediction) -> None:
    labels = chart_of(nih)["layout"]["yaxis"]["ticktext"]
    marked = {label[-1]: label[:-2] for label in labels if label[-1] in "①②③④⑤"}
    assert marked == {"①": "Pneumothorax", "②": "Pneumonia", "③": "Pleural thickening", "④": "Nodule"}


def test_amber_means_at_or_above_the_operating_point_and_no_finding_never_is() -> None:
    given = prediction(
        output("Mass", 0.5), output("Edema", 0.499), output("Hernia", 0.9, None), output(NO_FINDING, 0.99)
    )
    drawn = chart_of(given)["data"][1]
    names = [name for name, _ in drawn["customdata"]]
    colours = dict(zip(names, drawn["marker"]["color"], strict=True))
    assert colours == {NO_FINDING: MUTED, "Mass": POSITIVE, "Edema": NEGATIVE, "Hernia": NEGATIVE}


def test_two_digits_in_the_chart_and_four_in_the_tooltip() -> None:
    chart = chart_of(prediction(output("Mass", 0.123456, 0.3)))
    drawn, numbers = chart["data"][1], chart["data"][3]
    assert numbers["text"][0].strip() == "0.12"
    assert "0.1235" in drawn["customdata"][0][1]
    assert "below the operating point 0.3000" in drawn["customdata"][0][1]
    assert drawn["x"] == [0.123456]  # never rounded before it is drawn


def test_a_tick_for_each_operating_point_and_none_where_there_is_none() -> None:
    given = prediction(output("Mass", 0.1, 0.3), output("Edema", 0.2, None))
    chart = chart_of(given)
    ticks = chart["data"][2]
    assert ticks["x"] == [0.3]
    assert ticks["y"] == [bar.y for bar in bars(given) if bar.output.name == "Mass"]
    assert "no operating point" in chart["data"][1]["customdata"][0][1]


def test_other_bundles_are_drawn_too() -> None:
    binary = chart_of(prediction(output("Pneumonia", 0.7)))
    assert binary["layout"]["shapes"] == []
    softmax = chart_of(prediction(output("normal", 0.2), output("pneumonia", 0.5), output("COVID-19", 0.3)))
    assert softmax["layout"]["yaxis"]["ticktext"][0] == "normal"
    assert len(softmax["layout"]["shapes"]) == 1  # the line between absence and findings
    go.Figure(binary)
    go.Figure(softmax)


def test_one_output_is_one_bar_with_its_rank() -> None:
    chart = chart_of(prediction(output("Pneumonia", 0.7, 0.4)))
    assert chart["layout"]["yaxis"]["ticktext"] == ["Pneumonia ①"]
    assert chart["data"][1]["x"] == [0.7]
    assert chart["data"][2]["x"] == [0.4]


def test_the_margin_is_the_same_whatever_is_ranked(nih: Prediction) -> None:
    other = prediction(*(output(name, (16 - k) / 17, 0.5) for k, name in enumerate(NIH_OUTPUTS)))
    assert chart_of(nih)["layout"]["margin"] == chart_of(other)["layout"]["margin"]


def test_the_unsure_zone_is_hatched_from_screening_to_the_operating_point() -> None:
    given = prediction(output("Mass", 0.1, 0.3), output("Edema", 0.1, 0.3))
    chart = findings_chart(bars(given, Order.ANATOMICAL, {"Mass": 0.2}))
    (zone,) = [trace for trace in chart["data"] if trace["name"] == "unsure"]
    assert zone["base"] == [0.2]
    assert zone["x"] == pytest.approx([0.1])
    assert zone["y"] == [bar.y for bar in bars(given) if bar.output.name == "Mass"]
    assert zone["marker"]["pattern"]["shape"] == "/"
    assert not [trace for trace in chart_of(given)["data"] if trace["name"] == "unsure"]


@pytest.mark.parametrize("order", Order)
def test_the_viewers_rows_stand_as_the_charts_bars(nih: Prediction, order: Order) -> None:
    drawn = bars(nih, order)
    bottom, top = findings_chart(drawn)["layout"]["yaxis"]["range"]
    for bar in drawn:
        assert places(drawn)[bar.output.name] == pytest.approx((bar.y - top) / (bottom - top))
