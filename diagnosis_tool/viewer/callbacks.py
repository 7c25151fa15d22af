"""How the viewer reacts. One callback asks the server, and only reads.

The others run in the browser (static/js/viewer.js):

address, tick  -> content                                       server
content        -> film, review; selected -> heatmap, course     browser
order          -> chart, places of the rows                     browser
opacity        -> look of film and thumbnails                   browser
'Chart' button -> a PNG is saved                                browser
an image that waits -> POST: it is read first                   browser
'Try again'    -> POST: a failed image is queued again          browser

Zoom, window, tools, review and keys need no callback: the scripts beside viewer.js do them.
"""

from typing import Any, Final

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.bundles import aucs, screening_thresholds
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import facts, ids, layout, links

_NAMESPACE: Final = "viewer"


def register(app: Dash, context: Context) -> None:
    """Puts all callbacks on the app."""
    _register_content(app, context)
    _register_browser(app)
    _register_waiting(app)


def content(context: Context, search: str | None) -> tuple[list[Any], bool]:
    """(components, nothing more will change) for the viewer's query string."""
    uid, wanted = links.parse_search(search)
    if uid is None:
        return layout.message_view(_("No image was chosen"), _("Open one from a study's page.")), True
    try:
        instance = browse.get_instance(context, uid)
        older, newer = browse.neighbours(context, instance.study_uid)
        place = facts.Place(study=browse.get_study(context, instance.study_uid), older=older, newer=newer)
        shown = shown_of(context, place, instance)
    except NotFound as error:
        return layout.message_view(_("Not found"), _(str(error))), True
    if shown is None:
        return layout.unread_view(place, instance), instance.state.is_final
    return layout.reading_view(shown, wanted), True


def shown_of(context: Context, place: facts.Place, instance: Instance) -> facts.Shown | None:
    """What the viewer shows of an image, with what its bundle says of itself; None while it is not read."""
    prediction = instance.prediction
    if prediction is None:
        return None
    metadata = context.bundles.of(prediction.identity.bundle_sha256)
    return facts.Shown(
        place=place,
        instance=instance,
        prediction=prediction,
        patient=browse.priors(context, instance.uid),
        auc=aucs(metadata) if metadata else {},
        screening=screening_thresholds(metadata) if metadata else {},
    )


def _register_content(app: Dash, context: Context) -> None:
    @app.callback(
        Output(ids.CONTENT, "children"),
        Output(ids.TICK, "disabled"),
        Input(ids.LOCATION, "search"),
        Input(ids.TICK, "n_intervals"),
    )
    def show(search: str | None, _ticks: int | None) -> tuple[Any, bool]:
        children, is_final = content(context, search)
        # while the image waits the words stay the same: leave them alone, a screen reader would read them again
        if ctx.triggered_id == ids.TICK and not is_final:
            return no_update, False
        return children, is_final


def _register_browser(app: Any) -> None:  # Dash.clientside_callback has no types
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "showImage"),
        Output(ids.SAVE_HEATMAP, "href"),
        Input(ids.READING, "data"),
        Input(ids.SELECTED, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "drawTrend"),
        Output(ids.TREND, "figure"),
        Input(ids.SELECTED, "data"),
        State(ids.READING, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "drawChart"),
        Output(ids.CHART, "figure"),
        Input(ids.ORDER, "data"),
        State(ids.READING, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "placeRows"),
        Output(ids.ANY_ROW, "style"),
        Input(ids.ORDER, "data"),
        State(ids.READING, "data"),
        State(ids.ANY_ROW, "id"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "setOpacity"), Output(ids.STAGE, "style"), Input(ids.OPACITY, "value")
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "saveChart"),
        Output(ids.SAVED, "data"),
        Input(ids.SAVE_CHART, "n_clicks"),
        State(ids.ORDER, "data"),
        State(ids.READING, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "choose"),
        Output(ids.ORDER, "data"),
        Input(ids.choice(ids.ORDER, ALL), "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "press"),
        Output(ids.choice(ids.ORDER, ALL), "aria-pressed"),
        Input(ids.ORDER, "data"),
        State(ids.choice(ids.ORDER, ALL), "id"),
    )


def _register_waiting(app: Any) -> None:
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "attend"), Output(ids.ATTENDED, "data"), Input(ids.WAITING, "data")
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "tryAgain"),
        Output(ids.RETRY_WORDS, "children"),
        Input(ids.RETRY, "n_clicks"),
        State(ids.WAITING, "data"),
        prevent_initial_call=True,
    )
