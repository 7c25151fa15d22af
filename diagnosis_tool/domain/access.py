"""Who may do what. Pure: roles, permissions, and the one table that joins them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Permission(StrEnum):
    """What a request may need. The values are also what an API token's scopes are called.

    ACCOUNT: one's own password and tokens, in a browser only. MANAGE: accounts, projects and the audit log.
    """

    READ = "read"
    UPLOAD = "upload"
    REVIEW = "review"
    EXPORT = "export"
    DELETE = "delete"
    METRICS = "metrics"
    MANAGE = "manage"
    ACCOUNT = "account"


class Role(StrEnum):
    """What somebody is here; each person has one."""

    ADMIN = "admin"
    RADIOLOGIST = "radiologist"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Permission),
        Role.RADIOLOGIST: frozenset(
            {Permission.READ, Permission.UPLOAD, Permission.REVIEW, Permission.EXPORT, Permission.ACCOUNT}
        ),
        Role.TECHNICIAN: frozenset({Permission.READ, Permission.UPLOAD, Permission.ACCOUNT}),
        Role.VIEWER: frozenset({Permission.READ, Permission.ACCOUNT}),
    }
)
"""What each role may do, always within the projects that the user belongs to."""

SCOPES: Final = frozenset(Permission) - {Permission.ACCOUNT, Permission.MANAGE}
"""What an API token may be made for: a token that leaks makes no accounts and no other tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Whose studies are kept apart from others'."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Projects:
    """Whose studies there are for somebody: what gives studies or images demands it, so that none is given unasked.

    ids: None for all projects.
    """

    ids: frozenset[int] | None


ALL_PROJECTS: Final = Projects(None)
"""For the worker and the commands, and for tests: they work for everybody."""
NO_PROJECTS: Final = Projects(frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody with an account: what is written carries their id.

    projects: those they belong to; an upload says which one it is for, unless there is but one. can_sign_in: a password
    was set, and the account is not disabled. issuer: the provider where they sign in; None where nobody else vouches
    for them.
    """

    id: int
    name: str
    role: Role
    projects: tuple[Project, ...] = ()
    can_sign_in: bool = False
    is_disabled: bool = False
    issuer: str | None = None

    @property
    def sees(self) -> Projects:
        """Whose studies they see."""
        return Projects(frozenset(project.id for project in self.projects))

    def may(self, permission: Permission) -> bool:
        """Whether their role allows it."""
        return permission in PERMISSIONS[self.role]
