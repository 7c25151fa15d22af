"""Pages of the worklist: filtered, searched and sorted by index, so that they cost the same however many studies."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    text,
)

from diagnosis_tool.cxr.findings import anatomical_rank
from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.worklist import (
    Sort,
    Strongest,
    StudyState,
    WorklistPage,
    WorklistQuery,
    WorklistRow,
)
from diagnosis_tool.storage import tables as t
from diagnosis_tool.storage.database import portions, read_transaction

_STRIP: Final = 4
_FEW: Final = 2000
"""So many search hits are looked up one by one; with more, the sorted index is walked and each row asked for."""
_WORD: Final = re.compile(r"[^\W_]+")
_MAX_WORDS: Final = 8
_BY_UID_PROJECT: Final[ColumnElement[int]] = literal_column("+worklist.project_id")
"""'+' keeps SQLite from starting with all of a project's studies where few are named by their uids."""


class WorklistStore:
    """Reads the worklist; storage.worklist writes it. All take whose studies there are.

    Every index begins with the project, so a page of several projects is made of a page of each.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, query: WorklistQuery, projects: Projects, *, limit: int) -> WorklistPage:
        """At most `limit` rows behind query.after, or in front of query.before."""
        plan = _plan(query)
        backwards = query.before is not None
        key = _parse(query.before if backwards else query.after)
        with read_transaction(self._engine) as db:
            statement = _matching(db, query, plan)
            if statement is None:
                return WorklistPage(rows=(), has_before=False, has_after=False)
            if key is not None:
                statement = statement.where(plan.beyond(key, backwards=backwards))
            statement = statement.order_by(*plan.order(backwards=backwards)).limit(limit + 1)
            found = [row for own in _seen(db, projects) for row in db.execute(statement.where(plan.project_id == own))]
            found.sort(key=lambda row: (row.key, row.study_id), reverse=plan.descending != backwards)
            rows = _rows(db, found[:limit][:: -1 if backwards else 1])
        more = len(found) > limit
        return WorklistPage(
            rows=rows,
            has_before=more if backwards else key is not None,
            has_after=key is not None if backwards else more,
        )

    def rows(self, uids: Sequence[str], projects: Projects, finding: str | None = None) -> tuple[WorklistRow, ...]:
        """The rows of these studies, as far as there are such, newest first; strongest: this finding, if given."""
        with read_transaction(self._engine) as db:
            return _rows(db, db.execute(_query_of_rows(uids, _seen(db, projects), finding)).all())

    def findings(self, projects: Projects) -> tuple[str, ...]:
        """All findings above their operating point anywhere, in anatomical order: one look at the index for each."""
        f = t.worklist_findings.c
        found: set[str] = set()
        with read_transaction(self._engine) as db:
            for own in _seen(db, projects):
                name = ""
                while name := db.execute(
                    select(func.min(f.finding)).where(f.project_id == own, f.finding > name)
                ).scalar_one():
                    found.add(name)
        return tuple(sorted(sorted(found), key=anatomical_rank))

    def versions(self, uids: Sequence[str], projects: Projects) -> dict[str, int]:
        """The version of each of these studies that there still is."""
        w = t.worklist.c
        query = select(w.uid, w.version)
        with read_transaction(self._engine) as db:
            own = _BY_UID_PROJECT.in_(_seen(db, projects))
            return {
                row.uid: row.version for some in portions(uids) for row in db.execute(query.where(w.uid.in_(some), own))
            }

    def newest(self, projects: Projects) -> str | None:
        """The uid of the study that came last."""
        w = t.worklist.c
        last = select(w.study_id, w.uid).order_by(w.study_id.desc()).limit(1)
        with read_transaction(self._engine) as db:
            found = [row for own in _seen(db, projects) for row in db.execute(last.where(w.project_id == own))]
        return max(found).uid if found else None


def _seen(db: Connection, projects: Projects) -> Sequence[int]:
    return db.execute(select(t.projects.c.id)).scalars().all() if projects.ids is None else sorted(projects.ids)


def _query_of_rows(uids: Sequence[str], project_ids: Sequence[int], finding: str | None) -> Select[Any]:
    w, f = t.worklist.c, t.worklist_findings.c
    return (
        select(t.worklist, literal_column("0.0").label("key"), *_asked())
        .join_from(t.worklist, t.worklist_findings, and_(f.study_id == w.study_id, f.finding == finding), isouter=True)
        .where(w.uid.in_(uids), _BY_UID_PROJECT.in_(project_ids))
        .order_by(w.study_id.desc())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Which columns order the page. study_id grows with time, so it is also the order of arrival."""

    source: FromClause
    project_id: ColumnElement[int | None]
    study_id: ColumnElement[int]
    urgency: ColumnElement[float] | None
    """None: by arrival alone."""
    descending: bool

    def order(self, *, backwards: bool) -> list[ColumnElement[Any]]:
        columns: list[ColumnElement[Any]] = [self.study_id] if self.urgency is None else [self.urgency, self.study_id]
        return [column.desc() if self.descending != backwards else column.asc() for column in columns]

    def beyond(self, key: tuple[float, int], *, backwards: bool) -> ColumnElement[bool]:
        falling = self.descending != backwards
        behind = self.study_id < key[1] if falling else self.study_id > key[1]
        if self.urgency is None:
            return behind
        further = self.urgency < key[0] if falling else self.urgency > key[0]
        return and_(
            self.urgency <= key[0] if falling else self.urgency >= key[0],  # this bounds the index, the rest the ties
            or_(further, behind),
        )


