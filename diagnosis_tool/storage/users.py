"""Accounts and projects in the database."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, delete, insert, select, update

from diagnosis_tool.domain.access import Project, Projects, Role, User
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import Conflict, NotFound, UploadRefused
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.database import read_transaction, write_transaction

_LAST_ADMIN: Final = gettext_noop(
    "%(name)s is the last administrator who can sign in. Make another one first. Nothing was changed."
)
_PROJECT_TAKEN: Final = gettext_noop(
    "There is a project called %(name)s already. Choose another name, or have its administrator let you in."
)
_NOBODY: Final = gettext_noop("There is no user called %(name)s. `diagnosis-tool users list` shows all.")


class UserStore:
    """Who may sign in, as what, and whose studies they see."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def all(self, projects: Projects) -> tuple[User, ...]:
        """Who belongs to one of these projects, in the order in which they came; ALL_PROJECTS: also who is in none."""
        query = select(t.users)
        if projects.ids is not None:
            m = t.memberships.c
            query = query.where(t.users.c.id.in_(select(m.user_id).where(m.project_id.in_(projects.ids))))
        with read_transaction(self._engine) as db:
            return users_of(db, query)

    def get(self, user_id: int) -> User:
        """The user of this id. Raises NotFound."""
        with read_transaction(self._engine) as db:
            for user in users_of(db, select(t.users).where(t.users.c.id == user_id)):
                return user
        raise NotFound("There is no such user.")

    def named(self, name: str) -> User:
        """The user of this name, in whatever cases it is written. Raises NotFound."""
        with read_transaction(self._engine) as db:
            for user in users_of(db, select(t.users).where(t.users.c.folded_name == folded(name))):
                return user
        raise NotFound(_NOBODY, name=name)

    def password_hash(self, name: str) -> tuple[int, str] | None:
        """(id, hash) of who may sign in under this name; None where nobody may."""
        u = t.users.c
        query = select(u.id, u.password_hash).where(
            u.folded_name == folded(name), u.disabled_at.is_(None), u.password_hash.is_not(None)
        )
        with read_transaction(self._engine) as db:
            row = db.execute(query).one_or_none()
        return None if row is None else (row.id, row.password_hash)

    def has_admin(self) -> bool:
        """Whether some administrator can sign in."""
        u = t.users.c
        query = select(u.id).where(u.role == Role.ADMIN, u.password_hash.is_not(None), u.disabled_at.is_(None))
        with read_transaction(self._engine) as db:
            return db.execute(query.limit(1)).first() is not None

    def add(self, name: str, role: Role, projects: Sequence[str], *, row: AuditRow | None = None) -> User:
        """A user without a password; projects that there are not yet are made. Raises Conflict: the name is taken.

        row: written beside it.
        """
        with write_transaction(self._engine) as db:
            if db.execute(select(t.users.c.id).where(t.users.c.folded_name == folded(name))).one_or_none():
                raise Conflict("There is a user called %(name)s already. Choose another name.", name=name)
            values = {"name": name, "folded_name": folded(name), "role": role, "created_at": self._now()}
            user_id = db.execute(insert(t.users).values(values).returning(t.users.c.id)).scalar_one()
            join(db, user_id, projects, self._now())
            if row is not None:
                row.write(db, detail=f"added {_line(db, user_id)}")
        return self.get(user_id)

    def change(
        self,
        user_id: int,
        *,
        role: Role | None = None,
        projects: Sequence[str] | None = None,
        row: AuditRow | None = None,
    ) -> User:
        """Another role, or other projects instead of those there were; None leaves them. row: written beside it.

        Raises Conflict where no administrator who can sign in would be left.
        """
        with write_transaction(self._engine) as db:
            if role is not None:
                if role is not Role.ADMIN:
                    _require_another_admin(db, user_id)
                db.execute(update(t.users).where(t.users.c.id == user_id).values(role=role))
            if projects is not None:
                join(db, user_id, projects, self._now())
            if row is not None:
                row.write(db, detail=f"changed {_line(db, user_id)}")
        return self.get(user_id)

    def add_project(self, name: str, user_id: int, *, row: AuditRow | None = None) -> None:
        """A new project, with this user as its first member. Raises Conflict: the name is taken. row: beside it."""
        with write_transaction(self._engine) as db:
            if db.execute(select(t.projects.c.id).where(t.projects.c.folded_name == folded(name))).one_or_none():
                raise Conflict(_PROJECT_TAKEN, name=name)
            join(db, user_id, [*(project.name for project in _one(db, user_id).projects), name], self._now())
            if row is not None:
                row.write(db, detail=f"added {name}")

    def set_password(self, user_id: int, password_hash: str, *, row: AuditRow | None = None) -> None:
        """All that the old one led to ends: sessions, links, API tokens. row: written beside it."""
        with write_transaction(self._engine) as db:
            set_password(db, user_id, password_hash, self._now())
            if row is not None:
                row.write(db, detail="password")

    def disable(self, user_id: int, *, row: AuditRow | None = None) -> None:
        """They are signed out at once, and their API tokens end. row: written beside it.

        Raises Conflict where no administrator who can sign in would be left.
        """
        with write_transaction(self._engine) as db:
            _require_another_admin(db, user_id)
            db.execute(update(t.users).where(t.users.c.id == user_id).values(disabled_at=self._now()))
            end_credentials(db, user_id, self._now())
            if row is not None:
                row.write(db, detail=f"disabled {name_of(db, user_id)}")

    def enable(self, user_id: int, *, row: AuditRow | None = None) -> None:
        """Undoes disable; nothing that led in before does again but the password. row: written beside it."""
        with write_transaction(self._engine) as db:
            # a token that only slept: disable of an earlier release let it be
            if db.execute(_disabled(user_id)).one_or_none() is not None:
                end_credentials(db, user_id, self._now())
            db.execute(update(t.users).where(t.users.c.id == user_id).values(disabled_at=None))
            if row is not None:
                row.write(db, detail=f"enabled {name_of(db, user_id)}")


