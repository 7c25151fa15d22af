"""Who is connected: bounds how many connections an address has whose people have not signed in.

A hospital may have one address for all its people, so a bound must not keep a colleague out: room is made by closing
the stranger's connection that has kept us waiting the longest, and who sends what they have to say is never that one.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

PER_ADDRESS: Final = 32
"""Strangers' connections from one address; a browser opens six for the sign-in page."""
IN_ALL: Final = 800
"""Connections of everybody; each costs a file descriptor, and one more while it is answered."""
SOON_S: Final = 1.0
"""Who kept us waiting for less is not closed yet: many readers may come at one moment, and are known in the next."""
_KNOWN_S: Final = 60.0
_MOST_KNOWN: Final = 10_000
_IPV6_SITE: Final = 64
"""Who has an IPv6 address has all of its /64. Source: RFC 6177."""


@dataclass(eq=False, slots=True)
class Guest:
    """A connection, or behind proxies a request. waits_since: for the client's bytes; None while it waits for us."""

    address: str
    close: Callable[[], None] = field(repr=False)
    is_known: bool = False
    waits_since: float | None = None


class Guests:
    """All guests. Of people who are signed in nobody is ever counted or closed.

    clock: seconds, as waits_since has them.
    """

    def __init__(
        self, *, per_address: int = PER_ADDRESS, in_all: int = IN_ALL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_address, self._in_all, self._clock = per_address, in_all, clock
        self._strangers: dict[str, set[Guest]] = {}
        self._all: set[Guest] = set()
        self.closed = 0

    def enter(self, guest: Guest) -> None:
        """Counts a connection in; where there are too many of all, the slowest stranger's is closed."""
        self._all.add(guest)
        if len(self._all) > self._in_all:
            largest = max(self._strangers.values(), key=len, default=set())
            # behind proxies connections have no address: who reaches us past them has many that say nothing
            if not self._close_slowest(largest, 0.0):
                self._close_slowest({one for one in self._all if not one.address}, 0.0)
        if guest.address and not guest.is_known:
            self._strangers.setdefault(guest.address, set()).add(guest)

    def may_stay(self, guest: Guest) -> bool:
        """Whether the guest is known, or the address has room, or a slower one could be closed."""
        others = self._strangers.get(guest.address, set())
        return guest not in others or len(others) <= self._per_address or self._close_slowest(others - {guest}, SOON_S)

    def sweep(self) -> None:
        """Closes what is too much of each address. To be called again and again."""
        for others in list(self._strangers.values()):
            while len(others) > self._per_address and self._close_slowest(others, SOON_S):
                pass

    def leave(self, guest: Guest) -> None:
        """It is over."""
        self._all.discard(guest)
        self._uncount(guest)

    def know(self, guest: Guest) -> None:
        """They are signed in."""
        if not guest.is_known:
            guest.is_known = True
            self._uncount(guest)

    def forget(self, guest: Guest) -> None:
        """They are not, or not any more."""
        if guest.is_known:
            guest.is_known = False
            if guest.address:
                self._strangers.setdefault(guest.address, set()).add(guest)

    def _uncount(self, guest: Guest) -> None:
        others = self._strangers.get(guest.address, set())
        others.discard(guest)
        if not others:
            self._strangers.pop(guest.address, None)

    def _close_slowest(self, strangers: set[Guest], least_s: float) -> bool:
        latest = self._clock() - least_s
        waiting = {guest: guest.waits_since for guest in strangers if guest.waits_since is not None}
        slowest = min(waiting, key=waiting.__getitem__, default=None)
        if slowest is None or waiting[slowest] > latest:
            return False
        self.leave(slowest)
        slowest.close()
        self.closed += 1
        return True


class Known:
    """Credentials that were good a moment ago, by their hash. What they allow is asked each time, elsewhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}

    def has(self, credentials: bytes) -> bool:
        """Whether they were good within the last minute."""
        return self._until.get(hashlib.sha256(credentials).digest(), 0.0) > self._clock()

    def add(self, credentials: bytes) -> None:
        """They are good now."""
        digest = hashlib.sha256(credentials).digest()
        self._until.pop(digest, None)  # goes to the end: the dictionary is in the order of time
        self._until[digest] = self._clock() + _KNOWN_S
        while len(self._until) > _MOST_KNOWN:
            del self._until[next(iter(self._until))]

    def drop(self, credentials: bytes) -> None:
        """They are not, or not any more."""
        self._until.pop(hashlib.sha256(credentials).digest(), None)


def counted_address(address: str) -> str:
    """What is counted together: an IPv4 address, an IPv6 site."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_SITE), strict=False))
