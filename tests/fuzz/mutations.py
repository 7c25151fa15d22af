"""Whole things made wrong: bytes with a few edits, JSON with a few nodes replaced."""

import json
import struct
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

_EDGES: Final = (0, 1, 2, 7, 8, 15, 16, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000,
                 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
_HEAD_BYTES: Final = 1500
"""Where headers are: half of all edits fall there."""
_EDITS: Final = (*["byte", "number"] * 3, "cut", "copy", "insert", "splice", "end")
_MOST_BYTES: Final = 2_000_000


@st.composite
def mutated(draw: DrawFn, samples: Sequence[bytes]) -> bytes:
    """One of the samples with one to six edits; now and then as it is."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 2, 3, 6)))):
        size = max(1, len(data))
        at = draw(st.one_of(st.integers(0, min(size, _HEAD_BYTES) - 1), st.integers(0, size - 1)))
        length = draw(st.one_of(st.integers(1, 16), st.integers(1, size)))
        match draw(st.sampled_from(_EDITS)):
            case "byte":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                number = struct.pack(draw(st.sampled_from("<>")) + "L", draw(st.sampled_from(_EDGES)))
                width = draw(st.sampled_from((1, 2, 4)))
                data[at : at + width] = number[:width] if draw(st.booleans()) else number[-width:]
            case "cut":
                del data[at : at + length]
            case "copy":
                data[at:at] = data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=12)) * draw(st.sampled_from((1, 1, 1, 100, 5000)))
            case "splice":
                other = draw(st.sampled_from(samples))
                start = draw(st.integers(0, max(0, len(other) - 1)))
                data[at:] = other[start:]
            case "end":
                del data[at:]
    return bytes(data[:_MOST_BYTES])


def deep(levels: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


TEXTS: Final = st.one_of(
    st.text(st.characters(exclude_categories=())),  # halves of characters, too
    st.sampled_from((
        "", "\0", "\ud800", "../x", "/etc/passwd", "a" * 300, "x" * 20_000, "\u202e", "NaN", "1e400", "%s%(x)s{0}",
        "9" * 5000, "٣", "²", "-1", " 1", "1_0", "0x1", "+1", "1.0", "true", "~", "None", ",,,", "*", "::1",
        "\x1b[31m", "\r\nX: y", "\ufffe", "İ", "<script>", "default", "auto",
    )),
)  # fmt: skip
"""What breaks who takes a text for something."""
NUMBERS: Final = st.one_of(
    st.integers(), st.floats(), st.sampled_from((2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324, -0.0))
)
ODD: Final[SearchStrategy[Any]] = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS,
    st.sampled_from(([], {}, [[]], [None], {"": None}, deep(40), deep(100))),
    st.lists(st.one_of(TEXTS, NUMBERS), max_size=4), st.dictionaries(TEXTS, NUMBERS, max_size=3),
)  # fmt: skip


@st.composite
def mutated_json(draw: DrawFn, sound: Any) -> bytes:
    """A sound document in which up to four nodes are replaced, removed, doubled or swapped for others of its own."""
    value = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "other", "add"))):
            case "replace":
                holder[key] = deepcopy(draw(ODD))
            case "remove":
                del holder[key]
            case "other":
                source, name = draw(st.sampled_from(places))
                holder[key] = json.loads(json.dumps(source[name]))
            case "add" if isinstance(holder, dict):
                holder[draw(TEXTS)] = deepcopy(draw(ODD))
            case "add":
                holder.insert(key, deepcopy(draw(ODD)))  # the next edit may fall into it
    text = json.dumps(value).encode()
    if draw(st.integers(0, 9)):
        return text
    return draw(mutated([text, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"1" * 5000]))


def _places(value: Any) -> Any:
    """(holder, key) of every node but the first."""
    left = [value]
    while left:
        holder = left.pop()
        for key, inner in holder.items() if isinstance(holder, dict) else enumerate(holder):
            yield holder, key
            if isinstance(inner, dict | list):
                left.append(inner)
