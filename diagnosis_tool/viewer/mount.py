"""Mounts the Dash app on the Flask app.

The browser asks for layout, dependencies and film while it still reads the page, and the layout comes with the content
of the page's address: Dash draws it in one go, without asking a callback first (docs/adr/0008).
"""

from collections.abc import Callable, Mapping, Set

from dash import Dash
from dash.development.base_component import Component
from flask import Flask, Response, after_this_request, g, render_template, request

from diagnosis_tool import resources
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, files, layout, links, refusals


def mount_viewer(server: Flask, context: Callable[[], Context]) -> None:
    """Serves the viewer at /viewer/. context: gives the context of whoever asks."""
    server.extensions[files.CONTEXT_KEY] = context
    server.register_blueprint(files.blueprint)
    app = Dash(
        "diagnosis_tool.viewer",
        server=server,  # type: ignore[arg-type]  # Dash's types forget the Flask app
        url_base_pathname=links.PREFIX,
        update_title=None,  # type: ignore[arg-type]  # None is documented: the title must not flicker
        include_assets_files=False,
        suppress_callback_exceptions=True,  # the content comes and goes with the address
    )
    app.interpolate_index = lambda **dash: _index(context(), dash)  # type: ignore[method-assign]
    app.layout = lambda: _layout(context())  # made for each request: in its language, with its content
    callbacks.register(app, context, _allowed)
    refusals.install(server, app)


def _layout(context: Context) -> Component:
    """The page with the content of the address that asks for it; empty where the browser does not say which."""
    after_this_request(_never_kept)
    address, mark, query = (request.referrer or "").partition("?")
    if not address.endswith(links.PREFIX) or not query:  # browsers can be set to leave the query out
        return layout.page([])
    search = mark + query
    content, is_final = callbacks.content(context, search, _allowed())
    return layout.page(content, is_final=is_final, search=search)


def _never_kept(response: Response) -> Response:
    # one address for all images: who goes back to a page gets what the browser has kept, without asking, and that may
    # be another image's
    response.headers["Cache-Control"] = "no-store"
    return response


def _index(context: Context, dash: Mapping[str, str]) -> str:
    """The page that Dash draws in. dash: the pieces that Dash wants to stand in it."""
    folder = resources.static_dir()
    modules = [str(file.relative_to(folder)) for file in sorted((folder / "js" / "viewer").glob("*.js"))]
    return render_template("viewer.html", dash=dash, modules=modules, fetched_at_once=_fetched_at_once(context))


def _allowed() -> Set[Permission]:
    """What whoever asks may do: web.auth has let them in."""
    allowed: Set[Permission] = g.permissions
    return allowed


def _fetched_at_once(context: Context) -> dict[str, str]:
    """What Dash and the scripts will ask for first, by its address: as what. Film and top maps where there are some."""
    at_once = dict.fromkeys((f"{links.PREFIX}_dash-layout", f"{links.PREFIX}_dash-dependencies"), "fetch")
    uid, _ = links.parse_search(request.query_string.decode("latin-1"))  # as the layout reads it, so that both agree
    try:
        prediction = browse.get_instance(context, uid).prediction if uid else None
    except NotFound:
        return at_once  # the layout has words for it
    if uid and prediction:
        at_once[links.pixels(uid)] = "fetch"
        at_once |= {links.heatmap(uid, name): "image" for name in prediction.top}
    return at_once
