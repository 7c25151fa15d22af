"""How fast somebody may guess: passwords at the sign-in, one's own password, codes of a second factor.

Nobody is locked out; who fails waits, each time longer. A guess counts before it is checked, so many at once gain
nothing, and one that has to wait is neither checked nor counted. One web process serves all, so its memory is enough;
it holds so many guessers at most, as hashes. What is promised of it: SECURITY.md.
"""

import hashlib
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotSignedIn, TooManyAttempts
from diagnosis_tool.storage.users import folded

_SECONDS: Final = gettext_noop("Too many attempts failed. Wait %(n)s seconds, then try again.")
_MINUTES: Final = gettext_noop("Too many attempts failed. Wait %(n)s minutes, then try again.")
MOST_KEPT: Final = 20_000
"""Guessers of each kind; the one that was quiet for longest is forgotten first."""
_SITE_BITS: Final = 64
"""Of an IPv6 address: all the rest is one site's own choice. Source: RFC 6177, RFC 4291 section 2.5.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """free: failures without any wait; then it is a second, and twice as long every `step` failures, to longest_s.

    forgets_s: after so long without a failure one of them is forgotten.
    """

    free: int
    longest_s: float
    forgets_s: float
    step: int = 1

    def wait_s(self, failures: float) -> float:
        """How long after the last one of so many failures."""
        return 0.0 if failures < self.free else min(self.longest_s, 2.0 ** ((failures - self.free) / self.step))

    @property
    def most(self) -> float:
        """More failures make no difference."""
        return self.free + self.step * (math.log2(self.longest_s) + 1)


NAME_AND_ADDRESS: Final = Pace(free=5, longest_s=900.0, forgets_s=3600.0)
"""Somebody at one name from one address: about a hundred guesses a day."""
ADDRESS: Final = Pace(free=30, longest_s=60.0, forgets_s=60.0, step=5)
"""All names that one address fails at: a hospital's readers may all come from one."""
NAME: Final = Pace(free=10, longest_s=30.0, forgets_s=180.0, step=2)
"""How many addresses failed at one name: what each further address waits before its first guess there."""
DEVICE: Final = Pace(free=10, longest_s=60.0, forgets_s=3600.0)
"""A device on which the user has signed in before: nobody else's guesses count."""
OWN: Final = Pace(free=5, longest_s=60.0, forgets_s=3600.0)
"""Who is signed in, where a page asks for the present password again."""
CODE: Final = Pace(free=5, longest_s=900.0, forgets_s=3600.0)
"""At one user's second factor, by whoever has their password: a code has six digits."""
DEVICE_CODE: Final = Pace(free=5, longest_s=300.0, forgets_s=3600.0)
"""The same on a device on which the user has signed in before."""


@dataclass(slots=True)
class _Guesser:
    failures: float
    at_s: float
    next_s: float


