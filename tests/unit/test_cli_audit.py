"""`diagnosis-tool audit`, by the command itself on a data folder."""

import csv
import sqlite3
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from diagnosis_tool import cli
from diagnosis_tool.domain.audit import Action, Event
from diagnosis_tool.services import audit
from testing.stores import open_store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    context = open_store(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    audit.record(context, [Event(action=Action.VIEW, user_name="=Ann", study_uid="a" * 32)])
    audit.record_command(context, Action.BACKUP, detail="nightly")

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["audit", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_whole_log_is_said_to_be(run: Run) -> None:
    code, out, _ = run("verify")
    assert code == 0
    assert out.startswith("2 rows, each as it was written; head 2:")


def test_a_touched_log_is_said_to_be(run: Run, tmp_path: Path) -> None:
    _, head, _ = run("head")
    with sqlite3.connect(tmp_path / "diagnosis_tool.sqlite") as db:
        db.execute("DROP TRIGGER audit_refuses_update")
        db.execute("UPDATE audit SET study_uid = 'b' WHERE seq = 1")
    db.close()
    code, _, err = run("verify", "--head", head.strip())
    assert code == 1
    assert "TOUCHED: row 1 does not fit" in err


def test_a_head_from_elsewhere_that_is_no_head_is_refused(run: Run) -> None:
    code, _, err = run("verify", "--head", "nonsense")
    assert (code, "is no head" in err) == (1, True)


def test_rows_as_lines_and_as_csv(run: Run) -> None:
    code, out, _ = run("list", "--study", "a" * 32)
    assert (code, len(out.splitlines())) == (0, 1)
    assert "view  success" in out
    _, out, _ = run("list", "--csv", "--since", "2026-01-01")
    rows = list(csv.DictReader(StringIO(out)))
    assert [row["action"] for row in rows] == ["view", "backup"]
    assert rows[0]["user_name"] == "'=Ann"
    assert rows[1]["user_name"].startswith("command line (")
    assert run("list", "--until", "2026-01-01")[1] == ""
    with pytest.raises(SystemExit):
        run("list", "--since", "yesterday")


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_a_time_outside_of_all_clocks_is_no_time(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["audit", "list", "--since", text])
    assert "is no time such as" in capsys.readouterr().err
