"""The pictures of an image: thumbnail, film, heatmaps, and the original file."""

import hashlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from flask import Blueprint, Response, request, send_file

from diagnosis_tool.cxr.heatmap import colour_table
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse
from diagnosis_tool.services.report import report_pdf
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("images", __name__, url_prefix="/instances/<uid>")

_DAY_S: Final = 24 * 3600
_COLOURS: Final = hashlib.sha256(colour_table().tobytes()).hexdigest()[:8]
"""In the tag of every heatmap: when a release draws them otherwise, browsers must not keep the old ones."""


@blueprint.get("/thumbnail.jpg")
def thumbnail(uid: str) -> Response:
    """The thumbnail that the worker made."""
    context = current_context()
    instance = browse.get_instance(context, uid)
    return _picture(f"{instance.sha256}-thumbnail", "image/jpeg", lambda: browse.thumbnail_jpeg(context, uid))


@blueprint.get("/radiograph.png")
def radiograph(uid: str) -> Response:
    """The film at full size, 8 bit grey."""
    context = current_context()
    instance = browse.get_instance(context, uid)
    return _picture(f"{instance.sha256}-film", "image/png", lambda: browse.radiograph_png(context, uid))


@blueprint.get("/heatmaps/<path:finding>.png")
def heatmap(uid: str, finding: str) -> Response:
    """The finding's map: transparent, to lie over the film; with ?blend=1 the film under it, to be saved."""
    context = current_context()
    instance = browse.get_instance(context, uid)
    tag = _heatmap_tag(instance, finding)
    if request.args.get("blend") != "1":
        return _picture(tag, "image/png", lambda: browse.heatmap_png(context, uid, finding))
    response = _picture(f"{tag}-blend", "image/png", lambda: browse.heatmap_blend_png(context, uid, finding))
    name = f"{PurePath(instance.file_name).stem}-{finding}-heatmap.png"
    response.headers.set("Content-Disposition", "attachment", filename=_plain(name))
    return response


@blueprint.get("/report.pdf")
def report(uid: str) -> Response:
    """One page of A4 with all that is known of the image, to be printed or sent on."""
    context = current_context()
    response = Response(report_pdf(context, uid), mimetype="application/pdf")
    name = f"{PurePath(browse.get_instance(context, uid).file_name).stem}-report.pdf"
    response.headers.set("Content-Disposition", "inline", filename=_plain(name))
    return response


@blueprint.get("/original")
def original(uid: str) -> Response:
    """The file exactly as it was sent, always to be saved: a browser must not guess what it is."""
    instance, file = browse.open_original(current_context(), uid)
    response = send_file(
        file,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=instance.file_name,
        etag=instance.sha256,
    )
    return _privately(response)


def _picture(tag: str, mimetype: str, make: Callable[[], bytes]) -> Response:
    unchanged = request.if_none_match.contains(tag)
    response = Response(status=304) if unchanged else Response(make(), mimetype=mimetype)
    response.set_etag(tag)
    return _privately(response)


def _privately(response: Response) -> Response:
    response.cache_control.clear()
    response.cache_control.private = True
    response.cache_control.max_age = _DAY_S
    return response


def _heatmap_tag(instance: Instance, finding: str) -> str:
    if instance.prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    position = [o.name for o in instance.prediction.outputs].index(instance.prediction.output(finding).name)
    return f"{instance.sha256}-{instance.prediction.identity.bundle_sha256[:16]}-{position}-{_COLOURS}"


def _plain(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("?", "_").replace("/", "_")
