"""Who vouches for people besides us: an OpenID provider, and what its groups are here. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from diagnosis_tool.domain.access import Role

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class LocalSignIn(StrEnum):
    """Who may come in by a password that is kept here, or by a one-time link."""

    ALL = "all"
    ADMIN = "admin"
    """Administrators alone: for when the provider is down."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What somebody may here: their role, and the names of their projects; uploads go to the first."""

    role: Role
    projects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """An OpenID provider as the settings name it.

    issuer: as it calls itself, to the letter. name: what people know it by. groups_claim, name_claim: where its tokens
    say who is in which groups, and what somebody is called. groups: what each group grants.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    scope: str
    groups_claim: str
    name_claim: str
    groups: Mapping[str, Grant]

    def granted(self, groups: Collection[str]) -> Grant | None:
        """The highest role of these groups with the projects of all of them; None where none of them is known."""
        found = [grant for name, grant in self.groups.items() if name in groups]
        if not found:
            return None
        highest = min((grant.role for grant in found), key=list(Role).index)
        projects = dict.fromkeys(project for grant in found for project in grant.projects)
        return Grant(role=highest, projects=tuple(projects))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody whom a provider vouches for. subject: its own name for them, which never changes; name: for reading."""

    issuer: str
    subject: str
    name: str
    groups: frozenset[str]


def is_safe_address(address: object) -> bool:
    """Whether what is sent there stays between us and who is meant: TLS, or this machine."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
        name = parts.hostname
    except ValueError:
        return False
    return bool(name) and (parts.scheme == "https" or (parts.scheme == "http" and name in _LOOPBACK))
