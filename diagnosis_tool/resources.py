"""Where the files that are no Python lie: at the top of a checkout, or in the package when installed from a wheel."""

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


def translations_dir() -> Path:
    """A folder a language with its catalogue; English stands in the code."""
    return _folder("translations")


def migrations_dir() -> Path:
    """Alembic's environment and the numbered migrations."""
    return _folder("migrations")


def models_dir() -> Path:
    """Released bundles."""
    return _folder("models")
