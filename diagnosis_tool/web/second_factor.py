"""The second factor: asked for after the password, set up and changed on one's own account."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.audit import Outcome
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import DiagnosisToolError, NotFound, NotSignedIn, RequestRefused, TooManyAttempts
from diagnosis_tool.services import accounts
from diagnosis_tool.services import second_factor as service
from diagnosis_tool.web import audit, auth, guessing, security
from diagnosis_tool.web.audit import Note
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.errors import status_of

blueprint = Blueprint("second_factor", __name__)

_KEY: Final = "password_was_right"
_LASTS_S: Final = 300
"""How long the code may be waited for after the password."""
_WRONG: Final = gettext_noop("The present password is wrong. Nothing was changed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What stands on the account's page once: recovery codes, or what is wrong."""

    codes: Sequence[str] = ()
    problem: DiagnosisToolError | None = None


def go_on(user: User, target: str) -> AnyResponse:
    """For who proved their password: signs in and leads to the target, or asks for the code first."""
    if not service.state(current_context(), user).is_on:
        auth.begin(user)
        return guessing.remember(redirect(target, 303), user)
    audit.note(Note(user_id=user.id, user_name=user.name, detail="code needed", outcome=Outcome.REFUSED))
    session[_KEY] = {"id": user.id, "at": int(time.time()), "password": _mark_of_password(user)}
    return redirect(url_for("second_factor.ask", next=target), 303)


@blueprint.get("/sign-in/code")
def ask() -> AnyResponse:
    """The form; who did not prove a password is led back to where that is done."""
    target = auth.own_path(request.args.get("next"))
    return _form(target) if _waiting() else redirect(url_for("sign_in.show", next=target), 303)


@blueprint.post("/sign-in/code")
def answer() -> AnyResponse:
    """Signs in and goes on to the page that was asked for."""
    target, user = auth.own_path(request.form.get("next")), _waiting()
    if user is None:
        audit.note(Note(user_name="", detail="too late for a code", outcome=Outcome.REFUSED, is_knock=True))
        return redirect(url_for("sign_in.show", next=target), 303)
    code = request.form.get("code", "")
    try:
        with guessing.code(user):
            service.check(current_context(), user, _server_key(), code)
    except TooManyAttempts as error:
        return guessing.too_many(_form(target, error), error)
    except NotSignedIn as error:
        audit.note(Note(user_id=user.id, user_name=user.name, detail="wrong code"))
        return _form(target, error)
    auth.begin(user)
    return guessing.remember(redirect(target, 303), user)


@blueprint.get("/account/second-factor")
def show() -> AnyResponse:
    """Whether there is one, and what can be done."""
    return _page(_Told())


@blueprint.post("/account/second-factor")
def propose() -> AnyResponse:
    """Makes one up; it counts once a code was typed."""
    try:
        _require_password()
        service.propose(current_context(), auth.current_user(), _server_key())
    except DiagnosisToolError as error:
        return _refused(error)
    return redirect(url_for("second_factor.show"), 303)


@blueprint.post("/account/second-factor/confirm")
def confirm() -> AnyResponse:
    """Switches it on; tells the recovery codes, and ends all other sign-ins."""
    user = auth.current_user()
    try:
        codes = service.confirm(current_context(), user, _server_key(), request.form.get("code", ""))
    except DiagnosisToolError as error:
        return _refused(error)
    auth.begin(user)
    return guessing.remember(_page(_Told(codes=codes)), user)


@blueprint.post("/account/second-factor/codes")
def new_codes() -> AnyResponse:
    """New recovery codes instead of those before."""
    try:
        _require_password()
        return _page(_Told(codes=service.new_codes(current_context(), auth.current_user())))
    except DiagnosisToolError as error:
        return _refused(error)


@blueprint.post("/account/second-factor/off")
def switch_off() -> AnyResponse:
    """The password alone leads in again."""
    context = current_context()
    try:
        _require_password()
        context.second_factors.remove(auth.current_user().id, row=context.row)
    except DiagnosisToolError as error:
        return _refused(error)
    return redirect(url_for("second_factor.show"), 303)


def _waiting() -> User | None:
    """Whose password was right a moment ago, in this browser, and still is theirs."""
    said = session.get(_KEY)
    if not isinstance(said, dict) or not 0 <= time.time() - said.get("at", 0) < _LASTS_S:
        return None
    try:
        user = current_context().users.get(said["id"])
    except NotFound:
        return None
    return user if user.can_sign_in and _mark_of_password(user) == said["password"] else None


def _mark_of_password(user: User) -> str:
    """Tells one password's hash from the next one's, and nothing else."""
    found = current_context().users.password_hash(user.name)
    return hashlib.sha256((found[1] if found else "").encode()).hexdigest()[:16]


def _require_password() -> None:
    """Asks for the password again: whoever sits down at an open session must not change how one signs in."""
    try:
        with guessing.own_password():
            name = auth.current_user().name
            accounts.check_password(current_context(), name, request.form.get("present", ""))
    except NotSignedIn:
        raise RequestRefused(_WRONG) from None


def _server_key() -> str:
    return str(current_app.secret_key)


def _refused(error: DiagnosisToolError) -> Response:
    response = _page(_Told(problem=error), status_of(error))
    return guessing.too_many(response, error) if isinstance(error, TooManyAttempts) else response


def _page(told: _Told, status: HTTPStatus = HTTPStatus.OK) -> Response:
    context, user, error = current_context(), auth.current_user(), told.problem
    values = {
        "state": service.state(context, user),
        "proposal": service.proposal(context, user, _server_key()),
        "codes": told.codes,
        "problem": _(error.message, **error.values) if error else None,
    }
    return security.unkept(make_response(render_template("second_factor.html", user=user, **values), status))


def _form(target: str, error: DiagnosisToolError | None = None) -> Response:
    problem = _(error.message, **error.values) if error else None
    page = render_template("code.html", target=target, problem=problem)
    return security.unkept(make_response(page, status_of(error) if error else HTTPStatus.OK))
