"""What the viewer shows, as Dash components. Pure: values in, components out."""

from typing import Any, Final

from dash import dcc, html
from dash.development.base_component import Component

from diagnosis_tool.cxr.findings import display_name
from diagnosis_tool.cxr.types import OutputReading
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.studies import Instance, Prediction, Study
from diagnosis_tool.viewer import facts, ids, links
from diagnosis_tool.viewer.figures import Order, findings_figure

POLL_MS: Final = 1500
SIDE_BY_SIDE: Final = "side-by-side"
OVERLAY_ONLY: Final = "overlay"
_OPACITY: Final = 0.6


def page() -> Component:
    """The frame; the content follows from the address."""
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION, refresh=False),
            dcc.Interval(id=ids.TICK, interval=POLL_MS, disabled=True),
            html.Div(id=ids.CONTENT, className="viewer-content"),
            html.Footer(wording.research_use(), className="foot"),
        ],
        className="viewer",
    )


def message_view(title: str, message: str) -> list[Component]:
    """Words instead of an image."""
    back = html.A("To the worklist", href=links.WORKLIST, className="button")
    notice = html.Section([html.H1(title), html.P(message), html.P(back)], className="notice panel")
    return [_bar([]), html.Main(notice)]


def unread_view(study: Study, instance: Instance) -> list[Component]:
    """An image without a prediction: queued, being read, refused or failed. Never a chart."""
    notice = html.Section(
        [
            html.H1(instance.file_name),
            html.P(_chip(instance)),
            html.P(wording.outcome(instance), role="status"),
            html.P(html.A("Download the original", href=links.original(instance.uid), className="button")),
        ],
        className="notice panel",
    )
    return [_study_bar(study, instance), html.Main([_strip(study, instance), notice], className="viewer-main unread")]


def reading_view(study: Study, instance: Instance, prediction: Prediction, wanted: str | None) -> list[Component]:
    """Film, overlay, chart and top four of an image that was read."""
    selected = facts.first_selected(prediction, wanted)
    return [
        dcc.Store(id=ids.READING, data=facts.reading_facts(instance, prediction)),
        dcc.Store(id=ids.SELECTED, data=selected),
        dcc.Store(id=ids.SAVED),
        _study_bar(study, instance),
        html.Main(
            [
                _strip(study, instance),
                _centre(instance, prediction, selected),
                _findings(instance, prediction, selected),
            ],
            className="viewer-main",
        ),
    ]


def _bar(children: list[Component]) -> Component:
    return html.Header([html.A("diagnosis-tool", href=links.WORKLIST, className="brand"), *children], className="bar")


def _study_bar(study: Study, instance: Instance) -> Component:
    uids = [i.uid for i in study.instances]
    here = uids.index(instance.uid)
    moves = html.Nav(
        [
            _move("‹ Previous", uids[here - 1] if here > 0 else None),
            html.Span(f"{here + 1} of {len(uids)}", className="muted nowrap"),
            _move("Next ›", uids[here + 1] if here + 1 < len(uids) else None),
        ],
        className="moves",
        **_aria(label="Images of this study"),
    )
    back = html.A("‹ Study", href=links.study(study.uid), className="nowrap")
    name = html.H1(instance.file_name, className="bar-name", title=instance.file_name)
    size = html.Span(_size(instance), className="muted nowrap")
    return _bar([back, name, size, moves])


def _size(instance: Instance) -> str:
    return f"{instance.width_px} × {instance.height_px} px" if instance.width_px else ""


def _move(text: str, uid: str | None) -> Component:
    if uid is None:
        return html.Span(text, className="button", **_aria(disabled="true"))
    return dcc.Link(text, href=links.viewer(uid), className="button")


def _chip(instance: Instance) -> Component:
    sign = html.Span(wording.state_shape(instance.state), **_aria(hidden="true"))
    return html.Span([sign, f" {instance.state}"], className=f"chip chip-{instance.state}")


def _strip(study: Study, shown: Instance) -> Component:
    return html.Nav(
        [_strip_item(instance, instance.uid == shown.uid) for instance in study.instances],
        className="strip",
        **_aria(label="All images of this study"),
    )


def _strip_item(instance: Instance, is_shown: bool) -> Component:
    picture = (
        html.Img(src=links.thumbnail(instance.uid), alt="") if instance.prediction else html.Span(className="blank")
    )
    words = f"{instance.position + 1} {wording.state_shape(instance.state)} {instance.state}"
    link = dcc.Link(
        [picture, html.Span(words, className="strip-line")],
        href=links.viewer(instance.uid),
        title=instance.file_name,
        className=f"strip-item chip-{instance.state}{' is-shown' if is_shown else ''}",
    )
    return html.Div(link, **(_aria(current="true") if is_shown else {}))


