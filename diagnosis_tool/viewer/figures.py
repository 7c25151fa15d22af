"""The bar chart of a prediction as plain Plotly JSON: pure, tested without a browser.

One chart for the study page and the viewer: horizontal bars, 'No Finding' apart on top, the operating point as a tick
on each bar with the hatched band of 'unsure' below it, the top four marked with their rank. Probabilities have two
digits, the tooltip four.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from diagnosis_tool.cxr.findings import OutputKind, anatomical_rank, display_name
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain import wording

Figure = dict[str, Any]
"""A figure as Plotly reads it: {'data': [...], 'layout': {...}}."""
Screening = Mapping[str, float]
"""By output: the threshold that keeps nine of ten positives, for those that have one."""

# the tokens of static/css/app.css; a picture of the chart has no stylesheet
PANEL: Final = "#161b22"
TRACK: Final = "#21262e"
LINE: Final = "#2a313c"
TEXT: Final = "#e6edf3"
ACCENT: Final = "#58a6ff"
MUTED: Final = "#9aa7b4"
POSITIVE: Final = "#ffb454"
UNSURE: Final = "#c9a0ff"
NEGATIVE: Final = "#7d8894"
FONTS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

RANKS: Final = "①②③④⑤⑥⑦⑧⑨"
_GAP: Final = 0.7  # rows of space between 'No Finding' and the findings
_EDGE: Final = 0.6  # rows of space above the first bar's middle and below the last one's
_NUMBERS_PX: Final = 44  # the column of numbers stands in the right margin
_LETTER_PX: Final = 6.6  # average width at 12 px; Plotly's automargin corrects it where fonts are wider


EMPTY_FIGURE: Final[Figure] = {
    "data": [],
    "layout": {
        "paper_bgcolor": PANEL,
        "plot_bgcolor": PANEL,
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    },
}


class Order(StrEnum):
    """How the findings are sorted, top to bottom."""

    ANATOMICAL = "anatomical"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bar: what it shows, its height on the y axis in rows from the top, and its rank among the top findings."""

    output: PredictedOutput
    y: float
    rank: int | None

    @property
    def label(self) -> str:
        """The finding's name with its rank's sign."""
        name = display_name(self.output.name)
        return f"{name} {RANKS[self.rank - 1]}" if self.rank else name

    @property
    def colour(self) -> str:
        """Amber at or above the operating point; 'No Finding' is never amber."""
        if self.output.kind is OutputKind.ABSENCE:
            return MUTED
        return POSITIVE if self.output.is_above_threshold else NEGATIVE

    @property
    def tooltip(self) -> str:
        """Name, probability and operating point with four digits."""
        output = self.output
        lines = [f"<b>{display_name(output.name)}</b>", f"probability {output.probability:.4f}"]
        if output.threshold is None:
            lines.append("no operating point")
        else:
            side = "above" if output.is_above_threshold else "below"
            lines.append(f"{side} the operating point {output.threshold:.4f}")
        if self.rank:
            lines.append(f"number {self.rank} of the top findings")
        return "<br>".join(lines)


def rows(prediction: Prediction, order: Order) -> tuple[Row, ...]:
    """The bars top to bottom: outputs that say 'nothing found' first, a gap, then the findings in this order."""
    absences = [o for o in prediction.outputs if o.kind is OutputKind.ABSENCE]
    findings = [o for o in prediction.outputs if o.kind is OutputKind.FINDING]
    if order is Order.ANATOMICAL:
        findings.sort(key=lambda o: anatomical_rank(o.name))
    else:
        findings.sort(key=lambda o: -o.probability)
    gap = _GAP if absences else 0.0
    ranks = {name: rank for rank, name in enumerate(prediction.top, start=1)}
    return tuple(
        Row(output=output, y=i + (gap if i >= len(absences) else 0.0), rank=ranks.get(output.name))
        for i, output in enumerate((*absences, *findings))
    )


def findings_figure(
    prediction: Prediction, order: Order = Order.ANATOMICAL, screening: Screening = MappingProxyType({})
) -> Figure:
    """The chart of all outputs, as the study page has it and as it is saved. The viewer's bars are its own elements."""
    bars = rows(prediction, order)
    data = [_tracks(bars), _bars(bars), _operating_points(bars), _numbers(bars), *_unsure_bands(bars, screening)]
    return {"data": data, "layout": _layout(bars)}


def places(prediction: Prediction, order: Order) -> dict[str, float]:
    """The middle of each output's bar by its name, in parts of the plot's height from the top."""
    bars = rows(prediction, order)
    return {bar.output.name: (bar.y + _EDGE) / _height(bars) for bar in bars}


def row_height(prediction: Prediction) -> float:
    """How high each row is, in parts of the plot's height."""
    return 1 / _height(rows(prediction, Order.ANATOMICAL))


