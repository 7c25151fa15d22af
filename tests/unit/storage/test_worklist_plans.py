"""SQLite answers the worklist along the indexes by project, whatever is asked: it reads no more than it shows."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import event

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.worklist import Sort, StudyState, WorklistQuery
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.worklist_pages import WorklistStore

DAY = date(2026, 5, 1)
WARD = Projects(frozenset({1}))
Plans = Callable[[Callable[[WorklistStore], object]], list[str]]


@pytest.fixture
def plans(context: Context) -> Plans:
    """How SQLite finds what is asked for."""
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "FROM worklist" in statement:
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            found.extend(row[3] for row in rows)

    event.listen(context.worklist._engine, "before_cursor_execute", explain)

    def ask(question: Callable[[WorklistStore], object]) -> list[str]:
        found.clear()
        question(context.worklist)
        return list(found)

    return ask


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize(
    "query",
    [{}, {"finding": "Mass"}, {"state": StudyState.READ}, {"state": StudyState.FAILED}, {"reader_id": 1},
     {"last_day": DAY}],
    ids=str,
)  # fmt: skip
def test_a_page_is_walked_along_an_index(plans: Plans, sort: Sort, query: dict[str, Any]) -> None:
    plan = plans(lambda worklist: worklist.page(WorklistQuery(sort=sort, **query), WARD, limit=50))
    assert any("(project_id=?" in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]


def test_rows_that_are_named_are_found_by_their_names(plans: Plans) -> None:
    plan = plans(lambda worklist: worklist.versions(["a", "b"], WARD))
    assert plan == ["SEARCH worklist USING INDEX sqlite_autoindex_worklist_1 (uid=?)"]
    plan = plans(lambda worklist: worklist.rows(["a", "b"], WARD, "Mass"))
    assert any("(uid=?)" in step for step in plan)
    assert not [step for step in plan if "project_id" in step]


def test_the_newest_and_the_findings_are_one_look_each(plans: Plans) -> None:
    assert plans(lambda worklist: worklist.newest(WARD)) == [
        "SEARCH worklist USING INDEX ix_worklist_project (project_id=?)"
    ]
    assert all("COVERING INDEX" in step for step in plans(lambda worklist: worklist.findings(WARD)))
