"""What the database says there must be, and whether its rows fit together."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Select, and_, exists, func, or_, select

from diagnosis_tool.domain.jobs import JobState
from diagnosis_tool.domain.studies import InstanceState
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.database import read_transaction
from diagnosis_tool.storage.migrate import require_newest, schema_revision

_s, _i, _j, _p, _w = t.studies.c, t.instances.c, t.jobs.c, t.predictions.c, t.worklist.c
_FINAL: Final = tuple(state for state in InstanceState if state.is_final)
_images: Final = select(func.count()).where(_i.study_id == _s.id).scalar_subquery()
_finals: Final = select(func.count()).where(_i.study_id == _s.id, _i.state.in_(_FINAL)).scalar_subquery()
_RULES: Final[Mapping[str, Select[Any]]] = {
    "has no image": select(_s.uid).where(~exists().where(_i.study_id == _s.id)),
    "has an image without a job": select(_s.uid)
    .join_from(t.studies, t.instances)
    .where(~exists().where(_j.instance_id == _i.id)),
    "has an image whose job is over and which has no outcome, or the other way round": select(_s.uid)
    .join_from(t.studies, t.instances)
    .join(t.jobs)
    .where((_j.state == JobState.DONE) != _i.state.in_(_FINAL)),
    "has an image that counts as read without a reading of its content": select(_s.uid)
    .join_from(t.studies, t.instances)
    .outerjoin(t.predictions, and_(_p.id == _i.prediction_id, _p.image_sha256 == _i.sha256))
    .where(_i.state == InstanceState.DONE, _p.id.is_(None)),
    "has a reading without a single output": select(_s.uid)
    .join_from(t.studies, t.instances)
    .join(t.predictions)
    .where(~exists().where(t.prediction_outputs.c.prediction_id == _p.id)),
    "stands otherwise in the worklist than it is": select(_s.uid)
    .outerjoin_from(t.studies, t.worklist)
    .where(or_(_w.total.is_(None), _w.total != _images, _w.finished != _finals)),
}
"""What no study may be: each is kept by transactions alone, so one that is broken tells of a mistake or of damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedContent:
    """A file that rows name. images: (study uid, position in it) of each."""

    sha256: str
    size_bytes: int
    images: tuple[tuple[str, int], ...]


class Inventory:
    """Reads the whole database to compare it with what lies beside it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def named(self) -> tuple[NamedContent, ...]:
        """All files that rows name, by their sha256. Raises DatabaseInvalid for a damaged database."""
        query = select(_i.sha256, _i.size_bytes, _s.uid, _i.position).join_from(t.instances, t.studies)
        images: dict[str, list[tuple[str, int]]] = defaultdict(list)
        sizes: dict[str, int] = {}
        with read_transaction(self._engine) as db:
            for row in db.execute(query.order_by(_i.sha256, _i.id)):
                images[row.sha256].append((row.uid, row.position))
                sizes[row.sha256] = row.size_bytes
        return tuple(
            NamedContent(sha256=sha256, size_bytes=sizes[sha256], images=tuple(of)) for sha256, of in images.items()
        )

    def is_named(self, sha256: str) -> bool:
        """True when a row names this content now."""
        with read_transaction(self._engine) as db:
            return db.execute(select(_i.id).where(_i.sha256 == sha256).limit(1)).first() is not None

    def study_uids(self) -> frozenset[str]:
        """Of all studies."""
        with read_transaction(self._engine) as db:
            return frozenset(db.execute(select(_s.uid)).scalars())

    def schema(self, migrations: Path) -> str:
        """The schema's number. Raises DatabaseInvalid for a database that is damaged or of a newer release."""
        return schema_revision(self._engine, migrations)

    def require_newest(self, migrations: Path) -> None:
        """Raises DatabaseInvalid unless the database is sound enough to be read and has this release's schema."""
        require_newest(self._engine, migrations)

    def faults(self) -> Iterator[str]:
        """What is wrong within the database, a sentence each. Raises DatabaseInvalid when it cannot be read at all."""
        with read_transaction(self._engine) as db:
            for (line,) in db.exec_driver_sql("PRAGMA integrity_check"):
                if line != "ok":
                    yield f"The database is damaged: {line}."
            for row in db.exec_driver_sql("PRAGMA foreign_key_check"):
                yield f"Row {row[1]} of the table {row[0]} names a row of {row[2]} that does not exist."
            for words, query in _RULES.items():
                for uid in db.execute(query.distinct()).scalars():
                    yield f"Study {uid} {words}."
