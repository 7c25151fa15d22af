"""Signing in, by name and password or by a link that works once, and signing out."""

from dataclasses import replace
from http import HTTPStatus

from flask import Blueprint, Flask, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.errors import DiagnosisToolError, NotAllowed, NotSignedIn, RequestRefused, TooManyAttempts
from diagnosis_tool.services import accounts, passwords
from diagnosis_tool.web import audit, auth, guessing, second_factor, security
from diagnosis_tool.web.audit import Note
from diagnosis_tool.web.current import current_context
from diagnosis_tool.web.local_sign_in import require_local

blueprint = Blueprint("sign_in", __name__)


def install(app: Flask) -> None:
    """The pages, and the count of who failed."""
    guessing.install(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(second_factor.blueprint)


@blueprint.get("/sign-in")
def show() -> AnyResponse:
    """The form; who is signed in already goes on."""
    target = auth.own_path(request.args.get("next"))
    if auth.signed_in_user() is not None:
        return redirect(target, 303)
    return make_response(render_template("sign_in.html", target=target))


@blueprint.post("/sign-in")
def submit() -> AnyResponse:
    """Signs in, unless a second factor is asked for first, and goes on to the page that was asked for."""
    target = auth.own_path(request.form.get("next"))
    name = request.form.get("name", "")
    shown = name if accounts.may_be_name(name) else ""
    try:
        require_local()
        with guessing.sign_in(name):
            user = accounts.check_password(current_context(), name, request.form.get("password", ""))
        require_local(user)
    except NotAllowed as error:
        tried = _tried(name)
        audit.note(replace(tried, detail="local sign-in is off", is_knock=tried.user_id is None))
        return _again("sign_in.html", error, HTTPStatus.FORBIDDEN, target=target, name=shown)
    except TooManyAttempts as error:
        again = _again("sign_in.html", error, HTTPStatus.TOO_MANY_REQUESTS, target=target, name=shown)
        return guessing.too_many(again, error)
    except NotSignedIn as error:
        audit.note(_tried(name))
        return _again("sign_in.html", error, HTTPStatus.UNAUTHORIZED, target=target, name=shown)
    return second_factor.go_on(user, target)


@blueprint.get("/sign-in/once/<secret>")
def show_once(secret: str) -> AnyResponse:
    """Asks for the password that is to be set. Nothing happens by looking: mail scanners follow links, too."""
    return security.unkept(render_template("set_password.html", **_about(secret)))


@blueprint.post("/sign-in/once/<secret>")
def submit_once(secret: str) -> AnyResponse:
    """Sets the password, ends the link, and signs in."""
    password = request.form.get("password", "")
    try:
        require_local(accounts.link_user(current_context(), secret))
        passwords.check_repeated(password, request.form.get("again", ""))
        user = accounts.use_link(current_context(), secret, password)
    except RequestRefused as error:
        return _again("set_password.html", error, HTTPStatus.UNPROCESSABLE_ENTITY, **_about(secret))
    return security.unkept(second_factor.go_on(user, url_for("worklist.index")))


@blueprint.post("/sign-out")
def sign_out() -> AnyResponse:
    """Signs out here; the browser forgets the films and drafts that it keeps."""
    user = auth.current_user()
    audit.note(Note(user_id=user.id, user_name=user.name))
    auth.end()
    response = redirect(url_for("sign_in.show"), 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _tried(name: str) -> Note:
    """Whose account somebody tried; a name that nobody has is not written down: it may be a password."""
    user = accounts.user_named(current_context(), name)
    known = Note(user_id=user.id, user_name=user.name, detail="wrong password") if user else None
    return known or Note(user_name="", detail="no such user")


def _about(secret: str) -> dict[str, object]:
    user = accounts.link_user(current_context(), secret)
    require_local(user)
    return {
        "user": user,
        "secret": secret,
        "shortest": passwords.SHORTEST,
        "longest": passwords.LONGEST,
    }


def _again(template: str, error: DiagnosisToolError, status: HTTPStatus, **values: object) -> Response:
    words = _(error.message, **error.values)
    return security.unkept(make_response(render_template(template, problem=words, **values), status))
