"""A finding's probability over a patient's images as plain Plotly JSON: pure, tested without a browser.

Probabilities of different bundles are never joined: the line breaks where the bundle changes, and says which follows.
"""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Final, NamedTuple

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.viewer.charts import ACCENT, FONTS, LINE, MUTED, PANEL, POSITIVE, TEXT, PlotlyChart

_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up")
LEAST_POINTS: Final = 2


class Point(NamedTuple):
    """One image's probability."""

    uid: str
    at: datetime
    probability: float
    threshold: float | None
    bundle: str


def points(images: Sequence[Instance], output: str) -> tuple[Point, ...]:
    """One for each image that was read for this output and has a date; in the images' order."""
    return tuple(
        Point(image.uid, image.dated, predicted.probability, predicted.threshold, image.prediction.identity.bundle)
        for image in images
        if image.prediction is not None and image.dated is not None
        for predicted in image.prediction.outputs
        if predicted.name == output
    )


def trend_chart(images: Sequence[Instance], output: str, shown_uid: str) -> PlotlyChart:
    """The probability over time. images: oldest first. shown_uid: the image in the viewer, its point is larger."""
    runs = [(bundle, list(run)) for bundle, run in groupby(points(images, output), key=lambda point: point.bundle)]
    traces = [_run(run, _SYMBOLS[k % len(_SYMBOLS)], shown_uid) for k, (_, run) in enumerate(runs)]
    several = len({bundle for bundle, _ in runs}) > 1
    layout = _layout()
    if several:
        layout["shapes"] = [_break(run[0].at) for _, run in runs[1:]]
        layout["annotations"] = [_model(bundle, run[0].at, k) for k, (bundle, run) in enumerate(runs)]
    return {"data": [*traces, *(_thresholds(run) for _, run in runs)], "layout": layout}


def _run(run: Sequence[Point], symbol: str, shown_uid: str) -> PlotlyChart:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": run[0].bundle,
        "x": [point.at.isoformat() for point in run],
        "y": [point.probability for point in run],
        "line": {"color": TEXT, "width": 1.5},
        "marker": {
            "symbol": symbol,
            "size": [10 if point.uid == shown_uid else 6 for point in run],
            "color": [ACCENT if point.uid == shown_uid else TEXT for point in run],
        },
        "text": [
            f"{point.at.astimezone():%Y-%m-%d} {wording.probability(point.probability)}<br>{escape(point.bundle)}"
            for point in run
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "cliponaxis": False,
    }


def _thresholds(run: Sequence[Point]) -> PlotlyChart:
    """The operating point of each image's own bundle."""
    return {
        "type": "scatter",
        "mode": "lines" if len(run) > 1 else "markers",
        "x": [point.at.isoformat() for point in run],
        "y": [point.threshold for point in run],
        "line": {"color": POSITIVE, "width": 1, "dash": "dot"},
        "marker": {"color": POSITIVE, "symbol": "line-ew-open", "size": 8},
        "hoverinfo": "skip",
    }


def _break(at: datetime) -> PlotlyChart:
    x = at.isoformat()
    line = {"color": MUTED, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}


def _model(bundle: str, at: datetime, number: int) -> PlotlyChart:
    return {
        "text": escape(bundle),
        "x": at.isoformat(),
        "xref": "x",
        "y": 1 - 0.14 * (number % 3),
        "yref": "paper",
        "yanchor": "top",
        "xanchor": "left" if number == 0 else "auto",
        "showarrow": False,
        "font": {"size": 10, "color": MUTED},
        "bgcolor": PANEL,
    }


def _layout() -> PlotlyChart:
    axis = {"fixedrange": True, "zeroline": False, "gridcolor": LINE, "tickfont": {"size": 10, "color": MUTED}}
    return {
        "showlegend": False,
        "paper_bgcolor": PANEL,
        "plot_bgcolor": PANEL,
        "font": {"family": FONTS, "size": 11, "color": TEXT},
        "margin": {"l": 26, "r": 10, "t": 4, "b": 18},
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": axis | {"type": "date", "nticks": 4, "showgrid": False},
        "yaxis": axis | {"range": [0, 1], "tickvals": [0.5, 1]},
    }