def join(db: Connection, user_id: int, names: Iterable[str], now: datetime) -> None:
    """Makes these the user's projects; those that there are not yet are made."""
    db.execute(delete(t.memberships).where(t.memberships.c.user_id == user_id))
    p = t.projects.c
    wanted = {folded(name): name for name in names}
    for position, (key, name) in enumerate(wanted.items()):
        project_id = db.execute(select(p.id).where(p.folded_name == key)).scalar_one_or_none()
        if project_id is None:
            values = {"name": name, "folded_name": key, "created_at": now}
            project_id = db.execute(insert(t.projects).values(values).returning(p.id)).scalar_one()
        db.execute(insert(t.memberships).values(user_id=user_id, project_id=project_id, position=position))


def _require_another_admin(db: Connection, user_id: int) -> None:
    """Raises Conflict where this user is the last administrator who can sign in; two who try at once wait here."""
    u = t.users.c
    bound = select(t.identities.c.user_id)
    can_sign_in = (u.role == Role.ADMIN) & u.disabled_at.is_(None) & (u.password_hash.is_not(None) | u.id.in_(bound))
    admins = db.execute(select(u.id, u.name).where(can_sign_in).with_for_update()).all()
    if [admin.id for admin in admins] == [user_id]:
        raise Conflict(_LAST_ADMIN, name=admins[0].name)


def users_of(db: Connection, query: Select[Any]) -> tuple[User, ...]:
    """The users that the query on t.users finds, oldest first, each with their projects."""
    i = t.identities.c
    issuer = select(i.issuer).where(i.user_id == t.users.c.id).scalar_subquery()
    rows = db.execute(query.add_columns(issuer.label("issuer")).order_by(t.users.c.id)).all()
    m, p = t.memberships.c, t.projects.c
    projects = defaultdict(list)
    memberships = (
        select(m.user_id, p.id, p.name)
        .join_from(t.memberships, t.projects)
        .where(m.user_id.in_([row.id for row in rows]))
        .order_by(m.position)
    )
    for row in db.execute(memberships):
        projects[row.user_id].append(Project(id=row.id, name=row.name))
    return tuple(
        User(
            id=row.id,
            name=row.name,
            role=Role(row.role),
            projects=tuple(projects[row.id]),
            can_sign_in=row.password_hash is not None and row.disabled_at is None,
            is_disabled=row.disabled_at is not None,
            issuer=row.issuer,
        )
        for row in rows
    )


def name_of(db: Connection, user_id: int) -> str:
    """The user's name."""
    return _one(db, user_id).name


def _one(db: Connection, user_id: int) -> User:
    (user,) = users_of(db, select(t.users).where(t.users.c.id == user_id))
    return user


def _line(db: Connection, user_id: int) -> str:
    user = _one(db, user_id)
    return f"{user.name}: {user.role}; projects: {', '.join(project.name for project in user.projects) or 'none'}"


def has_password(db: Connection, user_id: int) -> bool:
    """Whether the user has set a password."""
    u = t.users.c
    return db.execute(select(u.id).where(u.id == user_id, u.password_hash.is_not(None))).first() is not None


def _disabled(user_id: int) -> Select[Any]:
    return select(t.users.c.id).where(t.users.c.id == user_id, t.users.c.disabled_at.is_not(None))


def set_password(db: Connection, user_id: int, password_hash: str, now: datetime) -> None:
    """Sets it and ends all that the one before led to: who knew it may have made sessions and tokens."""
    db.execute(update(t.users).where(t.users.c.id == user_id).values(password_hash=password_hash))
    end_credentials(db, user_id, now)


def end_credentials(db: Connection, user_id: int, now: datetime) -> None:
    """Ends all sessions, links and API tokens of the user."""
    end_sessions(db, user_id)
    end_tokens(db, user_id, now)


def end_tokens(db: Connection, user_id: int, now: datetime) -> None:
    """Revokes all API tokens of the user."""
    k = t.tokens.c
    db.execute(update(t.tokens).where(k.user_id == user_id, k.revoked_at.is_(None)).values(revoked_at=now))


def end_sessions(db: Connection, user_id: int) -> None:
    """Ends all sessions and links of the user."""
    for table in (t.sessions, t.links):
        db.execute(delete(table).where(table.c.user_id == user_id))


def only_project(db: Connection, user_id: int) -> int:
    """The id of the one project that the user belongs to. Raises UploadRefused: which of several is never guessed."""
    found = db.execute(select(t.memberships.c.project_id).where(t.memberships.c.user_id == user_id)).scalars().all()
    if len(found) != 1:
        raise UploadRefused("It was not said which project the study is for. Nothing was stored.")
    return int(found[0])


def folded(name: str) -> str:
    """How names are compared: without regard to cases and to the way letters are composed."""
    return unicodedata.normalize("NFKC", name).casefold()