class _Guessers:
    """How often each failed lately, and when each may guess again; MOST_KEPT at most."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._known: dict[bytes, _Guesser] = {}

    def __len__(self) -> int:
        return len(self._known)

    def failures(self, key: bytes, now_s: float) -> float:
        known = self._known.get(key)
        return 0.0 if known is None else max(0.0, known.failures - (now_s - known.at_s) / self._pace.forgets_s)

    def wait_s(self, key: bytes, now_s: float) -> float:
        """How long until the next guess; 0 for at once."""
        known = self._known.get(key)
        return 0.0 if known is None else max(0.0, known.next_s - now_s)

    def pause_s(self, key: bytes, now_s: float) -> float:
        """How long the wait after so many failures is."""
        return self._pace.wait_s(self.failures(key, now_s))

    def fail(self, key: bytes, now_s: float, least_s: float = 0.0) -> None:
        """One failure more. least_s: how long the wait is at least."""
        failures = min(self.failures(key, now_s) + 1, self._pace.most)
        self._put(key, _Guesser(failures, now_s, now_s + max(least_s, self._pace.wait_s(failures))))

    def hold(self, key: bytes, now_s: float, wait_s: float) -> None:
        """Lets it guess only after this time."""
        self._put(key, _Guesser(self.failures(key, now_s), now_s, now_s + wait_s))

    def take_back(self, key: bytes, now_s: float) -> None:
        """The last failure was none."""
        if key in self._known:
            self._put(key, _Guesser(max(0.0, self.failures(key, now_s) - 1), now_s, now_s))

    def forget(self, key: bytes) -> None:
        self._known.pop(key, None)

    def knows(self, key: bytes) -> bool:
        return key in self._known

    def _put(self, key: bytes, guesser: _Guesser) -> None:
        self._known.pop(key, None)  # goes to the end: the dictionary is in the order of time
        self._known[key] = guesser
        while len(self._known) > MOST_KEPT:
            del self._known[next(iter(self._known))]


class Throttle:
    """Each of its methods is a context in which a guess is checked: NotSignedIn out of it is a failure, all else none.

    They raise TooManyAttempts instead where the guess has to wait, whether or not there is such a user.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(16)
        self._pairs, self._addresses, self._names = map(_Guessers, (NAME_AND_ADDRESS, ADDRESS, NAME))
        self._devices, self._own, self._codes = map(_Guessers, (DEVICE, OWN, CODE))
        self._device_codes = _Guessers(DEVICE_CODE)

    def __len__(self) -> int:
        """How many guessers it holds."""
        all_of_them = (self._pairs, self._addresses, self._names, self._devices, self._own, self._codes)
        return sum(map(len, all_of_them)) + len(self._device_codes)

    @contextmanager
    def sign_in(self, name: str, address: str, device: str | None = None) -> Iterator[None]:
        """A password for a name. device: on which this name's user has signed in before; None for any other."""
        if device is not None:
            with self._counted(self._devices, device, folded(name)):
                yield
            return
        site = self._key(_site(address))
        pair, of_name = self._key(folded(name), _site(address)), self._key(folded(name))
        with self._lock:
            now_s = self._clock_s()
            spread_s = self._names.pause_s(of_name, now_s)
            self._require(self._addresses.wait_s(site, now_s))
            if spread_s and not self._pairs.knows(pair):
                self._pairs.hold(pair, now_s, spread_s)
            self._require(self._pairs.wait_s(pair, now_s))
            if not self._pairs.failures(pair, now_s):
                self._names.fail(of_name, now_s)
            self._pairs.fail(pair, now_s, spread_s)
            self._addresses.fail(site, now_s)

        def forgive(now_s: float) -> None:
            self._pairs.forget(pair)
            self._names.take_back(of_name, now_s)
            self._addresses.take_back(site, now_s)

        with self._forgiving(forgive):
            yield

    @contextmanager
    def own_password(self, session: str) -> Iterator[None]:
        """The present password of who is signed in by this session."""
        with self._counted(self._own, session):
            yield

    @contextmanager
    def code(self, user_id: int, device: str | None = None) -> Iterator[None]:
        """A code of this user's second factor. device: as for sign_in."""
        if device is None:
            with self._counted(self._codes, str(user_id)):
                yield
        else:
            with self._counted(self._device_codes, device, str(user_id)):
                yield

    @contextmanager
    def _counted(self, guessers: _Guessers, *words: str) -> Iterator[None]:
        key = self._key(*words)
        with self._lock:
            now_s = self._clock_s()
            self._require(guessers.wait_s(key, now_s))
            guessers.fail(key, now_s)
        with self._forgiving(lambda _now_s: guessers.forget(key)):
            yield

    @contextmanager
    def _forgiving(self, forgive: Callable[[float], None]) -> Iterator[None]:
        try:
            yield
        except NotSignedIn:
            raise
        except BaseException:  # what broke meanwhile was no guess
            with self._lock:
                forgive(self._clock_s())
            raise
        with self._lock:
            forgive(self._clock_s())

    def _require(self, wait_s: float) -> None:
        if wait_s <= 0:
            return
        seconds = max(2, math.ceil(wait_s))
        if seconds < 120:
            raise TooManyAttempts(_SECONDS, wait_s=seconds, n=seconds)
        raise TooManyAttempts(_MINUTES, wait_s=seconds, n=math.ceil(seconds / 60))

    def _key(self, *words: str) -> bytes:
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for word in words:
            digest.update(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest())
        return digest.digest()


def _site(address: str) -> str:
    """Whose address it is: an IPv4 address is one's own, of IPv6 all that begin with the same 64 bits."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> _SITE_BITS << _SITE_BITS))
    return str(parsed)
