"""Hashing and checking passwords."""

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from diagnosis_tool.errors import RequestRefused

SHORTEST: Final = 12
LONGEST: Final = 200

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane. Eight sign-ins at once, as many as the web
# process has threads, then need 152 MiB.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def check_new(password: str, name: str) -> None:
    """Whether it may be a password. Length alone counts (NIST SP 800-63B); raises RequestRefused.

    name: whose it would be; a password that only repeats it is none.
    """
    if len(password) < SHORTEST:
        raise RequestRefused("The password is too short: it needs at least %(least)s letters.", least=SHORTEST)
    if len(password) > LONGEST:
        raise RequestRefused("The password is too long: at most %(most)s letters fit.", most=LONGEST)
    if not password.casefold().replace(name.casefold(), "").strip():
        raise RequestRefused("The password only repeats the name. Choose another one.")


def check_repeated(password: str, again: str) -> None:
    """Whether it was written twice the same. Raises RequestRefused."""
    if password != again:
        raise RequestRefused("The two passwords differ. Write the same one twice.")


def hashed(password: str) -> str:
    """Argon2id with a salt of its own, and its parameters, as one text."""
    return _hasher.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Whether this is the password. None, for somebody unknown, takes as long and is False."""
    try:
        return _hasher.verify(password_hash or _nobodys(), password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return hashed("of nobody, so that looking one up takes as long as checking one")
