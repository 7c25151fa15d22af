"""SECURITY.md promises nothing that no test shows."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text(), (file, test)
