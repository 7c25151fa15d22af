"""Who reads: the chooser in every page's head. Until accounts come, anybody at this machine may choose."""

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool.errors import NotFound, RequestRefused
from diagnosis_tool.services import review
from diagnosis_tool.storage.tables import LOCAL_USER_ID
from diagnosis_tool.storage.users import User
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("readers", __name__)

_KEY: Final = "reader"


def current_reader() -> User:
    """The reader who was chosen in this browser, else the local reader."""
    context = current_context()
    try:
        return review.choose_reader(context, int(session.get(_KEY, LOCAL_USER_ID)))
    except (NotFound, ValueError, TypeError):
        return review.choose_reader(context, LOCAL_USER_ID)


def all_readers() -> tuple[User, ...]:
    """For the chooser."""
    return review.list_readers(current_context())


@blueprint.post("/reader")
def choose() -> AnyResponse:
    """Chooses the reader of the form field `reader` (an id), or adds one called `name`; goes back to the page."""
    context = current_context()
    if name := request.form.get("name", ""):
        chosen = review.add_reader(context, name)
    else:
        chosen = review.choose_reader(context, _id(request.form.get("reader", "")))
    session[_KEY] = chosen.id
    session.permanent = True
    return redirect(_back(), 303)


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestRefused("No reader was chosen. Choose one from the list, or write a name.")
    return int(text)


def _back() -> str:
    """The page that the form stood on, if it is one of ours."""
    came = urlsplit(request.referrer or "")
    own = came.netloc == request.host and came.path.startswith("/") and not came.path.startswith("//")
    return f"{came.path}?{came.query}" if own and came.query else came.path if own else url_for("worklist.index")
