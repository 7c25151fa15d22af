"""JSON as strangers send it: what would break whoever works on it later is refused here, with words. Pure.

Python's own reader takes more than JSON: numbers of any length, NaN, halves of characters, arrays in arrays until its
stack is full. Each of these came back as an error of ours, from where it was stored or shown.
"""

import json
import math
from typing import Any, Final

from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import RequestMalformed

MAX_DEPTH: Final = 32
"""Arrays and objects in each other; the deepest that our pages send has five."""
_MAX_DIGITS: Final = 18
"""Of a whole number: what a database's integer holds."""
_NO_JSON: Final = gettext_noop("What was sent is no JSON in UTF-8, so it was not understood. Reload the page.")
_TOO_DEEP: Final = gettext_noop("What was sent is nested too deeply, so it was not understood. Reload the page.")
_NO_NUMBER: Final = gettext_noop("What was sent holds a number that is too large, or none. Reload the page.")
_TWICE: Final = gettext_noop("What was sent says the same thing twice, so it was not understood. Reload the page.")
_HALF: Final = gettext_noop(
    "The text holds half a character, which cannot be stored. Nothing was changed: write the text anew."
)


def parse(body: bytes) -> Any:
    """The value of a JSON document in UTF-8 (RFC 8259). Raises RequestMalformed for what cannot be worked on."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_int=_whole,
            parse_float=_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError as error:
        raise RequestMalformed(_TOO_DEEP) from error
    except ValueError as error:
        raise RequestMalformed(_NO_JSON) from error
    _check(value)
    return value


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise RequestMalformed(_NO_NUMBER)
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RequestMalformed(_NO_NUMBER)
    return number


def _refuse_constant(_: str) -> float:
    raise RequestMalformed(_NO_NUMBER)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # two readers of the same text could each take another one
        raise RequestMalformed(_TWICE)
    return found


def _check(value: Any) -> None:
    """Without recursion: that is what a deep value would break."""
    left: list[tuple[Any, int]] = [(value, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise RequestMalformed(_TOO_DEEP)
            inner = [*item, *item.values()] if isinstance(item, dict) else item
            left += [(part, depth + 1) for part in inner]


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestMalformed(_HALF) from error
