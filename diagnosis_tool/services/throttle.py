"""How often somebody may try to sign in. One web process serves all, so its memory is enough."""

from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from diagnosis_tool.errors import TooManyAttempts
from diagnosis_tool.storage.users import folded

MINUTES: Final = 15
PER_NAME: Final = 10
"""Failures within MINUTES; a name is worth guessing at from many addresses."""
PER_ADDRESS: Final = 50
"""Likewise; a hospital's readers may all come from one address, and an address is worth trying many names from."""


class Throttle:
    """Counts what failed; who gets in is not counted."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_name = RateLimitItemPerMinute(PER_NAME, MINUTES, namespace="name")
        self._per_address = RateLimitItemPerMinute(PER_ADDRESS, MINUTES, namespace="address")

    def require_room(self, name: str, address: str) -> None:
        """Raises TooManyAttempts, whether or not there is such a user."""
        by_name = self._limiter.test(self._per_name, folded(name))
        if not (by_name and self._limiter.test(self._per_address, address)):
            raise TooManyAttempts("Too many attempts to sign in failed. Wait %(n)s minutes, then try again.", n=MINUTES)

    def failed(self, name: str, address: str) -> None:
        """One more failure."""
        self._limiter.hit(self._per_name, folded(name))
        self._limiter.hit(self._per_address, address)
