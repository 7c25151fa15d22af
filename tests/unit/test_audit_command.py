"""`make audit` takes no silence for a good answer."""

import json
from typing import Any

import pytest

from testing.audit import judge

SOUND: dict[str, Any] = {"name": "flask", "version": "3.1.3", "vulns": []}
HOLED: dict[str, Any] = {
    "name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}],
}  # fmt: skip
SKIPPED: dict[str, Any] = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
OURS: dict[str, Any] = {"name": "diagnosis-tool", "skip_reason": "distribution marked as editable"}


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ([SOUND, OURS], 0, "1 packages looked up, 0 known holes"),
        ([SOUND, HOLED], 1, "pillow 1.0: PYSEC-1, mended in 1.1"),
        ([SOUND, SKIPPED], 2, "NOT AUDITED, as PyPI does not know them as installed: torch"),
        ([SKIPPED, OURS], 2, "could not be reached"),
        ([], 2, "could not be reached"),
    ],
)
def test_what_was_not_looked_up_is_said(found: list[dict[str, Any]], status: int, said: str) -> None:
    lines, got = judge(json.dumps({"dependencies": found}))
    assert (got, said in "\n".join(lines)) == (status, True), lines


def test_no_answer_is_no_good_answer() -> None:
    assert judge("")[1] == judge("no JSON")[1] == judge("{}")[1] == 2