def _plan(query: WorklistQuery) -> _Plan:
    by_finding = query.finding is not None
    urgent = query.sort is Sort.URGENT
    f, w = t.worklist_findings, t.worklist
    return _Plan(
        source=f.join(w, w.c.study_id == f.c.study_id) if by_finding else w,
        project_id=f.c.project_id if by_finding else w.c.project_id,
        study_id=f.c.study_id if by_finding else w.c.study_id,
        urgency=None if not urgent else f.c.ratio if by_finding else w.c.urgency,
        descending=query.sort is not Sort.OLDEST,
    )


def _matching(db: Connection, query: WorklistQuery, plan: _Plan) -> Select[Any] | None:
    """The query's rows, unsorted; None when surely nothing matches."""
    w, f = t.worklist.c, t.worklist_findings.c
    key = (literal_column("0.0") if plan.urgency is None else plan.urgency).label("key")
    statement: Select[Any] = select(t.worklist, key).select_from(plan.source)
    if query.finding is not None:
        statement = statement.add_columns(*_asked()).where(f.finding == query.finding)
    if query.state is not None:
        statement = statement.where(_of_state(query.state))
    if query.reader_id is not None:
        statement = statement.where(w.reader_id == query.reader_id)
    if query.first_day is not None:
        start = _midnight(query.first_day)
        statement = statement.where(w.created_at >= start, plan.study_id >= _first_from(start))
    if query.last_day is not None:
        end = _midnight(query.last_day + timedelta(days=1))
        # until a day are most studies: '+' keeps SQLite from reading and sorting them where the order has an index
        walks = plan.urgency is not None and query.first_day is None
        last: ColumnElement[int] = literal_column(f"+{plan.study_id}") if walks else plan.study_id
        statement = statement.where(w.created_at < end, last <= _last_before(end))
    if words := _WORD.findall(query.text)[:_MAX_WORDS]:
        return _containing(db, statement, words, plan)
    return None if query.text.strip() else statement


def _asked() -> tuple[ColumnElement[Any], ...]:
    f = t.worklist_findings.c
    return f.finding.label("asked"), f.probability.label("asked_probability"), f.threshold.label("asked_threshold")


