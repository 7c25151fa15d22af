"""The pictures of an image: thumbnail, film, grey values, heatmaps, the original file; and that it is looked at."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from flask import Blueprint, Response, redirect, request, send_file, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.cxr.heatmap import colour_table
from diagnosis_tool.domain.jobs import Priority
from diagnosis_tool.domain.studies import Instance
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse, pictures
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
    name = browse.get_name(context, uid)
    return _picture(f"{name.sha256}-thumbnail", "image/jpeg", lambda: context.studies.thumbnail(uid, context.projects))


@blueprint.get("/radiograph.png")
def radiograph(uid: str) -> Response:
    """The film at full size, 8 bit grey."""
    context = current_context()
    instance = browse.get_instance(context, uid)
    return _picture(
        f"{pictures.film_tag(instance)}-film", "image/png", lambda: pictures.radiograph_png(context, instance)
    )


@blueprint.get("/pixels")
def pixels(uid: str) -> Response:
    """The film's grey values as they are: rows from the top, one byte a pixel, or two (little-endian) above 8 bits.

    Columns, rows, bits, spacing (row,column) and view position stand in headers. No canvas reads a 16-bit PNG.
    """
    context = current_context()
    instance = browse.get_instance(context, uid)
    tag = f"{pictures.film_tag(instance)}-pixels"
    if request.if_none_match.contains(tag):
        return _picture(tag, "application/octet-stream", bytes)
    film = pictures.radiograph(context, instance)
    little_endian = film.pixels.astype(film.pixels.dtype.newbyteorder("<"), copy=False)
    response = _picture(tag, "application/octet-stream", little_endian.tobytes)
    response.headers["X-Columns"], response.headers["X-Rows"] = str(film.width_px), str(film.height_px)
    response.headers["X-Bits-Allocated"] = str(8 * film.pixels.dtype.itemsize)
    response.headers["X-Bits-Stored"] = str(film.bits)
    response.headers["X-View-Position"] = film.view_position
    if film.pixel_spacing_mm is not None:
        response.headers["X-Pixel-Spacing-Mm"] = ",".join(f"{side:g}" for side in film.pixel_spacing_mm)
    return _compressed(response)


@blueprint.post("/attend")
def raise_priority(uid: str) -> Response:
    """The viewer has this image open: it is read before all others."""
    context = current_context()
    context.jobs.raise_priority(browse.get_name(context, uid).uid, context.projects, Priority.LOOKED_AT)
    return Response(status=204)


@blueprint.post("/retry")
def retry(uid: str) -> AnyResponse:
    """Reads a failed image again; 409 for one that did not fail. A page's form goes back to the study."""
    context = current_context()
    name = browse.get_name(context, uid)
    context.jobs.retry(uid, context.projects, row=context.row)
    if not request.form:
        return Response(status=204)
    return redirect(url_for("studies.show", uid=name.study_uid), 303)


@blueprint.get("/heatmaps/<path:finding>.png")
def heatmap(uid: str, finding: str) -> Response:
    """The finding's map: transparent, to lie over the film; with ?blend=1 the film under it, to be saved."""
    context = current_context()
    instance = browse.get_instance(context, uid)
    tag = _heatmap_tag(instance, finding)
    if request.args.get("blend") != "1":
        return _picture(tag, "image/png", lambda: pictures.heatmap_png(instance, finding))
    response = _picture(f"{tag}-blend", "image/png", lambda: pictures.heatmap_blend_png(context, instance, finding))
    name = f"{PurePath(instance.file_name).stem}-{finding}-heatmap.png"
    response.headers.set("Content-Disposition", "attachment", filename=_plain(name))
    return response


@blueprint.get("/report.pdf")
def report(uid: str) -> Response:
    """One page of A4 with all that is known of the image, to be printed or sent on."""
    context = current_context()
    response = Response(report_pdf(context, uid), mimetype="application/pdf")
    name = f"{PurePath(browse.get_name(context, uid).file_name).stem}-report.pdf"
    response.headers.set("Content-Disposition", "inline", filename=_plain(name))
    return response


@blueprint.get("/original")
def original(uid: str) -> Response:
    """The file exactly as it was sent, always to be saved: a browser must not guess what it is."""
    context = current_context()
    name = browse.get_name(context, uid)
    file = context.blobs.open(name.sha256)
    response = send_file(
        file,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=pictures.original_name(name.file_name, file),
        etag=name.sha256,
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


def _compressed(response: Response) -> Response:
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        # level 1: films hardly shrink further, and this is what the reader waits for
        response.set_data(gzip.compress(response.get_data(), compresslevel=1, mtime=0))
        response.content_encoding = "gzip"
    return response


def _heatmap_tag(instance: Instance, finding: str) -> str:
    if instance.prediction is None:
        raise NotFound("This image has no heatmaps: it is not read (yet).")
    position = [o.name for o in instance.prediction.outputs].index(instance.prediction.output(finding).name)
    return f"{instance.sha256}-{instance.prediction.identity.bundle_sha256[:16]}-{position}-{_COLOURS}"


def _plain(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("?", "_").replace("/", "_")
