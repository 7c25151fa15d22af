"""Readers."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, insert, select

from diagnosis_tool.errors import NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.session import reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A reader: what is written carries their id."""

    id: int
    name: str


class UserStore:
    """Who may be chosen as the reader."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def all(self) -> tuple[User, ...]:
        """In the order in which they came."""
        with reading(self._engine) as db:
            rows = db.execute(select(t.users.c.id, t.users.c.name).order_by(t.users.c.id)).all()
        return tuple(User(id=row.id, name=row.name) for row in rows)

    def get(self, user_id: int) -> User:
        """The reader of this id. Raises NotFound."""
        with reading(self._engine) as db:
            row = db.execute(select(t.users.c.id, t.users.c.name).where(t.users.c.id == user_id)).one_or_none()
        if row is None:
            raise NotFound("There is no such reader. Choose one from the list.")
        return User(id=row.id, name=row.name)

    def add(self, name: str) -> User:
        """A reader of this name: the one there is, also when it was written in other cases, or a new one."""
        with writing(self._engine) as db:
            for row in db.execute(select(t.users.c.id, t.users.c.name)):
                if _folded(row.name) == _folded(name):
                    return User(id=row.id, name=row.name)
            user_id = db.execute(
                insert(t.users).values(name=name, created_at=self._now()).returning(t.users.c.id)
            ).scalar_one()
        return User(id=user_id, name=name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
