"""In which language the reader is spoken to. Pure: catalogues are read elsewhere and put in here for a while.

The English text is the message's id, so code reads as the page does. `make messages` finds gettext("…") and
ngettext("…", "…", n) with plain string literals; values go in by name: gettext("Read by %(name)s", name=name).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from gettext import NullTranslations
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language by its code (BCP 47, 'de') and its catalogue."""

    code: str
    translations: NullTranslations = field(repr=False)


ENGLISH: Final = Language(code="en", translations=NullTranslations())
"""What the messages are written in."""

_current: Final[ContextVar[Language]] = ContextVar("language", default=ENGLISH)
"""Of this thread or task: a request is answered in one, and ends before the next begins there."""


def current() -> Language:
    """The language in use here and now."""
    return _current.get()


def choose(language: Language) -> None:
    """Speaks this language in this thread or task from now on."""
    _current.set(language)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Speaks this language inside the block."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def gettext(message: str, **values: object) -> str:
    """The message in the language in use, its %(name)s filled in; the message itself where it has no translation."""
    said = current().translations.gettext(message)
    return said % values if values else said


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """The form for this number of things, with %(n)s and other values filled in."""
    return current().translations.ngettext(one, many, n) % {"n": n, **values}


def gettext_noop(message: str) -> str:
    """The message itself: marks text that is translated where it is shown, for `make messages`."""
    return message
