"""Draws a chart as SVG. Colours of text, grid and series are the page's own (page.css), by its theme."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

HUES: Final = 8
"""So many colours has page.css. The second round of series is dashed, the third dotted: never colour alone."""
CIRCLE, DIAMOND, RING = 0, 2, 4
"""Numbers of marks; page.html.j2 has HUES of them."""
_TOP, _BOTTOM, _LEGEND, _LINE = 10, 42, 256, 18
_LONGEST: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour. n: which colour and dash; None for a line that guides the eye.

    name: in the legend, '' for none. dash: instead of n's. mark: of each point, None for none. hints: shown where a
    mark is pointed at. ends: low and high of each point's x. band: (x, low, high) of y.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    n: int | None
    line: bool = True
    dash: int | None = None
    mark: int | None = None
    hints: Sequence[str] = ()
    ends: Sequence[tuple[float, float]] = ()
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Series and their axes. rows: what stands beside 0, 1, 2 … of the y axis, from the top, instead of a scale.

    x_step: the least distance of two numbers on the x axis. width, least_height: of the drawing, in its own units; it
    takes the width that the page gives it.
    """

    x_title: str
    y_title: str
    series: Sequence[Series]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    rows: Sequence[str] = ()
    x_step: float = 0
    width: int = 690
    least_height: int = 380


def short(text: str, longest: int = _LONGEST) -> str:
    """Text for a label, cut to `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def ticks(low: float, high: float, least: float = 0) -> list[float]:
    """Round values between both, 1, 2 or 5 times a power of ten and no less than `least` apart, at most nine."""
    needed = max((high - low) / 8, least)
    power = 10.0 ** math.floor(math.log10(needed))
    step = next(step for factor in (1, 2, 5, 10) if (step := factor * power) >= needed)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def draw(chart: Chart) -> Markup:
    """The SVG element; all text in it is escaped."""
    named = [series for series in chart.series if series.name]
    height = max(chart.least_height, _TOP + _BOTTOM + _LINE * len(named))
    left, right, low = 170 if chart.rows else 68, chart.width - _LEGEND, height - _BOTTOM
    x, y = _scale(chart.x_range, left, right), _scale(chart.y_range, low, _TOP)
    rows = enumerate(chart.rows) if chart.rows else ((tick, f"{tick:g}") for tick in ticks(*chart.y_range))
    parts = [
        f'<svg viewBox="0 0 {chart.width} {height}" role="img" aria-label="{escape(chart.x_title)}">',
        *(
            f'<path class="grid" d="M{x(tick)} {_TOP}V{low}"/><text x="{x(tick)}" y="{low + 16}">{tick:g}</text>'
            for tick in ticks(*chart.x_range, chart.x_step)
        ),
        *(
            f'<path class="grid" d="M{left} {y(tick)}H{right}"/>'
            f'<text x="{left - 6}" y="{y(tick)}" dy="4" class="end">{escape(text)}</text>'
            for tick, text in rows
        ),
        f'<text x="{(left + right) / 2:g}" y="{height - 8}">{escape(chart.x_title)}</text>',
        f'<text transform="translate(13 {(_TOP + low) / 2:g}) rotate(-90)">{escape(chart.y_title)}</text>',
        *(part for series in chart.series for part in _drawn(series, x, y)),
        *(_legend(series, right + 12, _TOP + _LINE * n + 9) for n, series in enumerate(named)),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704  texts are escaped, all else are numbers


def _scale(ends: tuple[float, float], first: float, last: float) -> Callable[[float], str]:
    return lambda value: f"{first + (value - ends[0]) / (ends[1] - ends[0]) * (last - first):.1f}"


def _style(series: Series) -> str:
    if series.n is None:
        return "guide"
    return f"c{series.n % HUES} d{series.n // HUES % 3 if series.dash is None else series.dash}"


def _drawn(series: Series, x: Callable[[float], str], y: Callable[[float], str]) -> Iterator[str]:
    style = _style(series)
    if series.band:
        edge = [f"{x(at)} {y(low)}" for at, low, _ in series.band] + [
            f"{x(at)} {y(high)}" for at, _, high in series.band[::-1]
        ]
        yield f'<path class="band {style}" d="M{"L".join(edge)}Z"/>'
    points = [(x(at), y(value)) for at, value in zip(series.x, series.y, strict=True)]
    if series.line:
        yield f'<path class="{style}" d="M{"L".join(f"{at} {value}" for at, value in points)}"/>'
    for (low, high), (_, value) in zip(series.ends, points, strict=False):
        yield f'<path class="{style}" d="M{x(low)} {value}H{x(high)}"/>'
    if series.mark is not None:
        hints = series.hints or [""] * len(points)
        for (at, value), hint in zip(points, hints, strict=True):
            title = f"<title>{escape(hint)}</title>" if hint else ""
            yield f'<use href="#m{series.mark}" class="{style}" x="{at}" y="{value}">{title}</use>'


def _legend(series: Series, left: float, top: float) -> str:
    style = _style(series)
    line = f'<path class="{style}" d="M{left:g} {top:g}h24"/>' if series.line else ""
    mark = "" if series.mark is None else f'<use href="#m{series.mark}" class="{style}" x="{left + 12:g}" y="{top:g}"/>'
    return f'{line}{mark}<text x="{left + 30:g}" y="{top:g}" dy="4" class="start">{escape(series.name)}</text>'
