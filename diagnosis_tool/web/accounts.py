"""For administrators: people with their roles and projects, the links, tokens and sign-ins of each."""

from datetime import timedelta
from http import HTTPStatus

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.access import PERMISSIONS, SCOPES, Permission, Role, User
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.errors import Conflict, DiagnosisToolError, RequestRefused
from diagnosis_tool.services import accounts, administration
from diagnosis_tool.services.accounts import Link, NewToken
from diagnosis_tool.web import auth
from diagnosis_tool.web.account import days_in
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.errors import status_of

blueprint = Blueprint("accounts", __name__, url_prefix="/accounts")


@blueprint.get("")
def index() -> AnyResponse:
    """Everybody in the administrator's projects."""
    return _list()


@blueprint.post("")
def add() -> AnyResponse:
    """A new account; the link that leads in stands on the page that comes back and nowhere else."""
    try:
        link = administration.add_person(
            current_context(), auth.current_user(), request.form.get("name", ""), _role(), _projects()
        )
    except (RequestRefused, Conflict) as error:
        return _list(problem=error)
    return _page(link.user.id, link=link)


@blueprint.post("/projects")
def add_project() -> AnyResponse:
    """A new project, which the administrator belongs to."""
    try:
        accounts.add_project(current_context(), auth.current_user(), request.form.get("name", ""))
    except (RequestRefused, Conflict) as error:
        return _list(problem=error)
    return redirect(url_for("accounts.index"), 303)


@blueprint.get("/<int(max=2147483647):user_id>")
def show(user_id: int) -> AnyResponse:
    """One of them."""
    return _page(user_id)


@blueprint.post("/<int(max=2147483647):user_id>")
def change(user_id: int) -> AnyResponse:
    """Role and projects."""
    try:
        administration.change_person(current_context(), auth.current_user(), _person(user_id), _role(), _projects())
    except (RequestRefused, Conflict) as error:
        return _page(user_id, problem=error)
    return _back(user_id)


@blueprint.post("/<int(max=2147483647):user_id>/disable")
def disable(user_id: int) -> AnyResponse:
    """Signs them out; nothing leads in any more."""
    context = current_context()
    try:
        context.users.disable(_charge(user_id).id, row=context.row)
    except Conflict as error:
        return _page(user_id, problem=error)
    return _back(user_id)


@blueprint.post("/<int(max=2147483647):user_id>/enable")
def enable(user_id: int) -> AnyResponse:
    """Undoes disable."""
    context = current_context()
    context.users.enable(_charge(user_id).id, row=context.row)
    return _back(user_id)


@blueprint.post("/<int(max=2147483647):user_id>/link")
def make_link(user_id: int) -> AnyResponse:
    """A link that leads in once; an earlier one ends."""
    try:
        link = accounts.make_link(current_context(), _charge(user_id))
    except RequestRefused as error:
        return _page(user_id, problem=error)
    return _page(user_id, link=link)


@blueprint.post("/<int(max=2147483647):user_id>/sign-out")
def sign_out(user_id: int) -> AnyResponse:
    """Ends all of their sign-ins, and a link that they have."""
    context = current_context()
    context.credentials.end_sign_ins(_charge(user_id).id, row=context.row)
    return _back(user_id)


@blueprint.post("/<int(max=2147483647):user_id>/second-factor/off")
def switch_factor_off(user_id: int) -> AnyResponse:
    """For who lost app and recovery codes: the password alone leads in again."""
    context = current_context()
    context.second_factors.remove(_charge(user_id).id, row=context.row)
    return _back(user_id)


@blueprint.post("/<int(max=2147483647):user_id>/tokens")
def make_token(user_id: int) -> AnyResponse:
    """A token that acts for them; its secret stands on the page that comes back and nowhere else."""
    user, form = _person(user_id), request.form
    scopes = {scope for scope in SCOPES if scope in form.getlist("scope")}
    try:
        made = administration.make_token(
            current_context(),
            auth.current_user(),
            user,
            form.get("name", ""),
            scopes,
            timedelta(days=days_in(form.get("days", ""))),
        )
    except RequestRefused as error:
        return _page(user_id, problem=error)
    return _page(user_id, made=made)


@blueprint.post("/<int(max=2147483647):user_id>/tokens/<int(max=2147483647):token_id>/revoke")
def revoke_token(user_id: int, token_id: int) -> AnyResponse:
    """Their token leads in no more."""
    context = current_context()
    context.credentials.revoke(token_id, user_id=_charge(user_id).id, row=context.row)
    return _back(user_id)


def _person(user_id: int) -> User:
    return administration.person(current_context(), auth.current_user(), user_id)


def _charge(user_id: int) -> User:
    user = _person(user_id)
    administration.require_charge(auth.current_user(), user)
    return user


def _role() -> Role:
    said = request.form.get("role", "")
    if said not in list(Role):
        raise RequestRefused("Choose a role.")
    return Role(said)


def _projects() -> set[int]:
    return {
        int(text) for text in request.form.getlist("project") if text.isascii() and text.isdigit() and len(text) < 10
    }


def _back(user_id: int) -> AnyResponse:
    """To their page, or the list where that was the last project that one shares with them."""
    shared = any(user.id == user_id for user in administration.people(current_context(), auth.current_user()))
    return redirect(url_for("accounts.show", user_id=user_id) if shared else url_for("accounts.index"), 303)


def _list(*, problem: DiagnosisToolError | None = None) -> AnyResponse:
    admin = auth.current_user()
    people = administration.people(current_context(), admin)
    return _answer(
        "accounts.html", problem, admin=admin, people=people, roles=list(Role), name=request.form.get("name")
    )


def _page(
    user_id: int,
    *,
    problem: DiagnosisToolError | None = None,
    link: Link | None = None,
    made: NewToken | None = None,
) -> AnyResponse:
    context, admin, user = current_context(), auth.current_user(), _person(user_id)
    return _answer(
        "person.html",
        problem,
        admin=admin,
        user=user,
        is_in_charge=administration.is_in_charge(admin, user),
        foreign=len([project for project in user.projects if project not in admin.projects]),
        roles=list(Role),
        sign_ins=context.credentials.sign_ins(user.id),
        link_until=context.credentials.link_until(user.id),
        has_second_factor=context.second_factors.of(user.id) is not None,
        tokens=context.credentials.tokens(user.id),
        scopes=[scope for scope in Permission if scope in SCOPES & PERMISSIONS[user.role]],
        days=accounts.TOKEN_DAYS,
        most_days=accounts.MAX_TOKEN_DAYS,
        link=link,
        made=made,
    )


def _answer(template: str, problem: DiagnosisToolError | None, **values: object) -> AnyResponse:
    words = _(problem.message, **problem.values) if problem else None
    status = status_of(problem) if problem else HTTPStatus.OK
    return make_response(render_template(template, problem=words, **values), status)
