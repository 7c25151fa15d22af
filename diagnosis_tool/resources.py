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


def static_address(name: str) -> str:
    """Where browsers find a file of static_dir(), such as "js/viewer.js"; another content has another address."""
    return f"/static/{name}?v={static_version(name)}"


def static_version(name: str) -> str:
    """Stands for the file's content. Raises FileNotFoundError."""
    file = static_dir() / name
    return _digest(file, file.stat().st_mtime_ns)


def texts_address(language: str) -> str:
    """Where browsers find the catalogue of this language, as a script."""
    return f"/texts/{language}.js?v={texts_version(language)}"


def texts_version(language: str) -> str:
    """Stands for the catalogue's content; English has none."""
    file = translations_dir() / language / "LC_MESSAGES" / "messages.po"
    own = _digest(file, file.stat().st_mtime_ns) if file.is_file() else ""
    return own + static_version("js/texts.js")  # it reads what the catalogue is written as


@cache
def _digest(file: Path, _changed_ns: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def translations_dir() -> Path:
    """A folder a language with its catalogue; English stands in the code."""
    return _folder("translations")


def migrations_dir() -> Path:
    """Alembic's environment and the numbered migrations."""
    return _folder("migrations")


def models_dir() -> Path:
    """Released bundles."""
    return _folder("models")
