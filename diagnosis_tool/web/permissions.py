"""What each endpoint needs: the one table. An endpoint that is not in it is refused, whoever asks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from diagnosis_tool.domain.access import Permission

PUBLIC: Final = frozenset(
    {
        "sign_in.show",
        "sign_in.submit",
        "sign_in.show_once",
        "sign_in.submit_once",
        "languages.choose",
        "languages.texts",
        "health.healthz",
        "health.readyz",
    }
)
"""Needs no sign-in: the way in, and whether the server lives."""

BEFORE_SETUP: Final = PUBLIC - {"sign_in.show", "sign_in.submit"}
"""All that is served while a server in a container waits for its first administrator."""

PUBLIC_FILES: Final = frozenset({"css/app.css", "favicon.svg", "js/texts.js"})
"""Of static/, what the sign-in page needs."""

_DASH: Final = (
    "/viewer/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>",
    "/viewer/_dash-layout",
    "/viewer/_dash-dependencies",
    "/viewer/_dash-update-component",  # our callbacks only read
    "/viewer/_reload-hash",
    "/viewer/_favicon.ico",
    "/viewer/",
    "/viewer/<path:path>",
    "_viewer_dash_assets.static",
)

NEEDED: Final[Mapping[str, Permission]] = MappingProxyType(
    {
        "static": Permission.READ,
        "worklist.index": Permission.READ,
        "worklist.changes": Permission.READ,
        "studies.create": Permission.UPLOAD,
        "studies.show": Permission.READ,
        "studies.show_json": Permission.READ,
        "studies.status": Permission.READ,
        "studies.card": Permission.READ,
        "images.thumbnail": Permission.READ,
        "images.radiograph": Permission.READ,
        "images.pixels": Permission.READ,
        "images.heatmap": Permission.READ,
        "images.report": Permission.READ,
        "images.original": Permission.EXPORT,
        "images.raise_priority": Permission.READ,  # the queue's order alone
        "images.retry": Permission.UPLOAD,
        "models.show": Permission.READ,
        "models.card": Permission.READ,
        "reviews.show": Permission.READ,
        "reviews.priors": Permission.READ,
        "reviews.save": Permission.REVIEW,
        "reviews.sign": Permission.REVIEW,
        "exports.study_csv": Permission.READ,  # what studies.show_json tells
        "exports.readings": Permission.EXPORT,
        "exports.readings_json": Permission.EXPORT,
        "exports.reviews": Permission.EXPORT,
        "exports.labels": Permission.EXPORT,
        "exports.ask_delete": Permission.DELETE,
        "exports.delete": Permission.DELETE,
        "viewer_files.plotly_script": Permission.READ,
        "viewer_files.figure": Permission.READ,
        "metrics.show": Permission.METRICS,
        "account.show": Permission.ACCOUNT,
        "account.set_password": Permission.ACCOUNT,
        "account.make_token": Permission.ACCOUNT,
        "account.revoke_token": Permission.ACCOUNT,
        "sign_in.sign_out": Permission.ACCOUNT,
        **dict.fromkeys(_DASH, Permission.READ),
    }
)
