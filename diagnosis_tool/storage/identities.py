"""Whose account it is that a provider vouches for: bound by (issuer, subject), never by a name."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, insert, select, update

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.identity import Grant, Identity
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotAllowed
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import users
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.database import write_transaction

_DISABLED: Final = gettext_noop("Your account here is disabled. Ask an administrator.")

_MOST_HOST: Final = 30


class IdentityStore:
    """The accounts of people who sign in at a provider."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def admit(self, identity: Identity, grant: Grant, *, row: AuditRow | None = None) -> User:
        """Their account with the name, role and projects of now; made at the first time, whoever else has the name.

        row: written beside what changed, if anything did. Raises NotAllowed for an account that was disabled here.
        """
        with write_transaction(self._engine) as db:
            known = _account(db, identity)
            if known is not None and known.is_disabled:
                raise NotAllowed(_DISABLED, why="disabled", user=known.name, user_id=known.id)
            name = next(name for name in _names(identity) if _is_free(db, name, known))
            values = {"name": name, "folded_name": users.folded(name), "role": grant.role}
            if known is not None:
                user_id = known.id
                db.execute(update(t.users).where(t.users.c.id == user_id).values(values))
            else:
                user_id = self._add(db, identity, values)
            users.join(db, user_id, grant.projects, self._now())
            (user,) = users.users_of(db, select(t.users).where(t.users.c.id == user_id))
            if row is not None and user != known:
                projects = ", ".join(project.name for project in user.projects)
                row.write(db, detail=f"{'changed' if known else 'added'} {name}: {user.role}; projects: {projects}")
        return user

    def turn_away(self, identity: Identity, *, row: AuditRow | None = None) -> User | None:
        """Ends the sessions and tokens of whom the provider grants nothing any more; None where we know nobody."""
        with write_transaction(self._engine) as db:
            known = _account(db, identity)
            if known is not None:
                users.end_credentials(db, known.id, self._now())
                if row is not None:
                    row.write(db, detail=f"turned away {known.name}")
        return known

    def _add(self, db: Connection, identity: Identity, values: dict[str, str]) -> int:
        added = insert(t.users).values({**values, "created_at": self._now()}).returning(t.users.c.id)
        user_id: int = db.execute(added).scalar_one()
        bound = {"issuer": identity.issuer, "subject": identity.subject, "user_id": user_id}
        db.execute(insert(t.identities).values(bound))
        return user_id


def _account(db: Connection, identity: Identity) -> User | None:
    i = t.identities.c
    bound = select(i.user_id).where(i.issuer == identity.issuer, i.subject == identity.subject)
    found = users.users_of(db, select(t.users).where(t.users.c.id.in_(bound)))
    return found[0] if found else None


def _names(identity: Identity) -> Iterator[str]:
    """What they may be called here: as there; where somebody has that name, with the provider's beside it."""
    yield identity.name
    beside = f"{identity.name} ({(urlsplit(identity.issuer).hostname or '')[:_MOST_HOST]})"
    yield beside
    yield from (f"{beside} {n}" for n in count(2))


def _is_free(db: Connection, name: str, known: User | None) -> bool:
    u = t.users.c
    owner = db.execute(select(u.id).where(u.folded_name == users.folded(name))).scalar_one_or_none()
    return owner is None or (known is not None and owner == known.id)
