from dataclasses import replace
from datetime import UTC, datetime

import plotly.graph_objects as go

from diagnosis_tool.domain.studies import Instance, InstanceState
from diagnosis_tool.viewer.trend import points, trend_chart
from tests.fakes.predictions import output, prediction


def image(year: int, probability: float, bundle: str = "1", *, is_read: bool = True) -> Instance:
    made = prediction(output("Mass", probability, 0.4))
    made = replace(made, identity=replace(made.identity, bundle_version=bundle))
    return Instance(
        uid=str(year),
        study_uid="s",
        position=0,
        file_name="a",
        sha256="0" * 64,
        size_bytes=1,
        state=InstanceState.DONE,
        error=None,
        width_px=1,
        height_px=1,
        has_thumbnail=False,
        prediction=made if is_read else None,
        acquired_at=datetime(year, 1, 1, tzinfo=UTC),
    )


def test_one_line_while_the_model_stays_the_same() -> None:
    chart = trend_chart([image(2020, 0.1), image(2021, 0.3)], "Mass", "2021")
    lines = [trace for trace in chart["data"] if "markers" in trace["mode"]]
    assert [trace["y"] for trace in lines] == [[0.1, 0.3]]
    assert lines[0]["marker"]["size"][1] > lines[0]["marker"]["size"][0]  # the image in the viewer
    assert "shapes" not in chart["layout"]
    go.Figure(chart)


def test_another_model_breaks_the_line_and_is_named() -> None:
    images = [image(2020, 0.1), image(2021, 0.2), image(2022, 0.8, "<2>"), image(2023, 0.7, "<2>"), image(2024, 0.1)]
    chart = trend_chart(images, "Mass", "2024")
    lines = [trace for trace in chart["data"] if "name" in trace]
    assert [(trace["name"], trace["y"]) for trace in lines] == [
        ("b-1", [0.1, 0.2]),
        ("b-<2>", [0.8, 0.7]),
        ("b-1", [0.1]),
    ]
    assert [shape["x0"][:4] for shape in chart["layout"]["shapes"]] == ["2022", "2024"]
    assert [note["text"] for note in chart["layout"]["annotations"]] == ["b-1", "b-&lt;2&gt;", "b-1"]
    assert len({trace["marker"]["symbol"] for trace in lines}) == 3
    go.Figure(chart)


def test_what_was_not_read_for_it_is_no_point() -> None:
    assert points([image(2020, 0.1, is_read=False), image(2021, 0.2)], "Mass")[0].uid == "2021"
    assert points([image(2020, 0.1)], "Gout") == ()
