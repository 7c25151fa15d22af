"""Fonts of the report: Noto Sans, and for names in other scripts the fonts that hold their letters. From pip packages.

Only what a report's text needs is opened: the font of the East Asian scripts alone takes seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTFont

_PACKAGES: Final = (
    # in the order in which a letter is looked for
    ("justmytype_western_core", "notosans/NotoSans[[]*.ttf"),
    ("justmytype_western_core", "notosanssymbols2/*.ttf"),
    ("justmytype_intl_rtl", "*.ttf"),
    ("justmytype_intl_south_asia", "*.ttf"),
    ("justmytype_intl_sea", "*.ttf"),
    ("justmytype_intl_africa", "*.ttf"),
    ("noto_cjk_sans_jp_regular", "*.otf"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Font:
    """A font file under the name that the report calls it by."""

    name: str
    file: Path


def fonts_for(text: str) -> tuple[Font, ...]:
    """The base font, then what else the text's letters need. A letter that no font holds stays an empty box."""
    missing = {ord(letter) for letter in text if letter.isprintable()}
    needed: list[Font] = []
    for font in _fonts():
        held = _letters(font.file)
        if not needed or missing & held:
            needed.append(font)
            missing -= held
        if not missing:
            break
    return tuple(needed)


def _fonts() -> Iterator[Font]:
    for package, pattern in _PACKAGES:
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            for file in sorted(Path(folder).rglob(pattern)):
                yield Font(name=file.stem.split("[")[0].lower(), file=file)


@cache
def _letters(file: Path) -> frozenset[int]:
    with TTFont(file, lazy=True) as font:
        return frozenset(font.getBestCmap())
