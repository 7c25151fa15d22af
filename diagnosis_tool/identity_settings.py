"""The settings of sign-in by an OpenID provider, OIDC_…: read with all others, and wrong ones named with all others."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from diagnosis_tool.domain.access import Role
from diagnosis_tool.domain.identity import Grant, IdentityProvider, is_safe_address

_OTHERS: Final = ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_GROUPS", "OIDC_GROUPS_CLAIM", "OIDC_NAME",
                "OIDC_NAME_CLAIM", "OIDC_SCOPE")  # fmt: skip
_MAX_NAME: Final = 100
"""As services.accounts."""


def identity_provider(env: Mapping[str, str], problems: list[str]) -> IdentityProvider | None:
    """The provider that these keys describe; None without OIDC_ISSUER. Appends what is wrong with any of them."""
    issuer = env.get("OIDC_ISSUER") or ""
    if not issuer:
        problems += [f"{key} is set, but OIDC_ISSUER is not" for key in _OTHERS if env.get(key)]
        return None
    parts = urlsplit(issuer) if is_safe_address(issuer) else None
    if parts is None or parts.query or parts.fragment:
        problems.append(f"OIDC_ISSUER is {issuer!r}; it must be the provider's https:// address, as it calls itself")
    if not env.get("OIDC_CLIENT_ID"):
        problems.append("OIDC_CLIENT_ID is missing; the provider gives it to who registers this server there")
    scope = env.get("OIDC_SCOPE") or "openid profile"
    if "openid" not in scope.split():
        problems.append(f"OIDC_SCOPE is {scope!r}; 'openid' must be among its words")
    return IdentityProvider(
        issuer=issuer,
        client_id=env.get("OIDC_CLIENT_ID") or "",
        client_secret=env.get("OIDC_CLIENT_SECRET") or "",
        name=env.get("OIDC_NAME") or (parts.hostname if parts else None) or issuer,
        scope=scope,
        groups_claim=env.get("OIDC_GROUPS_CLAIM") or "groups",
        name_claim=env.get("OIDC_NAME_CLAIM") or "preferred_username",
        groups=_groups(env.get("OIDC_GROUPS") or "", problems),
    )


def _groups(path: str, problems: list[str]) -> dict[str, Grant]:
    if not path:
        problems.append(
            "OIDC_GROUPS is missing; it must name a TOML file that says what each group may (docs/deploy.md)"
        )
        return {}
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no TOML, no UTF-8
        said = error.strerror if isinstance(error, OSError) else error
        problems.append(f"OIDC_GROUPS is {path!r}, which cannot be read: {said}")
        return {}
    groups = table.pop("groups", None)
    problems += [f'OIDC_GROUPS: {key!r} is unknown; there are [groups."…"] only' for key in table]
    if not isinstance(groups, dict) or not groups:
        problems.append('OIDC_GROUPS: there is no [groups."…"], so nobody could sign in')
        return {}
    found = {name: _grant(name, said, problems) for name, said in groups.items()}
    return {name: grant for name, grant in found.items() if grant is not None}


def _grant(name: str, said: Any, problems: list[str]) -> Grant | None:
    place = f"OIDC_GROUPS: group {name!r}"
    if not isinstance(said, dict):
        problems.append(f"{place} must be a table with role and projects")
        return None
    wrong = [f"{place}: {key!r} is unknown; there are role and projects" for key in said.keys() - {"role", "projects"}]
    role, projects = said.get("role", ""), said.get("projects", [])
    if role not in list(Role):
        wrong.append(f"{place}: role is {role!r}; it must be one of {', '.join(Role)}")
    if not (isinstance(projects, list) and projects and all(_is_name(project) for project in projects)):
        wrong.append(f"{place}: projects is {projects!r}; it must be a list of one or more names")
    problems += wrong
    return None if wrong else Grant(role=Role(role), projects=tuple(projects))


def _is_name(name: object) -> bool:
    return (
        isinstance(name, str) and name.isprintable() and name == " ".join(name.split()) and 0 < len(name) <= _MAX_NAME
    )