def _height(bars: tuple[Row, ...]) -> float:
    return (bars[-1].y if bars else 0.0) + 2 * _EDGE


def _tracks(bars: tuple[Row, ...]) -> Figure:
    # a faint bar of full length: the whole row can be clicked and hovered, however small the probability
    return _bar_trace(bars, [1.0] * len(bars), [TRACK] * len(bars), "row")


def _bars(bars: tuple[Row, ...]) -> Figure:
    return _bar_trace(bars, [b.output.probability for b in bars], [b.colour for b in bars], "probability")


def _bar_trace(bars: tuple[Row, ...], x: list[float], colours: list[str], name: str) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "orientation": "h",
        "x": x,
        "y": [b.y for b in bars],
        "width": 0.62,
        "marker": {"color": colours, "line": {"width": 0}},
        "customdata": [[b.output.name, b.tooltip] for b in bars],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
    }


def _operating_points(bars: tuple[Row, ...]) -> Figure:
    known = [(b.output.threshold, b.y) for b in bars if b.output.threshold is not None]
    return {
        "type": "scatter",
        "name": "operating point",
        "mode": "markers",
        "x": [x for x, _ in known],
        "y": [y for _, y in known],
        "marker": {"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": TEXT}},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _unsure_bands(bars: tuple[Row, ...], screening: Screening) -> list[Figure]:
    """Hatched: below the operating point, and above the one that keeps nine of ten positives."""
    known = [
        (low, b.output.threshold - low, b.y)
        for b in bars
        if b.output.threshold is not None
        and b.output.kind is OutputKind.FINDING
        and (low := screening.get(b.output.name, b.output.threshold)) < b.output.threshold
    ]
    if not known:
        return []
    return [
        {
            "type": "bar",
            "name": "unsure",
            "orientation": "h",
            "base": [base for base, _, _ in known],
            "x": [width for _, width, _ in known],
            "y": [y for _, _, y in known],
            "width": 0.62,
            "marker": {
                "color": "rgba(0,0,0,0)",
                "line": {"width": 1, "color": UNSURE},
                "pattern": {"shape": "/", "size": 4, "solidity": 0.35, "fgcolor": UNSURE, "bgcolor": "rgba(0,0,0,0)"},
            },
            "hoverinfo": "skip",
        }
    ]


def _numbers(bars: tuple[Row, ...]) -> Figure:
    return {
        "type": "scatter",
        "name": "number",
        "mode": "text",
        "x": [1.0] * len(bars),
        "y": [b.y for b in bars],
        "text": [f"\u00a0{wording.probability(b.output.probability)}" for b in bars],
        "textposition": "middle right",
        "textfont": {"size": 12, "color": [POSITIVE if b.colour == POSITIVE else TEXT for b in bars]},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _layout(bars: tuple[Row, ...]) -> Figure:
    longest = 2 + max((len(display_name(b.output.name)) for b in bars), default=0)  # with a rank, so all charts align
    return {
        "barmode": "overlay",
        "showlegend": False,
        "paper_bgcolor": PANEL,
        "plot_bgcolor": PANEL,
        "font": {"family": FONTS, "size": 12, "color": TEXT},
        "margin": {"l": round(12 + _LETTER_PX * longest), "r": _NUMBERS_PX, "t": 6, "b": 40, "pad": 4},
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "#0e1116", "bordercolor": LINE, "font": {"color": TEXT, "size": 12}},
        "xaxis": _x_axis(),
        "yaxis": {
            "range": [_height(bars) - _EDGE, -_EDGE],
            "tickvals": [b.y for b in bars],
            "ticktext": [b.label for b in bars],
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
        },
        "shapes": _separators(bars),
        "annotations": [_axis_title()],
    }


def _x_axis() -> Figure:
    return {
        "range": [0, 1],
        "tickvals": [0, 0.25, 0.5, 0.75, 1],
        "ticktext": ["0", "0.25", "0.50", "0.75", "1"],
        "tickfont": {"size": 11, "color": MUTED},
        "fixedrange": True,
        "zeroline": False,
        "gridcolor": LINE,
        "layer": "below traces",
    }


def _axis_title() -> Figure:
    # an annotation ends at the right edge and grows to the left; an axis title would be cut off on narrow charts
    return {
        "text": "probability · white tick: operating point",
        "font": {"size": 11, "color": MUTED},
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 0,
        "xanchor": "right",
        "yanchor": "top",
        "xshift": _NUMBERS_PX - 8,
        "yshift": -20,
    }


def _separators(bars: tuple[Row, ...]) -> list[Figure]:
    absences = [b for b in bars if b.output.kind is OutputKind.ABSENCE]
    if not absences or len(absences) == len(bars):
        return []
    y = absences[-1].y + (1 + _GAP) / 2
    return [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": y,
            "y1": y,
            "line": {"width": 1, "color": LINE},
        }
    ]
