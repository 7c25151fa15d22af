"""What each endpoint needs and what of it the audit log gets: the one table.

An endpoint that is not in it is refused, whoever asks. Whose study it was stands nowhere here: what a request read or
changed says that itself (web.audit).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.audit import Action


@dataclass(frozen=True, slots=True)
class Endpoint:
    """needs: None where anybody may. records: what its row in the audit log says was done, or why it has none.

    is_on_worklist: it shows no more of a study than the worklist does, whose row is enough.
    """

    needs: Permission | None
    records: Action | str
    is_on_worklist: bool = False


PUBLIC: Final = None
"""Needs no sign-in: signing in itself, texts, and whether the server lives."""
_SCRIPTS: Final = "scripts and styles"
_FRAME: Final = "the viewer's empty frame"
_NO_STUDY: Final = "no study is touched"
_FORM: Final = "an empty form"

ENDPOINTS: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {
        "static": Endpoint(Permission.READ, _SCRIPTS),
        "worklist.index": Endpoint(Permission.READ, Action.LIST),
        "worklist.changes": Endpoint(Permission.READ, Action.LIST),
        "studies.create": Endpoint(Permission.UPLOAD, Action.UPLOAD),
        "studies.show": Endpoint(Permission.READ, Action.VIEW),
        "studies.show_json": Endpoint(Permission.READ, Action.VIEW),
        "studies.card": Endpoint(Permission.READ, Action.VIEW),
        "studies.status": Endpoint(Permission.READ, Action.VIEW),
        "images.thumbnail": Endpoint(Permission.READ, Action.VIEW, is_on_worklist=True),
        "images.radiograph": Endpoint(Permission.READ, Action.VIEW),
        "images.pixels": Endpoint(Permission.READ, Action.VIEW),
        "images.heatmap": Endpoint(Permission.READ, Action.VIEW),
        "images.report": Endpoint(Permission.READ, Action.EXPORT),
        "images.original": Endpoint(Permission.EXPORT, Action.EXPORT),
        "images.raise_priority": Endpoint(
            Permission.READ, "the queue's order; the viewer that asks for it has its row"
        ),
        "images.retry": Endpoint(Permission.UPLOAD, Action.RETRY),
        "reviews.show": Endpoint(Permission.READ, Action.VIEW),
        "reviews.priors": Endpoint(Permission.READ, Action.VIEW),
        "reviews.save": Endpoint(Permission.REVIEW, Action.REVIEW),
        "reviews.sign": Endpoint(Permission.REVIEW, Action.SIGN),
        "exports.study_csv": Endpoint(Permission.READ, Action.EXPORT),  # READ: studies.show_json tells the same
        "exports.predictions": Endpoint(Permission.EXPORT, Action.EXPORT),
        "exports.predictions_json": Endpoint(Permission.EXPORT, Action.EXPORT),
        "exports.reviews": Endpoint(Permission.EXPORT, Action.EXPORT),
        "exports.labels": Endpoint(Permission.EXPORT, Action.EXPORT),
        "exports.ask_delete": Endpoint(Permission.DELETE, Action.VIEW),
        "exports.delete": Endpoint(Permission.DELETE, Action.DELETE),
        "viewer_files.chart": Endpoint(Permission.READ, Action.VIEW),
        "viewer_files.plotly_script": Endpoint(Permission.READ, _SCRIPTS),
        "models.show": Endpoint(Permission.READ, _NO_STUDY),
        "models.card": Endpoint(Permission.READ, _NO_STUDY),
        "metrics.show": Endpoint(Permission.METRICS, "metrics without any study"),
        "account.show": Endpoint(Permission.ACCOUNT, _NO_STUDY),
        "account.set_password": Endpoint(Permission.ACCOUNT, Action.USER),
        "account.make_token": Endpoint(Permission.ACCOUNT, Action.TOKEN),
        "account.revoke_token": Endpoint(Permission.ACCOUNT, Action.TOKEN),
        "second_factor.show": Endpoint(Permission.ACCOUNT, _NO_STUDY),
        "second_factor.propose": Endpoint(Permission.ACCOUNT, Action.USER),
        "second_factor.confirm": Endpoint(Permission.ACCOUNT, Action.USER),
        "second_factor.new_codes": Endpoint(Permission.ACCOUNT, Action.USER),
        "second_factor.switch_off": Endpoint(Permission.ACCOUNT, Action.USER),
        "second_factor.ask": Endpoint(PUBLIC, _FORM),
        "second_factor.answer": Endpoint(PUBLIC, Action.SIGN_IN),
        "accounts.index": Endpoint(Permission.MANAGE, _NO_STUDY),
        "accounts.add": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.add_project": Endpoint(Permission.MANAGE, Action.PROJECT),
        "accounts.show": Endpoint(Permission.MANAGE, _NO_STUDY),
        "accounts.change": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.disable": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.enable": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.make_link": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.sign_out": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.switch_factor_off": Endpoint(Permission.MANAGE, Action.USER),
        "accounts.make_token": Endpoint(Permission.MANAGE, Action.TOKEN),
        "accounts.revoke_token": Endpoint(Permission.MANAGE, Action.TOKEN),
        "sign_in.show": Endpoint(PUBLIC, _FORM),
        "sign_in.submit": Endpoint(PUBLIC, Action.SIGN_IN),
        "sign_in.show_once": Endpoint(PUBLIC, _FORM),
        "sign_in.submit_once": Endpoint(PUBLIC, Action.SIGN_IN),
        "oidc.begin": Endpoint(PUBLIC, "leads to the provider"),
        "oidc.finish": Endpoint(PUBLIC, Action.SIGN_IN),
        "sign_in.sign_out": Endpoint(Permission.ACCOUNT, Action.SIGN_OUT),
        "languages.choose": Endpoint(PUBLIC, _NO_STUDY),
        "languages.texts": Endpoint(PUBLIC, _NO_STUDY),
        "health.healthz": Endpoint(PUBLIC, _NO_STUDY),
        "health.readyz": Endpoint(PUBLIC, _NO_STUDY),
        "/viewer/": Endpoint(Permission.READ, Action.VIEW),
        "/viewer/<path:path>": Endpoint(Permission.READ, Action.VIEW),
        "/viewer/_dash-update-component": Endpoint(Permission.READ, Action.VIEW),  # our callbacks only read
        "/viewer/_dash-dependencies": Endpoint(Permission.READ, _FRAME),
        "/viewer/_dash-layout": Endpoint(Permission.READ, Action.VIEW),
        "/viewer/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": Endpoint(
            Permission.READ, _SCRIPTS
        ),
        "/viewer/_favicon.ico": Endpoint(Permission.READ, _SCRIPTS),
        "/viewer/_reload-hash": Endpoint(Permission.READ, _SCRIPTS),
        "_viewer_dash_assets.static": Endpoint(Permission.READ, _SCRIPTS),
    }
)


def is_public(endpoint: str | None) -> bool:
    """Whether it needs no sign-in; nothing is said of single files of `static`."""
    found = ENDPOINTS.get(endpoint or "")
    return found is not None and found.needs is PUBLIC


BEFORE_SETUP: Final = frozenset(name for name, of in ENDPOINTS.items() if of.needs is PUBLIC) - {
    "sign_in.show",
    "sign_in.submit",
    "oidc.begin",
    "oidc.finish",
}
"""All that is served while a server in a container waits for its first administrator."""

PUBLIC_FILES: Final = frozenset({"css/app.css", "css/accounts.css", "favicon.svg"})
"""Of static/, what the sign-in page needs."""
