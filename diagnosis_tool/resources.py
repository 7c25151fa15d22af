"""Where the files that are no Python lie: at the top of a checkout, or in the package when installed from a wheel."""

import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_PACKED = _PACKAGE / "_resources"


def _folder(name: str) -> Path:
    packed = _PACKED / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def templates_dir() -> Path:
    """Jinja templates."""
    return _folder("templates")


def static_dir() -> Path:
    """Stylesheets and scripts."""
    return _folder("static")


def static_version() -> str:
    """Stands for the content of all of static_dir(): modules name each other, so they change their address together."""
    return _digest(*sorted(file for file in static_dir().rglob("*") if file.is_file()))


def texts_address(language: str) -> str:
    """Where browsers find the catalogue of this language, as a script."""
    return f"/texts/{language}.js?v={texts_version(language)}"


def texts_version(language: str) -> str:
    """Stands for the catalogue's content; English has none."""
    file = translations_dir() / language / "LC_MESSAGES" / "messages.po"
    own = _digest(file) if file.is_file() else ""
    return own + static_version()  # js/texts.js reads what the catalogue is written as


def _digest(*files: Path) -> str:
    return _digest_of(tuple((file, file.stat().st_mtime_ns) for file in files))


@cache
def _digest_of(changed: tuple[tuple[Path, int], ...]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file, _ in changed)).hexdigest()[:12]


def translations_dir() -> Path:
    """A folder a language with its catalogue; English stands in the code."""
    return _folder("translations")


def migrations_dir() -> Path:
    """Alembic's environment and the numbered migrations."""
    return _folder("migrations")


def models_dir() -> Path:
    """Released bundles."""
    return _folder("models")
