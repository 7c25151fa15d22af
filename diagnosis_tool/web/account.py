"""One's own account: the password, and the API tokens that one's scripts send."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import PERMISSIONS, SCOPES, Permission
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import DiagnosisToolError, NotSignedIn, RequestRefused, TooManyAttempts
from diagnosis_tool.services import accounts, passwords, second_factor
from diagnosis_tool.services.accounts import NewToken
from diagnosis_tool.web import audit, auth, guessing
from diagnosis_tool.web.audit import Note
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("account", __name__, url_prefix="/account")

_WRONG: Final = gettext_noop("The present password is wrong. Nothing was changed.")


@blueprint.get("")
def show() -> AnyResponse:
    """Who one is here, the password, the tokens."""
    return _page(has_changed=request.args.get("changed") == "1")


@blueprint.post("/password")
def set_password() -> AnyResponse:
    """Changes the password; every other sign-in and all API tokens end, and this sign-in gets a new id."""
    user, new = auth.current_user(), request.form.get("password", "")
    audit.note(Note(detail="password"))
    try:
        passwords.check_repeated(new, request.form.get("again", ""))
        with guessing.own_password():
            accounts.change_password(current_context(), user, request.form.get("present", ""), new)
    except TooManyAttempts as error:
        return guessing.too_many(_page(problem=error, status=HTTPStatus.TOO_MANY_REQUESTS), error)
    except NotSignedIn:
        return _page(problem=RequestRefused(_WRONG))
    except RequestRefused as error:
        return _page(problem=error)
    auth.begin(user)
    return guessing.remember(redirect(url_for("account.show", changed=1), 303), user)


@blueprint.post("/tokens")
def make_token() -> AnyResponse:
    """A new token; its secret stands on the page that comes back and nowhere else."""
    scopes = {scope for scope in SCOPES if scope in request.form.getlist("scope")}
    try:
        lifetime = timedelta(days=days_in(request.form.get("days", "")))
        made = accounts.make_token(
            current_context(), auth.current_user(), request.form.get("name", ""), scopes, lifetime
        )
    except RequestRefused as error:
        return _page(problem=error)
    return _page(made=made)


@blueprint.post("/tokens/<int(max=2147483647):token_id>/revoke")
def revoke_token(token_id: int) -> AnyResponse:
    """One's own token leads in no more."""
    context = current_context()
    context.credentials.revoke(token_id, user_id=auth.current_user().id, row=context.row)
    return redirect(url_for("account.show"), 303)


def days_in(text: str) -> int:
    """The number that was written; 0, which is refused with words, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _page(
    *,
    problem: DiagnosisToolError | None = None,
    status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
    made: NewToken | None = None,
    has_changed: bool = False,
) -> Response:
    user = auth.current_user()
    page = render_template(
        "account.html",
        user=user,
        tokens=current_context().credentials.tokens(user.id),
        scopes=[scope for scope in Permission if scope in SCOPES & PERMISSIONS[user.role]],
        days=accounts.TOKEN_DAYS,
        most_days=accounts.MAX_TOKEN_DAYS,
        has_second_factor=second_factor.state(current_context(), user).is_on,
        shortest=passwords.SHORTEST,
        longest=passwords.LONGEST,
        problem=_(problem.message, **problem.values) if problem else None,
        made=made,
        has_changed=has_changed,
    )
    return make_response(page, status if problem else HTTPStatus.OK)
