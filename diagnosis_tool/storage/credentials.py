"""Credentials in the database: sessions, one-time links and API tokens, each known by the hash of its secret alone."""

import hashlib
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, update
from sqlalchemy.exc import OperationalError

from diagnosis_tool.domain.access import Permission, User
from diagnosis_tool.errors import NotFound, StorageFull
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import users
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.database import read_transaction, write_transaction

_TOUCH_EVERY: Final = timedelta(minutes=1)
"""A page that polls each second must not write each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An API token without its secret, which nobody is told a second time. is_valid: not expired, not revoked."""

    id: int
    user_name: str
    name: str
    scopes: frozenset[Permission]
    created_at: datetime
    expires_at: datetime
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A session as others may see it: neither its secret nor the secret's hash."""

    created_at: datetime
    seen_at: datetime


class CredentialStore:
    """Who came in how. Secrets are random and long, so their SHA-256 tells nobody what they are."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def add_session(self, user_id: int, secret: str, *, lifetime: timedelta) -> None:
        """The secret is this user's session until it has been idle too long, for `lifetime` at most."""
        now = self._now()
        values = {"user_id": user_id, "created_at": now, "seen_at": now, "expires_at": now + lifetime}
        with write_transaction(self._engine) as db:
            db.execute(delete(t.sessions).where(t.sessions.c.expires_at <= now))
            db.execute(insert(t.sessions).values(secret_hash=digest(secret), **values))

    def session_user(self, secret: str, *, idle: timedelta) -> User | None:
        """Whose session it is; None when there is none (any more), or its user was disabled."""
        s, now = t.sessions.c, self._now()
        with read_transaction(self._engine) as db:
            row = db.execute(select(s.user_id, s.seen_at, s.expires_at).where(s.secret_hash == digest(secret))).first()
            if row is None or now >= row.expires_at or now >= row.seen_at + idle:
                return None
            user = _active(db, row.user_id)
        if user is not None and now >= row.seen_at + _TOUCH_EVERY:
            self._touch(secret, now)
        return user

    def _touch(self, secret: str, now: datetime) -> None:
        # what was asked for is shown anyway
        with suppress(StorageFull, OperationalError), write_transaction(self._engine) as db:
            db.execute(update(t.sessions).where(t.sessions.c.secret_hash == digest(secret)).values(seen_at=now))

    def end_session(self, secret: str) -> None:
        """Ends this session; other ones of the same user go on."""
        with write_transaction(self._engine) as db:
            db.execute(delete(t.sessions).where(t.sessions.c.secret_hash == digest(secret)))

    def sign_ins(self, user_id: int) -> tuple[SignIn, ...]:
        """The user's sessions, newest first; one that has been idle too long is among them until its time is over."""
        s = t.sessions.c
        query = select(s.created_at, s.seen_at).where(s.user_id == user_id, s.expires_at > self._now())
        with read_transaction(self._engine) as db:
            return tuple(SignIn(**row._mapping) for row in db.execute(query.order_by(s.created_at.desc())))

    def end_sign_ins(self, user_id: int, *, row: AuditRow | None = None) -> None:
        """Ends all sessions and links of the user. row: written beside it."""
        with write_transaction(self._engine) as db:
            users.end_sessions(db, user_id)
            if row is not None:
                row.write(db, detail=f"ended sign-ins of {users.name_of(db, user_id)}")

    def link_until(self, user_id: int) -> datetime | None:
        """Until when a link of the user's leads in; None where there is none."""
        k = t.links.c
        with read_transaction(self._engine) as db:
            until = db.execute(select(k.expires_at).where(k.user_id == user_id)).scalar_one_or_none()
        return until if until is not None and self._now() < until else None

    def add_link(self, user_id: int, secret: str, *, lifetime: timedelta, row: AuditRow | None = None) -> datetime:
        """The secret lets this user set a password, once; returns until when. Earlier links of theirs end.

        API tokens of who has a password end, too: it is being reset. row: written beside it.
        """
        now = self._now()
        with write_transaction(self._engine) as db:
            db.execute(delete(t.links).where((t.links.c.user_id == user_id) | (t.links.c.expires_at <= now)))
            values = {"user_id": user_id, "created_at": now, "expires_at": now + lifetime}
            db.execute(insert(t.links).values(secret_hash=digest(secret), **values))
            if users.has_password(db, user_id):
                users.end_tokens(db, user_id, now)
            if row is not None:
                row.write(db, detail=f"link for {users.name_of(db, user_id)}")
        return now + lifetime

    def link(self, secret: str) -> User | None:
        """Whose link it is; None when there is none, it was used or has expired."""
        with read_transaction(self._engine) as db:
            return self._link(db, secret)

    def use_link(self, secret: str, password_hash: str, *, row: AuditRow | None = None) -> User | None:
        """Sets the password of whose link it is, and ends the link; None as `link`. Of two who try, one succeeds.

        row: written beside it, as that user's.
        """
        with write_transaction(self._engine) as db:
            user = self._link(db, secret)
            if user is not None:
                users.set_password(db, user.id, password_hash, self._now())
                if row is not None:
                    row.write(db, by=user, detail="password by link")
        return user

    def _link(self, db: Connection, secret: str) -> User | None:
        k = t.links.c
        row = db.execute(select(k.user_id, k.expires_at).where(k.secret_hash == digest(secret))).first()
        return None if row is None or self._now() >= row.expires_at else _active(db, row.user_id)

    def add_token(
        self,
        user_id: int,
        secret: str,
        *,
        name: str,
        scopes: Collection[Permission],
        lifetime: timedelta,
        row: AuditRow | None = None,
    ) -> Token:
        """The secret acts for this user, within its scopes. row: written beside it."""
        now = self._now()
        values = {
            "user_id": user_id,
            "name": name,
            "scopes": " ".join(sorted(scopes)),
            "created_at": now,
            "expires_at": now + lifetime,
        }
        with write_transaction(self._engine) as db:
            token_id = db.execute(
                insert(t.tokens).values(secret_hash=digest(secret), **values).returning(t.tokens.c.id)
            ).scalar_one()
            if row is not None:
                row.write(db, detail=f"made {token_id} of {users.name_of(db, user_id)}")
        return next(token for token in self.tokens(user_id) if token.id == token_id)

    def tokens(self, user_id: int | None = None) -> tuple[Token, ...]:
        """The user's tokens, newest first; None: all users'."""
        k = t.tokens.c
        query = select(t.tokens, t.users.c.name.label("user_name")).join_from(t.tokens, t.users).order_by(k.id.desc())
        if user_id is not None:
            query = query.where(k.user_id == user_id)
        with read_transaction(self._engine) as db:
            return tuple(self._token(row) for row in db.execute(query))

    def token(self, secret: str) -> tuple[User, Token] | None:
        """Whose token it is; None when there is none, it was revoked or has expired, or its user was disabled."""
        query = (
            select(t.tokens, t.users.c.name.label("user_name"))
            .join_from(t.tokens, t.users)
            .where(t.tokens.c.secret_hash == digest(secret))
        )
        with read_transaction(self._engine) as db:
            row = db.execute(query).one_or_none()
            if row is None or not self._token(row).is_valid:
                return None
            user = _active(db, row.user_id)
            return None if user is None else (user, self._token(row))

    def revoke(self, token_id: int, *, user_id: int | None = None, row: AuditRow | None = None) -> None:
        """The token is worth nothing any more. user_id: only if it is theirs. row: written beside. Raises NotFound."""
        k = t.tokens.c
        query = update(t.tokens).where(k.id == token_id, k.revoked_at.is_(None)).values(revoked_at=self._now())
        if user_id is not None:
            query = query.where(k.user_id == user_id)
        with write_transaction(self._engine) as db:
            if db.execute(query).rowcount == 0:
                raise NotFound("There is no such token, or it was revoked already.")
            if row is not None:
                row.write(db, detail=f"revoked {token_id}")

    def _token(self, row: Any) -> Token:
        return Token(
            id=row.id,
            user_name=row.user_name,
            name=row.name,
            scopes=frozenset(Permission(scope) for scope in row.scopes.split()),
            created_at=row.created_at,
            expires_at=row.expires_at,
            is_valid=row.revoked_at is None and self._now() < row.expires_at,
        )


def end_sessions_and_links(engine: Engine) -> None:
    """Ends all sessions and one-time links; API tokens stay. The schema may be one that has neither yet."""
    there = set(inspect(engine).get_table_names())
    with write_transaction(engine) as db:
        for table in (t.sessions, t.links):
            if table.name in there:
                db.execute(delete(table))


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _active(db: Connection, user_id: int) -> User | None:
    u = t.users.c
    found = users.users_of(db, select(t.users).where(u.id == user_id, u.disabled_at.is_(None)))
    return found[0] if found else None
