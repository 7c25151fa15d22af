"""docs/architecture.md: its rows name places that are there, and that their own words find."""

import re
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = (_ROOT / "docs/architecture.md").read_text(encoding="utf-8")
_ROWS = re.findall(r"^\| (.*\*\*.*) \| `([\w/.]+)` \|$", _PAGE, re.MULTILINE)
_DEFINED = r"^\s*(?:export )?(?:async )?(?:def|class|function|const|let) (\w+)|^(\w+)(?::.*)? = "
_PLACES_AT_MOST = 4
"""That a newcomer may have to look through."""


@cache
def _names(path: Path) -> tuple[str, ...]:
    """The file's own name, and the names that are defined in it."""
    defined = re.findall(_DEFINED, path.read_text(encoding="utf-8"), re.MULTILINE)
    return (path.stem, *(one or other for one, other in defined))


def _found_by(words: list[str]) -> list[Path]:
    either = "|".join((r"\w*".join(words), r"\w*".join(reversed(words))))
    sources = [*_ROOT.glob("diagnosis_tool/**/*.py"), *_ROOT.glob("training/**/*.py"), *_ROOT.glob("static/js/**/*.js")]
    return [path for path in sources if any(re.search(either, name, re.IGNORECASE) for name in _names(path))]


def test_there_are_twenty_questions() -> None:
    assert len(_ROWS) >= 20


@pytest.mark.parametrize(("question", "path"), _ROWS)
def test_a_question_is_answered_by_a_place_that_its_words_find(question: str, path: str) -> None:
    found = _found_by(re.findall(r"\*\*(\w+)\*\*", question))
    assert _ROOT / path in found
    assert len(found) <= _PLACES_AT_MOST, found


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:[a-z_]+/)+\w+\.(?:py|js|html|md))`", _PAGE))))
def test_a_file_that_the_page_names_is_there(name: str) -> None:
    assert (_ROOT / name).is_file() or (_ROOT / "diagnosis_tool" / name).is_file()
