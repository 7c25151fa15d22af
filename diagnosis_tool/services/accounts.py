"""Signing in: by password, by one-time link, by API token. Secrets are made here and stored as hashes."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from diagnosis_tool.domain.access import ALL_PROJECTS, Permission, Role, User
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotFound, NotSignedIn, RequestRefused
from diagnosis_tool.services import passwords
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import clean_text
from diagnosis_tool.storage.credentials import Token
from diagnosis_tool.storage.tables import MAX_FOLDED
from diagnosis_tool.storage.users import folded

DEFAULT_PROJECT: Final = "default"
LINK_LIFETIME: Final = timedelta(hours=24)
MAX_NAME: Final = 100
TOKEN_DAYS: Final = 90
"""Unless somebody says otherwise."""
MAX_TOKEN_DAYS: Final = 3650
_TOKEN_PREFIX: Final = "dt_"  # noqa: S105  so that a leaked token is recognised for what it is
_BYTES: Final = 32
_WRONG: Final = gettext_noop("Name or password is wrong. Who forgot the password asks an administrator for a new link.")
_NO_LINK: Final = gettext_noop(
    "This link does not lead in: it was used, has expired, or a newer one was made. Ask an administrator for a new one."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A one-time link's secret, told once, and until when it leads in."""

    user: User
    secret: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token with its secret, told once."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a session lasts: without a request, and at most."""

    idle: timedelta
    absolute: timedelta


def check_password(context: Context, name: str, password: str) -> User:
    """Who signs in so. Raises NotSignedIn in the same words, after the same time, whatever was wrong.

    Only what can be nobody's name is refused at once: that tells of nobody.
    """
    if not may_be_name(name):
        raise NotSignedIn(_WRONG)
    found = context.users.password_hash(name)
    if not passwords.matches(password, found[1] if found else None) or found is None:
        raise NotSignedIn(_WRONG)
    return context.users.get(found[0])


def user_named(context: Context, name: str) -> User | None:
    """Who has this name; None where nobody has."""
    try:
        return context.users.named(name) if may_be_name(name) else None
    except NotFound:
        return None


def may_be_name(name: str) -> bool:
    """Whether anybody can have this name: one that is too long is neither folded, looked up nor kept."""
    return 0 < len(name) <= MAX_NAME and "\0" not in name


def begin_session(context: Context, user: User, limits: Limits) -> str:
    """A new session's secret, to be kept in the browser's cookie."""
    secret = secrets.token_urlsafe(_BYTES)
    context.credentials.add_session(user.id, secret, lifetime=limits.absolute)
    return secret


def make_link(context: Context, user: User) -> Link:
    """A link by which the user sets a password and is signed in, once. Raises RequestRefused.

    Earlier links end, and the API tokens of who has a password: it is being reset.
    """
    if user.is_disabled:
        raise RequestRefused("The account of %(name)s is disabled. Enable it first.", name=user.name)
    if user.issuer is not None:
        raise RequestRefused(
            "%(name)s signs in at %(issuer)s and has no password here.", name=user.name, issuer=user.issuer
        )
    secret = secrets.token_urlsafe(_BYTES)
    until = context.credentials.add_link(user.id, secret, lifetime=LINK_LIFETIME, row=context.row)
    return Link(user=user, secret=secret, expires_at=until)


def link_user(context: Context, secret: str) -> User:
    """Whose link it is. Raises NotFound for one that leads nowhere."""
    user = context.credentials.link(secret)
    if user is None:
        raise NotFound(_NO_LINK)
    return user


def use_link(context: Context, secret: str, password: str) -> User:
    """Sets the password; ends the link, all of the user's sessions and API tokens. Raises NotFound, RequestRefused."""
    new = passwords.hashed_new(password, link_user(context, secret).name)
    user = context.credentials.use_link(secret, new, row=context.row)
    if user is None:
        raise NotFound(_NO_LINK)
    return user


def change_password(context: Context, user: User, old: str, new: str) -> None:
    """Sets the new one; ends all of the user's sessions and API tokens.

    Raises NotSignedIn when the old one is wrong, RequestRefused.
    """
    check_password(context, user.name, old)
    context.users.set_password(user.id, passwords.hashed_new(new, user.name), row=context.row)


def add_user(context: Context, name: str, role: Role, projects: Sequence[str] = (DEFAULT_PROJECT,)) -> User:
    """A user who needs a link to sign in. Raises RequestRefused, Conflict when there is one of this name."""
    return context.users.add(clean_name(name), role, [clean_name(project) for project in projects], row=context.row)


def add_project(context: Context, user: User, name: str) -> None:
    """A new project, with this user as its first member. Raises RequestRefused, Conflict for a name that is taken."""
    context.users.add_project(clean_name(name), user.id, row=context.row)


def first_admin(context: Context) -> User:
    """The administrator there is, else a new one called 'admin', or 'admin 2' where a user of another role is."""
    known = context.users.all(ALL_PROJECTS)
    for user in known:
        if user.role is Role.ADMIN and not user.is_disabled:
            return user
    taken = {folded(user.name) for user in known}
    names = (f"admin {n}" if n > 1 else "admin" for n in count(1))
    return add_user(context, next(name for name in names if name not in taken), Role.ADMIN)


def change_user(
    context: Context, user: User, *, role: Role | None = None, projects: Sequence[str] | None = None
) -> User:
    """Another role, other projects, from the user's next request on; None leaves them. Raises RequestRefused."""
    cleaned = None if projects is None else [clean_name(project) for project in projects]
    return context.users.change(user.id, role=role, projects=cleaned, row=context.row)


def make_token(
    context: Context, user: User, name: str, scopes: Collection[Permission], lifetime: timedelta
) -> NewToken:
    """An API token that acts for the user within the scopes. Raises RequestRefused."""
    if not scopes:
        raise RequestRefused("A token needs at least one scope. Choose what it is for.")
    refused = sorted(scope for scope in scopes if not user.may(scope))
    if refused:
        raise RequestRefused("The role %(role)s may not: %(what)s.", role=user.role, what=", ".join(refused))
    if not timedelta(days=1) <= lifetime <= timedelta(days=MAX_TOKEN_DAYS):
        raise RequestRefused("A token lasts from 1 to %(most)s days.", most=MAX_TOKEN_DAYS)
    secret = _TOKEN_PREFIX + secrets.token_urlsafe(_BYTES)
    token = context.credentials.add_token(
        user.id, secret, name=clean_name(name), scopes=scopes, lifetime=lifetime, row=context.row
    )
    return NewToken(token=token, secret=secret)


def clean_name(name: str) -> str:
    """A name as it is stored. Raises RequestRefused for an empty or too long one."""
    if len(name) > MAX_NAME:
        raise RequestRefused(
            "The name has %(n)s letters; at most %(most)s fit. Shorten it.", n=len(name), most=MAX_NAME
        )
    shown = " ".join(clean_text(name).split())
    if not shown:
        raise RequestRefused("The name is empty. Write a name.")
    if len(folded(shown)) > MAX_FOLDED:  # one letter may stand for eighteen: ﷺ
        raise RequestRefused("The name is too long once its letters are written out. Shorten it.")
    return shown
