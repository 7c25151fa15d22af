"""What an administrator may change of others on a page: of people whose projects are all their own, too.

A project's studies are its members' alone, its administrators included. So nobody gets into another project from here:
neither by joining it, nor by a link, a token or a role of somebody who belongs to it. The command line may do all that.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from diagnosis_tool.domain.access import Permission, Project, Role, User
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotAllowed, NotFound, RequestRefused
from diagnosis_tool.services import accounts
from diagnosis_tool.services.accounts import Link, NewToken
from diagnosis_tool.services.context import Context

_ONESELF: Final = gettext_noop("This is your own account: another administrator changes it.")
_SHARED: Final = gettext_noop(
    "%(name)s belongs to projects that you do not. Who administers all of them changes this, or `diagnosis-tool users`."
)
_NO_PROJECT: Final = gettext_noop("Choose at least one project. Who is to have none is disabled instead.")


def people(context: Context, admin: User) -> tuple[User, ...]:
    """Who belongs to a project of the administrator's, in the order in which they came."""
    return context.users.all(admin.sees)


def person(context: Context, admin: User, user_id: int) -> User:
    """One of them. Raises NotFound."""
    for user in people(context, admin):
        if user.id == user_id:
            return user
    raise NotFound("There is no such person in your projects.")


def is_in_charge(admin: User, user: User) -> bool:
    """Whether the administrator may act for this user: it opens nothing that is not theirs."""
    return user.id != admin.id and _ids(user.projects) <= _ids(admin.projects)


def require_charge(admin: User, user: User) -> None:
    """Raises NotAllowed."""
    if user.id == admin.id:
        raise NotAllowed(_ONESELF)
    if not is_in_charge(admin, user):
        raise NotAllowed(_SHARED, name=user.name)


def add_person(context: Context, admin: User, name: str, role: Role, project_ids: Collection[int]) -> Link:
    """A new account and the link that leads in once. Raises RequestRefused, Conflict when the name is taken."""
    chosen = [project.name for project in _own(admin, project_ids)]
    if not chosen:
        raise RequestRefused(_NO_PROJECT)
    return accounts.make_link(context, accounts.add_user(context, name, role, chosen))


def change_person(context: Context, admin: User, user: User, role: Role, project_ids: Collection[int]) -> User:
    """Another role, and in or out of the administrator's own projects; other projects stay as they are.

    Raises NotAllowed for another role of who belongs to other projects, too, RequestRefused.
    """
    if user.id == admin.id:
        raise NotAllowed(_ONESELF)
    if role is not user.role:
        require_charge(admin, user)
    if user.issuer is not None:  # what is changed here would last until they sign in again
        raise RequestRefused("Role and projects of %(name)s come from %(issuer)s.", name=user.name, issuer=user.issuer)
    chosen, own = _own(admin, project_ids), _ids(admin.projects)
    kept = [project for project in user.projects if project in chosen or project.id not in own]
    after = [*kept, *(project for project in chosen if project not in kept)]
    if not after:
        raise RequestRefused(_NO_PROJECT)
    return accounts.change_user(context, user, role=role, projects=[project.name for project in after])


def make_token(
    context: Context, admin: User, user: User, name: str, scopes: Collection[Permission], lifetime: timedelta
) -> NewToken:
    """A token that acts for this user. Raises NotAllowed, RequestRefused."""
    require_charge(admin, user)
    return accounts.make_token(context, user, name, scopes, lifetime)


def _own(admin: User, project_ids: Collection[int]) -> Sequence[Project]:
    """Those of the administrator's projects that are chosen."""
    if not set(project_ids) <= _ids(admin.projects):
        raise NotFound("There is no such project among yours.")
    return [project for project in admin.projects if project.id in project_ids]


def _ids(projects: Sequence[Project]) -> set[int]:
    return {project.id for project in projects}
