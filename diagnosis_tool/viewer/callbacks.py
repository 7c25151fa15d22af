"""How the viewer reacts. One callback asks the server, and only reads.

The others run in the browser (static/js/viewer/bootstrap.js):

another address, tick -> content                                server
content        -> film, review; selected -> course              browser
an image that waits -> POST: it is read first                   browser

The first content comes with the layout (mount). All else needs no callback: the scripts in static/js do it.
"""

from collections.abc import Callable, Set
from typing import Any, Final

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.bundles import aucs, screening_thresholds
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import facts, ids, layout, links

_NAMESPACE: Final = "viewer"


def register(app: Dash, context: Callable[[], Context], allowed: Callable[[], Set[Permission]]) -> None:
    """Puts all callbacks on the app. context, allowed: give the context of whoever asks, and what they may do."""
    _register_content(app, context, allowed)
    _register_browser(app)


def content(context: Context, search: str | None, allowed: Set[Permission]) -> tuple[list[Any], bool]:
    """(components, nothing more will change) for the viewer's query string; only what is allowed is offered."""
    uid, wanted = links.parse_search(search)
    if uid is None:
        return layout.message_view(_("No image was chosen"), _("Open one from a study's page.")), True
    try:
        instance = browse.get_instance(context, uid)
        older, newer = context.studies.neighbours(instance.study_uid, context.projects)
        place = facts.Place(study=browse.get_study(context, instance.study_uid), older=older, newer=newer)
        shown = shown_of(context, place, instance)
    except NotFound as error:
        return layout.message_view(_("Not found"), _(error.message, **error.values)), True
    if shown is None:
        return layout.unread_view(place, instance, allowed), instance.state.is_final
    return layout.prediction_view(shown, wanted, allowed), True


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


def _register_content(app: Dash, context: Callable[[], Context], allowed: Callable[[], Set[Permission]]) -> None:
    @app.callback(
        Output(ids.CONTENT, "children"),
        Output(ids.TICK, "disabled"),
        Input(ids.LOCATION, "search"),
        Input(ids.TICK, "n_intervals"),
        prevent_initial_call=True,  # the layout brings the first content
    )
    def show(search: str | None, _ticks: int | None) -> tuple[Any, bool]:
        children, is_final = content(context(), search, allowed())
        # while the image waits the words stay the same: leave them alone, a screen reader would read them again
        if ctx.triggered_id == ids.TICK and not is_final:
            return no_update, False
        return children, is_final


def _register_browser(app: Any) -> None:  # Dash.clientside_callback has no types
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "showImage"),
        Output(ids.SHOWN, "data"),  # without one, Dash would not call it for content that comes later
        Input(ids.FACTS, "data"),
        State(ids.SELECTED, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "drawTrend"),
        Output(ids.TREND, "figure"),
        Input(ids.SELECTED, "data"),
        State(ids.FACTS, "data"),
    )
    app.clientside_callback(
        ClientsideFunction(_NAMESPACE, "raisePriority"), Output(ids.RAISED, "data"), Input(ids.WAITING, "data")
    )
