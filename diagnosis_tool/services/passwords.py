"""Hashing and checking passwords."""

import re
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from diagnosis_tool.errors import RequestRefused

SHORTEST: Final = 12
LONGEST: Final = 200
_LEAST_SCORE: Final = 3
"""Of zxcvbn's 0 to 4: more than 10^8 guesses by who knows how people choose. With the hash's cost and the waits between
guesses that is centuries here, months for who has the database."""
_LOOKED_AT: Final = 72
"""Letters, from the front and from the end: zxcvbn's time grows faster than the length."""
_OURS: Final = (
    *("diagnosis", "diagnosis-tool", "diagnosistool", "radiology", "radiologie", "radiologist", "roentgen", "röntgen"),
    *("thorax", "chest", "xray", "x-ray", "hospital", "krankenhaus", "klinik", "clinic"),
)
"""What people who choose a password for this tool think of first; zxcvbn's lists are of English in general."""

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane. Eight sign-ins at once, as many as the web
# process has threads, then need 152 MiB.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def check_new(password: str, name: str) -> None:
    """Whether it may be a password: by its length and by how soon it would be guessed, not by kinds of letters.

    name: whose it would be; a password that is made of it is none. Raises RequestRefused.
    Source: NIST SP 800-63B section 5.1.1.2; zxcvbn (Wheeler, USENIX Security 2016).
    """
    if len(password) < SHORTEST:
        raise RequestRefused("The password is too short: it needs at least %(least)s letters.", least=SHORTEST)
    if len(password) > LONGEST:
        raise RequestRefused("The password is too long: at most %(most)s letters fit.", most=LONGEST)
    if not password.casefold().replace(name.casefold(), "").strip():
        raise RequestRefused("The password only repeats the name. Choose another one.")
    from zxcvbn import zxcvbn  # its lists take 14 MB, which workers and most commands never need

    words = re.findall(r"\w+", name)
    known = [*_OURS, name, *words, "".join(words)]
    parts = {password[:_LOOKED_AT], password[-_LOOKED_AT:]}
    if max(zxcvbn(part, user_inputs=known, max_length=_LOOKED_AT)["score"] for part in parts) < _LEAST_SCORE:
        raise RequestRefused(
            "This password would be guessed soon: it is common, or made of common words, a name, a date, or keys or "
            "letters in a row. Choose another one, such as four words that have nothing to do with each other."
        )


def check_repeated(password: str, again: str) -> None:
    """Whether it was written twice the same. Raises RequestRefused."""
    if password != again:
        raise RequestRefused("The two passwords differ. Write the same one twice.")


def hashed_new(password: str, name: str) -> str:
    """What is stored of a new password, which is checked first: nothing else makes what can be stored.

    Argon2id with a salt of its own, and its parameters, as one text. Raises RequestRefused as check_new.
    """
    check_new(password, name)
    return _hasher.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Whether this is the password. None, for somebody unknown, takes as long and is False."""
    try:
        # one letter more than can be right is as wrong as a million
        return _hasher.verify(password_hash or _nobodys(), password[: LONGEST + 1]) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return _hasher.hash("of nobody, so that looking one up takes as long as checking one")
