"""How the viewer reacts. One callback asks the server, and only reads; that the image is looked at
moves it forward in the queue.

The others run in the browser (static/js/viewer.js):

address, tick  -> content                                   server
chart click, top four click -> selected                     browser
selected -> overlay, caption, pressed button, save link     browser
selected, order -> chart                                    browser
opacity, mode -> look of the stage                          browser
'Chart' button -> a PNG is saved                            browser
"""

from typing import Any, Final

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.attend import attend_instance
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import ids, layout, links

_NAMESPACE: Final = "viewer"


def register(app: Dash, context: Context) -> None:
    """Puts all callbacks on the app."""
    _register_content(app, context)
    _register_browser(app)


def content(context: Context, search: str | None) -> tuple[list[Any], bool]:
    """(components, nothing more will change) for the viewer's query string."""
    uid, wanted = links.parse_search(search)
    if uid is None:
        return layout.message_view("No image was chosen", "Open one from a study's page."), True
    try:
        instance = browse.get_instance(context, uid)
        study = browse.get_study(context, instance.study_uid)
    except NotFound as error:
        return layout.message_view("Not found", str(error)), True
    attend_instance(context, instance)
    if instance.prediction is None:
        return layout.unread_view(study, instance), instance.state.is_final
    return layout.reading_view(study, instance, instance.prediction, wanted), True


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
        ClientsideFunction(_NAMESPACE, "select"),
        Output(ids.SELECTED, "data"),
        Input(ids.CHART, "clickData"),
        Input(ids.ANY_MAP, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "showHeatmap"),
        Output(ids.OVERLAY, "src"),
        Output(ids.OVERLAY, "className"),
        Output(ids.CAPTION, "children"),
        Output(ids.SAVE_HEATMAP, "href"),
        Output(ids.ANY_MAP, "aria-pressed"),
        Input(ids.SELECTED, "data"),
        State(ids.READING, "data"),
        State(ids.ANY_MAP, "id"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "drawChart"),
        Output(ids.CHART, "figure"),
        Input(ids.SELECTED, "data"),
        Input(ids.ORDER, "data"),
        State(ids.READING, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "setLook"),
        Output(ids.STAGE, "style"),
        Output(ids.STAGE, "className"),
        Input(ids.OPACITY, "value"),
        Input(ids.MODE, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "saveChart"),
        Output(ids.SAVED, "data"),
        Input(ids.SAVE_CHART, "n_clicks"),
        State(ids.CHART, "figure"),
        State(ids.READING, "data"),
        prevent_initial_call=True,
    )
    for name in (ids.MODE, ids.ORDER):
        _register_choice(app, name)


def _register_choice(app: Any, name: str) -> None:
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "choose"),
        Output(name, "data"),
        Input(ids.choice(name, ALL), "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "press"),
        Output(ids.choice(name, ALL), "aria-pressed"),
        Input(name, "data"),
        State(ids.choice(name, ALL), "id"),
    )
