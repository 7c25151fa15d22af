"""Who may still come in by a password of ours where a provider vouches for people: the setting LOCAL_SIGN_IN."""

from typing import Final

from flask import Flask, current_app

from diagnosis_tool.domain.access import Role, User
from diagnosis_tool.domain.identity import LocalSignIn
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotAllowed

_KEY: Final = "diagnosis_tool.local_sign_in"
_OFF: Final = gettext_noop("Passwords and links lead in no more here. Sign in at your organisation.")


def install(app: Flask, who: LocalSignIn) -> None:
    """Tells pages and views who may."""
    app.extensions[_KEY] = who
    app.jinja_env.globals["local_sign_in"] = who


def require_local(user: User | None = None) -> None:
    """Whether a password or a link may lead in: anybody, or this user. Raises NotAllowed."""
    who: LocalSignIn = current_app.extensions[_KEY]
    if who is LocalSignIn.NONE or (user is not None and who is LocalSignIn.ADMIN and user.role is not Role.ADMIN):
        raise NotAllowed(_OFF)
