"""The audit log: rows are only added, and whatever is done to them behind its back is found."""

import multiprocessing
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.audit import Action, Event, Head, Outcome
from diagnosis_tool.errors import Conflict
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.wiring import AUDIT_HEAD, make_context
from diagnosis_tool.storage.audit import AuditQuery
from diagnosis_tool.storage.database import write_transaction
from testing.stores import DATABASE, open_store

ROWS = 6


def event(k: int, **more: object) -> Event:
    return Event(action=Action.VIEW, user_id=k, user_name=f"reader {k}", study_uid=f"{k:032x}", **more)  # type: ignore[arg-type]


@pytest.fixture
def filled(context: Context) -> Context:
    """Six rows."""
    for k in range(ROWS):
        context.audit.record([event(k)])
    return context


def tamper(folder: Path, *statements: str) -> None:
    """As somebody who has the database's file: the triggers are put out of the way, and back afterwards."""
    with sqlite3.connect(folder / DATABASE) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
        found = triggers.fetchall()
        for name, _ in found:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _, sql in found:
            db.execute(sql)
    db.close()


def problems(context: Context, *heads: Head) -> str:
    return "; ".join(context.audit.verify(*heads).problems)


def test_an_untouched_log_is_whole(filled: Context) -> None:
    found = filled.audit.verify()
    assert (found.rows, found.problems) == (ROWS, ())
    assert found.head == filled.audit.head()
    assert [line.seq for line in filled.audit.lines()] == list(range(1, ROWS + 1))


def test_an_empty_log_is_whole(context: Context) -> None:
    assert context.audit.verify().problems == ()


@pytest.mark.parametrize("column", ["at", "user_id", "user_name", "action", "outcome", "study_uid", "detail", "hash"])
def test_an_edited_row_is_found(filled: Context, tmp_path: Path, column: str) -> None:
    tamper(tmp_path, f"UPDATE audit SET {column} = '7' WHERE seq = 3")
    assert "row 3 does not fit" in problems(filled)


def test_a_row_removed_from_the_middle_is_found(filled: Context, tmp_path: Path) -> None:
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 3")
    assert "row 3 is missing" in problems(filled)


def test_a_row_removed_and_the_others_renumbered_is_found(filled: Context, tmp_path: Path) -> None:
    tamper(
        tmp_path,
        "DELETE FROM audit WHERE seq = 3",
        *(f"UPDATE audit SET seq = {k - 1} WHERE seq = {k}" for k in (4, 5, 6)),
    )
    assert "row 3 does not fit" in problems(filled)


def test_the_first_row_removed_is_found(filled: Context, tmp_path: Path) -> None:
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 1")
    assert "row 1 is missing" in problems(filled)


@pytest.mark.parametrize("kept", [0, 1, ROWS - 1])
def test_the_end_cut_off_is_found_by_the_head(filled: Context, tmp_path: Path, kept: int) -> None:
    tamper(tmp_path, f"DELETE FROM audit WHERE seq > {kept}")
    assert f"row {ROWS} was noted as head and is missing" in problems(filled)


def test_the_end_cut_off_with_the_heads_file_is_found(filled: Context, tmp_path: Path) -> None:
    (tmp_path / AUDIT_HEAD).unlink()
    tamper(tmp_path, "DELETE FROM audit WHERE seq > 4")
    assert "file is missing" in problems(filled)


def test_a_head_written_by_hand_is_found(filled: Context, tmp_path: Path) -> None:
    tamper(tmp_path, "DELETE FROM audit WHERE seq > 4")
    head = filled.audit.head()
    (tmp_path / AUDIT_HEAD).write_text(f"{head}:{'0' * 64}\n")
    assert "file was altered" in problems(filled)