def _of_state(state: StudyState) -> ColumnElement[bool]:
    # bound as text these would not match the partial indexes' conditions
    if state is StudyState.REFUSED:
        return literal_column("worklist.refused") > literal_column("0")
    if state is StudyState.FAILED:
        return literal_column("worklist.failed") > literal_column("0")
    return t.worklist.c.state == state


def _first_from(moment: datetime) -> ColumnElement[Any]:
    """The first study since then: ids and times grow together, so one bounds the other."""
    w = t.worklist.alias()
    query = select(w.c.study_id).where(w.c.created_at >= moment).order_by(w.c.created_at, w.c.study_id).limit(1)
    return query.scalar_subquery()


def _last_before(moment: datetime) -> ColumnElement[Any]:
    w = t.worklist.alias()
    query = select(w.c.study_id).where(w.c.created_at < moment)
    return query.order_by(w.c.created_at.desc(), w.c.study_id.desc()).limit(1).scalar_subquery()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()


def _containing(db: Connection, statement: Select[Any], words: Sequence[str], plan: _Plan) -> Select[Any] | None:
    match = " AND ".join(f'"{word}"*' for word in words)
    hits = text(f"SELECT rowid FROM {t.WORKLIST_TEXT} WHERE {t.WORKLIST_TEXT} MATCH :match")  # noqa: S608
    few = db.execute(text(f"{hits} LIMIT {_FEW + 1}"), {"match": match}).scalars().all()
    if not few:
        return None
    if len(few) <= _FEW:
        return statement.where(plan.study_id.in_(few))
    # '+' keeps SQLite from starting with the hits, which would sort all of them
    among = text(f"+{plan.study_id} IN ({hits})").bindparams(match=match)
    return statement.where(among)


def _parse(cursor: str | None) -> tuple[float, int] | None:
    """A row's cursor; None for none, and for what is none: a made-up address shows the first page."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?)_(\d{1,18})", cursor or "")
    return None if match is None else (float(match[1]), int(match[2]))


def _rows(db: Connection, found: Sequence[Any]) -> tuple[WorklistRow, ...]:
    readers = _names(db, {row.reader_id for row in found})
    strips = _strips(db, [row.study_id for row in found])
    return tuple(_row(row, readers[row.reader_id], strips[row.study_id]) for row in found)


def _names(db: Connection, ids: Iterable[int]) -> dict[int, str]:
    u = t.users.c
    return {row.id: row.name for row in db.execute(select(u.id, u.name).where(u.id.in_(list(ids))))}


def _strips(db: Connection, study_ids: Sequence[int]) -> dict[int, list[str]]:
    i = t.instances.c
    strips: dict[int, list[str]] = defaultdict(list)
    query = (
        select(i.study_id, i.uid)
        .join(t.thumbnails, t.thumbnails.c.image_sha256 == i.sha256)
        .where(i.study_id.in_(study_ids), i.position < _STRIP)
        .order_by(i.study_id, i.position)
    )
    for row in db.execute(query):
        strips[row.study_id].append(row.uid)
    return strips


def _row(row: Any, reader: str, strip: Sequence[str]) -> WorklistRow:
    return WorklistRow(
        uid=row.uid,
        created_at=row.created_at,
        version=row.version,
        state=StudyState(row.state),
        total=row.total,
        finished=row.finished,
        refused=row.refused,
        failed=row.failed,
        reader=reader,
        patient_id=row.patient_id,
        patient_name=row.patient_name,
        patients=row.patients,
        view_positions=row.view_positions,
        age_years=row.age_years,
        sex=row.sex,
        strongest=_strongest(row),
        first_instance_uids=tuple(strip),
        cursor=f"{row.key!r}_{row.study_id}",
    )


def _strongest(row: Any) -> Strongest | None:
    asked = getattr(row, "asked", None)
    if asked is not None:
        return Strongest(finding=asked, probability=row.asked_probability, threshold=row.asked_threshold)
    if row.finding is None:
        return None
    return Strongest(finding=row.finding, probability=row.probability, threshold=row.threshold)
