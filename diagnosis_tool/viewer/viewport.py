"""The middle of the viewer: tools, film and prior, opacity, the top four and the patient's course. Pure."""

from collections.abc import Set
from typing import Any, Final

from dash import dcc, html
from dash.development.base_component import Component

from diagnosis_tool.cxr.types import PredictedOutput
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.viewer import facts, ids, links
from diagnosis_tool.viewer.charts import EMPTY_CHART
from diagnosis_tool.viewer.parts import aria, command, data, toggle

_OPACITY: Final = 0.6


def centre(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    """Everything about the film."""
    name = shown.instance.file_name
    panes = [
        _pane("film", _("Radiograph %(name)s", name=name), "main-pane", html.Span(facts.day(shown.instance))),
        _pane(
            "prior-film",
            _("Earlier radiograph of the same patient"),
            "prior-pane",
            html.Span(id="prior-title"),
            is_hidden=True,
        ),
    ]
    tools = _tools(has_priors=bool(shown.priors), may_review=Permission.REVIEW in allowed)
    return html.Div(
        [tools, html.Div(panes, className="films"), _below(shown, selected), _maps(shown)],
        id=ids.VIEWPORT,
        className="centre",
    )


def _tools(*, has_priors: bool, may_review: bool) -> Component:
    drag = [
        _tool("window", _("Window"), "g", _("Drag changes window and level"), is_on=True),
        _tool("pan", _("Pan"), "p", _("Drag moves the film")),
    ]
    if may_review:
        drag.append(_tool("box", _("Box"), "b", _("Drag draws a box for the selected finding")))
    looks = [
        toggle("heatmap", _("Heatmap"), key="h", id="heatmap", is_on=True),
        toggle("invert", _("Invert"), key="i", id="invert"),
        command("rotate", "↻", title=_("Rotate"), key="r", **aria(label=_("Rotate"))),
        command("flip", "⇋", title=_("Flip left and right"), key="x", **aria(label=_("Flip left and right"))),
        command("fit", _("Fit"), key="f"),
        command("one-to-one", "1:1", title=_("One screen pixel a film pixel"), key="z"),
        command("zoom-out", "−", title=_("Smaller"), key="-", **aria(label=_("Smaller"))),
        command("zoom-in", "+", title=_("Larger"), key="+", **aria(label=_("Larger"))),
    ]
    if has_priors:
        looks.append(command("compare", _("Compare"), title=_("Show the latest earlier image beside it"), key="c"))
    group = html.Div(drag, role="group", className="segmented", **aria(label=_("What a drag on the film does")))
    return html.Div([group, _presets(), *looks], className="tools", role="toolbar", **aria(label=_("Film tools")))


def _tool(name: str, text: str, key: str, title: str, *, is_on: bool = False) -> Component:
    return toggle(f"tool-{name}", text, title=title, key=key, is_on=is_on, className=None, **data(tool=name))


def _presets() -> Component:
    words = {
        "standard": _("Standard"),
        "full": _("Full range"),
        "lungs": _("Lungs"),
        "mediastinum": _("Mediastinum"),
        "bones": _("Bones"),
        "custom": _("By hand"),
    }
    options = [html.Option(text, value=name, disabled=name == "custom") for name, text in words.items()]
    return html.Select(options, id="preset", title=_("Window (%(key)s)", key="w"), **aria(label=_("Window")))


def _pane(canvas: str, label: str, pane: str, caption: Component, *, is_hidden: bool = False) -> Component:
    # tabIndex: the keyboard's way to the film; the texts in the corners are the script's
    film = html.Canvas(id=canvas, className="film-canvas", tabIndex=0, role="img", **aria(label=label))
    corners: list[Component] = [
        html.Span(className="corner corner-window"),
        html.Span(className="corner corner-view"),
        html.Span(className="corner corner-zoom"),
        html.Span(
            [html.Span(className="scale-words"), html.Span(className="scale-line")], className="corner corner-scale"
        ),
        html.Strong(className="corner corner-turned"),
        html.Span(className="pane-words", role="status"),
    ]
    moves = [_prior_moves()] if is_hidden else []
    top = [html.Figcaption([caption, *moves])]
    return html.Figure(
        [*top, html.Div([film, *corners], className="film-frame")], id=pane, className="pane", hidden=is_hidden
    )


def _prior_moves() -> Component:
    return html.Span(
        [
            command("prior-older", "‹", title=_("Older"), key=".", **aria(label=_("Older"))),
            command("prior-newer", "›", title=_("Newer"), key=",", **aria(label=_("Newer"))),
            command("compare", "×", title=_("Close the comparison"), key="c", **aria(label=_("Close the comparison"))),
        ],
        className="prior-moves",
    )


def _below(shown: facts.Shown, selected: str) -> Component:
    caption = wording.map_caption(shown.prediction.output(selected))
    slider = dcc.Input(id=ids.OPACITY, type="range", min=0, max=1, step=0.01, value=_OPACITY)
    ramp = html.Span(className="ramp", style={"background": facts.legend_gradient()})
    legend = html.Span([_("low"), ramp, _("high · relative, this image only")], className="legend muted")
    opacity = html.Label([html.Span(_("Opacity")), slider], htmlFor=ids.OPACITY, className="opacity")
    notes = [html.P(note, className="muted film-note") for note in wording.notes(shown.instance)]
    return html.Div([html.P(caption, id="caption", role="status"), *notes, legend, opacity], className="below-film")


def _maps(shown: facts.Shown) -> Component:
    outputs = [shown.prediction.output(name) for name in shown.prediction.top]
    cells = [_map(shown.instance, output, rank) for rank, output in enumerate(outputs, start=1)]
    if len(shown.patient) > 1:
        cells.append(_course())
    return html.Div(cells, className="top-maps")


def _course() -> Component:
    """The selected finding's probability over time; empty for one that was read only once."""
    chart = dcc.Graph(
        id=ids.TREND, figure=EMPTY_CHART, config={"displayModeBar": False, "responsive": True}, className="trend"
    )
    words = html.Span(_("Over time; a break is another model"), className="muted")
    return html.Div([words, chart], className="course panel", role="group", **aria(label=_("Probability over time")))


def _map(instance: Instance, output: PredictedOutput, rank: int) -> Component:
    # the stylesheet keeps the film's proportions, so that an overlay covers exactly the film
    ratio = (instance.width_px or 1) / (instance.height_px or 1)
    pictures: list[Component] = [
        html.Img(src=links.thumbnail(instance.uid), alt=""),
        html.Img(src=links.heatmap(instance.uid, output.name), alt="", className="overlay"),
    ]
    stack = html.Span(pictures, className="stack", style={"--ratio": f"{ratio:.6f}"})
    name = [html.Span(wording.finding_name(output.name)), html.B(wording.probability(output.probability))]
    look: dict[str, Any] = {"className": "map" if output.is_above_threshold else "map below"}
    return html.Button(
        [
            html.Span([stack, html.Span(rank, className="rank")], className="frame"),
            html.Span(name, className="map-name"),
            html.Span(wording.map_note(output), className="map-note"),
        ],
        type="button",
        title=_("Show the heatmap of %(finding)s (%(key)s)", finding=wording.finding_name(output.name), key=rank),
        **look,
        **aria(pressed="false"),
        **data(finding=output.name),
    )