def test_an_older_state_as_a_whole_is_found_by_a_head_kept_elsewhere(filled: Context, tmp_path: Path) -> None:
    """What nothing in DATA_DIR can show: rows and head are both put back. The log has the later head."""
    older = (tmp_path / AUDIT_HEAD).read_text()
    filled.audit.record([event(9)])
    elsewhere = filled.audit.head()
    assert elsewhere is not None
    tamper(tmp_path, f"DELETE FROM audit WHERE seq > {ROWS}")
    (tmp_path / AUDIT_HEAD).write_text(older)
    assert problems(filled) == ""
    assert "noted as head and is missing" in problems(filled, elsewhere)


def test_an_added_row_is_found(filled: Context, tmp_path: Path) -> None:
    columns = "at, user_id, user_name, action, outcome, study_uid, instance_uid, address, request_id, detail, hash"
    tamper(tmp_path, f"INSERT INTO audit SELECT {ROWS + 1}, {columns} FROM audit WHERE seq = 2")
    assert f"row {ROWS + 1} does not fit" in problems(filled)


def test_two_rows_swapped_are_found(filled: Context, tmp_path: Path) -> None:
    tamper(tmp_path, *(f"UPDATE audit SET seq = {new} WHERE seq = {old}" for old, new in ((2, 99), (5, 2), (99, 5))))
    assert "row 2 does not fit" in problems(filled)
    assert "row 5 does not fit" in problems(filled)


def test_a_chain_made_anew_with_another_key_is_found(filled: Context, tmp_path: Path) -> None:
    forged = make_context(
        data_dir=tmp_path, database_file=tmp_path / DATABASE, projects=ALL_PROJECTS, audit_key="x" * 32
    )
    tamper(tmp_path, "DELETE FROM audit")
    (tmp_path / AUDIT_HEAD).unlink()
    forged.audit.record([event(k) for k in range(ROWS)])
    assert forged.audit.verify().problems == ()
    assert "row 1 does not fit" in problems(filled)


def test_a_missing_trigger_is_found(filled: Context, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute("DROP TRIGGER audit_refuses_update")
    db.close()
    assert "audit_refuses_update is missing" in problems(filled)


_REPLACE = "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2"
_GAP = (
    "INSERT INTO audit SELECT 50, at, user_id, user_name, action, outcome, study_uid, instance_uid, address, "
    "request_id, detail, hash FROM audit WHERE seq = 2"
)


@pytest.mark.parametrize("statement", ["UPDATE audit SET detail = 'x'", "DELETE FROM audit", _REPLACE, _GAP])
def test_the_database_refuses_all_but_the_next_row(filled: Context, tmp_path: Path, statement: str) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()
    assert problems(filled) == ""


def test_what_is_undone_leaves_no_row(filled: Context) -> None:
    def break_off() -> None:
        with write_transaction(filled.audit._engine) as db:
            filled.audit.append(db, [event(8)])
            raise Conflict("x")

    with pytest.raises(Conflict):
        break_off()
    assert filled.audit.verify().rows == ROWS


def _add(folder: Path, who: int) -> None:
    context = open_store(folder)
    for _ in range(20):
        context.audit.record([event(who)])


def test_processes_that_add_at_once_make_one_chain(tmp_path: Path) -> None:
    stores = open_store(tmp_path)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_add, args=(tmp_path, who)) for who in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = stores.audit.verify()
    assert (found.rows, found.problems) == (40, ())


def test_rows_are_found_by_user_study_action_and_time(context: Context) -> None:
    context.audit.record([event(1), event(2)])
    context.audit.record([Event(action=Action.DELETE, outcome=Outcome.DENIED, user_name="reader 1")])
    first, second, third = context.audit.lines()

    def seqs(**wanted: object) -> list[int]:
        return [line.seq for line in context.audit.lines(AuditQuery(**wanted))]  # type: ignore[arg-type]

    assert seqs(user="reader 1") == [1, 3]
    assert seqs(study_uid=second.study_uid) == [2]
    assert seqs(action="delete") == [3]
    assert seqs(since=datetime.fromisoformat(third.at)) == [3]
    assert seqs(until=datetime.fromisoformat(third.at)) == [1, 2]
    assert first.at == second.at
