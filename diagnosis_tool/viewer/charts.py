"""The bar chart of a prediction as plain Plotly JSON: pure, tested without a browser.

The study page's, which the viewer saves, too: horizontal bars, 'No Finding' apart on top, the operating point as a tick
on each bar with the hatched zone of 'unsure' below it, the top four marked with their rank. Probabilities have two
digits, the tooltip four.
"""

from collections.abc import Sequence
from typing import Any, Final

from diagnosis_tool.domain.bars import EDGE, Bar, height_of
from diagnosis_tool.domain.language import gettext as _

PlotlyChart = dict[str, Any]
"""A chart as Plotly reads it: {'data': [...], 'layout': {...}}."""

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

_NUMBERS_PX: Final = 44  # the column of numbers stands in the right margin
_LETTER_PX: Final = 6.6  # average width at 12 px; Plotly's automargin corrects it where fonts are wider


EMPTY_CHART: Final[PlotlyChart] = {
    "data": [],
    "layout": {
        "paper_bgcolor": PANEL,
        "plot_bgcolor": PANEL,
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
    },
}


def findings_chart(drawn: Sequence[Bar]) -> PlotlyChart:
    """The chart of all outputs, as the study page has it and as it is saved. The viewer's bars are its own elements."""
    data = [_tracks(drawn), _bars(drawn), _operating_points(drawn), _numbers(drawn), *_unsure_zones(drawn)]
    return {"data": data, "layout": _layout(drawn)}


def _colour(bar: Bar) -> str:
    """Amber at or above the operating point; 'No Finding' is never amber."""
    if bar.is_absence:
        return MUTED
    return POSITIVE if bar.is_positive else NEGATIVE


def _tooltip(bar: Bar) -> str:
    """Name, probability and operating point with four digits."""
    output = bar.output
    lines = [f"<b>{bar.name}</b>", _("probability %(p)s", p=f"{output.probability:.4f}")]
    if output.threshold is None:
        lines.append(_("no operating point"))
    elif output.is_above_threshold:
        lines.append(_("above the operating point %(threshold)s", threshold=f"{output.threshold:.4f}"))
    else:
        lines.append(_("below the operating point %(threshold)s", threshold=f"{output.threshold:.4f}"))
    if bar.rank:
        lines.append(_("number %(rank)s of the top findings", rank=bar.rank))
    return "<br>".join(lines)


def _tracks(drawn: Sequence[Bar]) -> PlotlyChart:
    # a faint bar of full length: the whole row can be clicked and hovered, however small the probability
    return _bar_trace(drawn, [1.0] * len(drawn), [TRACK] * len(drawn), "row")


def _bars(drawn: Sequence[Bar]) -> PlotlyChart:
    return _bar_trace(drawn, [b.output.probability for b in drawn], [_colour(b) for b in drawn], "probability")


def _bar_trace(drawn: Sequence[Bar], x: list[float], colours: list[str], name: str) -> PlotlyChart:
    return {
        "type": "bar",
        "name": name,
        "orientation": "h",
        "x": x,
        "y": [b.y for b in drawn],
        "width": 0.62,
        "marker": {"color": colours, "line": {"width": 0}},
        "customdata": [[b.output.name, _tooltip(b)] for b in drawn],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
    }


def _operating_points(drawn: Sequence[Bar]) -> PlotlyChart:
    known = [(b.output.threshold, b.y) for b in drawn if b.output.threshold is not None]
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


def _unsure_zones(drawn: Sequence[Bar]) -> list[PlotlyChart]:
    """Hatched: below the operating point, and above the one that keeps nine of ten positives."""
    known = [(low, high - low, b.y) for b in drawn if b.unsure for low, high in (b.unsure,)]
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


def _numbers(drawn: Sequence[Bar]) -> PlotlyChart:
    return {
        "type": "scatter",
        "name": "number",
        "mode": "text",
        "x": [1.0] * len(drawn),
        "y": [b.y for b in drawn],
        "text": [f"\u00a0{b.number}" for b in drawn],
        "textposition": "middle right",
        "textfont": {"size": 12, "color": [POSITIVE if b.is_positive else TEXT for b in drawn]},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _layout(drawn: Sequence[Bar]) -> PlotlyChart:
    longest = 2 + max((len(b.name) for b in drawn), default=0)  # with a rank, so all charts align
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
            "range": [height_of(drawn) - EDGE, -EDGE],
            "tickvals": [b.y for b in drawn],
            "ticktext": [b.label for b in drawn],
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
        },
        "shapes": _separators(drawn),
        "annotations": [_axis_title()],
    }


def _x_axis() -> PlotlyChart:
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


def _axis_title() -> PlotlyChart:
    # an annotation ends at the right edge and grows to the left; an axis title would be cut off on narrow charts
    return {
        "text": _("probability · white tick: operating point"),
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


def _separators(drawn: Sequence[Bar]) -> list[PlotlyChart]:
    absences = [b for b in drawn if b.is_absence]
    if not absences or len(absences) == len(drawn):
        return []
    y = (absences[-1].y + drawn[len(absences)].y) / 2
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
