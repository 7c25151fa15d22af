"""Signing in at the provider that the settings name: there and back. It is asked nothing before somebody wants in."""

import logging
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Flask, current_app, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.domain.identity import IdentityProvider
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.errors import DiagnosisToolError, NotAllowed, NotFound, NotSignedIn, ProviderDown
from diagnosis_tool.web import audit, auth, security
from diagnosis_tool.web.audit import Note
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.errors import status_of

if TYPE_CHECKING:
    from diagnosis_tool.services.oidc import OidcSignIn

blueprint = Blueprint("oidc", __name__, url_prefix="/sign-in/provider")

_log: Final = logging.getLogger(__name__)
_SIGN_IN: Final = "diagnosis_tool.oidc"
_PENDING: Final = "oidc"
_LASTS_S: Final = 600
"""How long somebody may take at the provider."""
_LONGEST_TARGET: Final = 1000
"""All of it travels in a cookie, of which browsers keep 4 kB."""


def install(app: Flask, provider: IdentityProvider | None) -> None:
    """The way there and back; without a provider both addresses lead nowhere."""
    app.extensions[_SIGN_IN] = None
    if provider is not None:
        from diagnosis_tool.services.oidc import OidcSignIn  # who has no provider loads nothing that talks to one

        app.extensions[_SIGN_IN] = OidcSignIn(provider)
    app.jinja_env.globals["identity_provider"] = provider
    app.register_blueprint(blueprint)


@blueprint.get("")
def begin() -> AnyResponse:
    """Sends the browser to the provider; what it has to come back with stays in its cookie here."""
    target = auth.own_path(request.args.get("next"))
    if auth.signed_in_user() is not None:
        return redirect(target, 303)
    try:
        begun = _provider().begin(url_for("oidc.finish", _external=True))
    except ProviderDown as error:
        return _refused(error, target)
    kept = target if len(target) <= _LONGEST_TARGET else auth.own_path(None)
    session[_PENDING] = {**asdict(begun), "next": kept, "at": time.time()}
    return security.unkept(redirect(begun.address, 303))


@blueprint.get("/callback")
def finish() -> AnyResponse:
    """Signs in whom the provider vouches for, and goes on to the page that was asked for. An answer counts once."""
    pending: dict[str, Any] | None = session.pop(_PENDING, None)
    target = auth.own_path(pending["next"] if pending else None)
    try:
        user = _vouched_for(pending)
    except (NotSignedIn, NotAllowed, ProviderDown) as error:
        why = str(error.values.get("why", ""))
        _log.warning("a sign-in at the provider was refused: %s", why)
        user_id = error.values.get("user_id")
        known = user_id if isinstance(user_id, int) else None
        name = str(error.values.get("user", ""))
        audit.note(Note(user_id=known, user_name=name, detail=why, is_knock=not name))
        return _refused(error, target)
    auth.begin(user)
    return security.unkept(redirect(target, 303))


def _vouched_for(pending: dict[str, Any] | None) -> User:
    """Whom this request's address proves to be there. Raises NotSignedIn, NotAllowed, ProviderDown."""
    provider = _provider()
    if pending is None or time.time() - pending.pop("at") > _LASTS_S:
        raise provider.refused("no sign-in was begun here")
    del pending["next"]
    context = replace(current_context(), row=audit.row_of(Action.USER, provider.name))
    return provider.finish(context, pending, request.args)


def _provider() -> "OidcSignIn":
    found: OidcSignIn | None = current_app.extensions[_SIGN_IN]
    if found is None:
        raise NotFound("There is no such page. Go back to the worklist.")
    return found


def _refused(error: DiagnosisToolError, target: str) -> AnyResponse:
    words = _(error.message, **error.values)
    return security.unkept(
        make_response(render_template("sign_in.html", problem=words, target=target), status_of(error))
    )
