"""Second factors in the database: one a user at most, and the recovery codes that stand in for it once each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import Conflict, NotFound
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage import users
from diagnosis_tool.storage.audit import AuditRow
from diagnosis_tool.storage.credentials import digest
from diagnosis_tool.storage.database import read_transaction, write_transaction

_NONE: Final = gettext_noop("There is no second factor to change. Reload the page.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    """sealed: as it was given. confirmed_at: None until it counts. codes_left: recovery codes that were not used."""

    sealed: str
    confirmed_at: datetime | None
    codes_left: int

    @property
    def is_on(self) -> bool:
        """Whether it is asked for."""
        return self.confirmed_at is not None


class SecondFactorStore:
    """Who has one, and which of its codes were used. Knows nothing of what is sealed."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def of(self, user_id: int) -> SecondFactor | None:
        """The user's; None where there is none, not even one that waits to be confirmed."""
        f, r = t.second_factors.c, t.recovery_codes.c
        left = select(func.count()).where(r.user_id == user_id).scalar_subquery()
        query = select(f.sealed, f.confirmed_at, left.label("codes_left")).where(f.user_id == user_id)
        with read_transaction(self._engine) as db:
            row = db.execute(query).one_or_none()
        return None if row is None else SecondFactor(**row._mapping)

    def propose(self, user_id: int, sealed: str, *, row: AuditRow | None = None) -> None:
        """Counts once it is confirmed; an earlier proposal is forgotten. row: written beside it.

        Raises Conflict where one counts already.
        """
        with write_transaction(self._engine) as db:
            f = t.second_factors.c
            if db.execute(select(f.user_id).where(f.user_id == user_id, f.confirmed_at.is_not(None))).first():
                raise Conflict("There is a second factor already. Switch it off first.")
            db.execute(delete(t.second_factors).where(f.user_id == user_id))
            values = {"user_id": user_id, "sealed": sealed, "created_at": self._now(), "last_step": -1}
            db.execute(insert(t.second_factors).values(values))
            if row is not None:
                row.write(db, detail="second factor proposed")

    def confirm(
        self, user_id: int, sealed: str, step: int, codes: Sequence[str], *, row: AuditRow | None = None
    ) -> None:
        """It counts from now on; these are the recovery codes, and this code was used. All sessions end.

        sealed: what the code was checked against. row: written beside it. Raises Conflict: it was proposed anew.
        """
        f = t.second_factors.c
        query = update(t.second_factors).where(f.user_id == user_id, f.sealed == sealed, f.confirmed_at.is_(None))
        with write_transaction(self._engine) as db:
            if db.execute(query.values(confirmed_at=self._now(), last_step=step)).rowcount == 0:
                raise Conflict(_NONE)
            _set_codes(db, user_id, codes)
            users.end_sessions(db, user_id)
            if row is not None:
                row.write(db, detail="second factor on")

    def use_step(self, user_id: int, step: int) -> bool:
        """Uses the code of this step up; False when it, or a later one, was used. Of two who try, one succeeds."""
        f = t.second_factors.c
        query = update(t.second_factors).where(f.user_id == user_id, f.confirmed_at.is_not(None), f.last_step < step)
        with write_transaction(self._engine) as db:
            return db.execute(query.values(last_step=step)).rowcount == 1

    def use_code(self, user_id: int, code: str) -> bool:
        """Uses this recovery code up; False when it is none of the user's (any more). Of two who try, one succeeds."""
        r = t.recovery_codes.c
        with write_transaction(self._engine) as db:
            query = delete(t.recovery_codes).where(r.user_id == user_id, r.secret_hash == digest(code))
            return db.execute(query).rowcount == 1

    def replace_codes(self, user_id: int, codes: Sequence[str], *, row: AuditRow | None = None) -> None:
        """These are the recovery codes from now on. row: written beside it. Raises NotFound without a second factor."""
        f = t.second_factors.c
        with write_transaction(self._engine) as db:
            if not db.execute(select(f.user_id).where(f.user_id == user_id, f.confirmed_at.is_not(None))).first():
                raise NotFound(_NONE)
            _set_codes(db, user_id, codes)
            if row is not None:
                row.write(db, detail="recovery codes")

    def remove(self, user_id: int, *, row: AuditRow | None = None) -> None:
        """The password alone leads in again. row: written beside it. Raises NotFound where there is none."""
        with write_transaction(self._engine) as db:
            db.execute(delete(t.recovery_codes).where(t.recovery_codes.c.user_id == user_id))
            if db.execute(delete(t.second_factors).where(t.second_factors.c.user_id == user_id)).rowcount == 0:
                raise NotFound(_NONE)
            if row is not None:
                row.write(db, detail=f"second factor off for {users.name_of(db, user_id)}")


def _set_codes(db: Connection, user_id: int, codes: Sequence[str]) -> None:
    db.execute(delete(t.recovery_codes).where(t.recovery_codes.c.user_id == user_id))
    db.execute(insert(t.recovery_codes), [{"secret_hash": digest(code), "user_id": user_id} for code in codes])