def _centre(instance: Instance, prediction: Prediction, selected: str) -> Component:
    output = prediction.output(selected)
    film: list[Component] = [
        html.Img(src=links.film(instance.uid), alt=f"Radiograph {instance.file_name}", className="film-image")
    ]
    over: list[Component] = [
        html.Img(src=links.film(instance.uid), alt="", className="film-image"),
        html.Img(
            id=ids.OVERLAY,
            src=links.heatmap(instance.uid, selected),
            alt="Heatmap of the selected finding",
            className="overlay",
        ),
    ]
    panes = [
        _pane("film-pane", instance, film, html.Span("Film")),
        _pane("overlay-pane", instance, over, html.Span(wording.map_caption(output), id=ids.CAPTION, role="status")),
    ]
    stage = html.Div(panes, id=ids.STAGE, className=f"stage {SIDE_BY_SIDE}")
    return html.Div([stage, _tools(), _maps(instance, prediction)], className="centre")


def _pane(name: str, instance: Instance, pictures: list[Component], caption: Component) -> Component:
    return html.Figure([_frame(instance, pictures), html.Figcaption(caption)], className=f"pane {name}")


def _frame(instance: Instance, pictures: list[Component], *signs: Component) -> Component:
    # the stylesheet keeps the film's proportions, so that an overlay covers exactly the film
    ratio = (instance.width_px or 1) / (instance.height_px or 1)
    stack = html.Span(pictures, className="stack", style={"--ratio": f"{ratio:.6f}"})
    return html.Span([stack, *signs], className="frame")


def _tools() -> Component:
    mode = _choice(ids.MODE, "View", {SIDE_BY_SIDE: "Side by side", OVERLAY_ONLY: "Overlay"}, SIDE_BY_SIDE)
    # what the reader set stays while going from image to image
    slider = dcc.Input(id=ids.OPACITY, type="range", min=0, max=1, step=0.01, value=_OPACITY, persistence=True)
    ramp = html.Span(className="ramp", style={"background": facts.legend_gradient()})
    legend = html.Span(["low", ramp, "high · relative, this image only"], className="legend muted")
    opacity = html.Label([html.Span("Opacity"), slider], htmlFor=ids.OPACITY, className="opacity")
    return html.Div([mode, opacity, legend], className="tools")


def _choice(id_: str, label: str, options: dict[str, str], value: str) -> Component:
    """Buttons of which one is pressed; the choice stands in a store of the browser's session."""
    buttons: list[Component] = [
        html.Button(text, id=ids.choice(id_, key), type="button", **_aria(pressed=str(key == value).lower()))
        for key, text in options.items()
    ]
    store = dcc.Store(id=id_, data=value, storage_type="session")
    return html.Div([*buttons, store], role="group", className="segmented", **_aria(label=label))


def _maps(instance: Instance, prediction: Prediction) -> Component:
    outputs = [prediction.output(name) for name in prediction.top]
    return html.Div(
        [_map(instance, output, rank) for rank, output in enumerate(outputs, start=1)], className="top-maps"
    )


def _map(instance: Instance, output: OutputReading, rank: int) -> Component:
    pictures: list[Component] = [
        html.Img(src=links.thumbnail(instance.uid), alt=""),
        html.Img(src=links.heatmap(instance.uid, output.name), alt="", className="overlay"),
    ]
    name = [html.Span(display_name(output.name)), html.B(wording.probability(output.probability))]
    return html.Button(
        [
            _frame(instance, pictures, html.Span(rank, className="rank")),
            html.Span(name, className="map-name"),
            html.Span(wording.map_note(output), className="map-note"),
        ],
        id=ids.map_button(output.name),
        type="button",
        className="map" if output.is_above_threshold else "map below",
        title=f"Show the heatmap of {display_name(output.name)}",
        **_aria(pressed="false"),
    )


def _findings(instance: Instance, prediction: Prediction, selected: str) -> Component:
    order = _choice(
        ids.ORDER, "Order of the findings", {Order.ANATOMICAL: "Anatomical", Order.PROBABILITY: "By probability"},
        Order.ANATOMICAL,
    )  # fmt: skip
    chart = dcc.Graph(
        id=ids.CHART,
        figure=findings_figure(prediction),
        config={"displayModeBar": False, "responsive": True},
        className="findings-chart",
    )
    downloads = html.Div(
        [
            html.Span("Save", className="muted"),
            html.A("Original", href=links.original(instance.uid), className="button", download=""),
            html.A(
                "Heatmap",
                id=ids.SAVE_HEATMAP,
                href=links.heatmap_blend(instance.uid, selected),
                className="button",
                download="",
            ),
            html.Button("Chart", id=ids.SAVE_CHART, type="button", className="button"),
        ],
        className="downloads",
    )
    return html.Section(
        [
            html.Div([html.H2("Findings"), order], className="findings-head"),
            html.P(wording.prediction_outcome(prediction), className="visually-hidden"),
            chart,
            downloads,
            html.P([html.Span(fact) for fact in facts.model_facts(prediction)], className="model-line muted"),
        ],
        className="findings panel",
        **_aria(label="Findings"),
    )


def _aria(**values: str) -> Any:  # Dash's types know only the names that are Python words
    return {f"aria-{name}": value for name, value in values.items()}
