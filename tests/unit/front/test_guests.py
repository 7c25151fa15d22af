"""Whose connections are closed where there are too many, and whose never are."""

from diagnosis_tool.front.guests import SOON_S, Guest, Guests, Known, counted_address


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def crowd(guests: Guests, clock: Clock, count: int, address: str = "192.0.2.1") -> tuple[list[Guest], list[Guest]]:
    """So many that came one after the other and say nothing; and those of them that were closed."""
    closed: list[Guest] = []
    came = []
    for _ in range(count):
        clock.now += 0.01
        guest = Guest(address, close=lambda: None, waits_since=clock.now)
        guest.close = lambda guest=guest: closed.append(guest)  # type: ignore[misc]
        guests.enter(guest)
        came.append(guest)
    return came, closed


def test_of_too_many_the_slowest_are_closed() -> None:
    clock = Clock()
    guests = Guests(per_address=3, clock=clock)
    came, closed = crowd(guests, clock, 5)
    elsewhere, _ = crowd(guests, clock, 3, "192.0.2.2")
    guests.sweep()
    assert closed == []  # they came just now
    clock.now += SOON_S
    guests.sweep()
    assert closed == came[:2]
    assert all(guests.may_stay(guest) for guest in (*came[2:], *elsewhere))


def test_who_is_signed_in_is_neither_counted_nor_closed() -> None:
    clock = Clock()
    guests = Guests(per_address=2, in_all=4, clock=clock)
    readers, closed = crowd(guests, clock, 4)
    for reader in readers:
        guests.know(reader)
    strangers, closed_strangers = crowd(guests, clock, 2)
    clock.now += SOON_S
    guests.sweep()
    assert closed == []
    assert closed_strangers == strangers[:1]  # of all there may be four
    guests.forget(readers[0])  # signed out, and a stranger again
    guests.forget(readers[1])
    guests.sweep()
    assert closed == readers[:1]


def test_who_waits_for_us_is_not_closed_and_the_next_is_refused() -> None:
    clock = Clock()
    guests = Guests(per_address=2, clock=clock)
    came, closed = crowd(guests, clock, 3)
    clock.now += SOON_S
    for guest in came:
        guest.waits_since = None
    assert not guests.may_stay(came[2])
    assert closed == []
    guests.leave(came[0])
    assert guests.may_stay(came[2])


def test_credentials_are_known_for_a_minute() -> None:
    clock = Clock()
    known = Known(clock)
    known.add(b"cookie")
    assert known.has(b"cookie")
    assert not known.has(b"another")
    known.drop(b"cookie")
    assert not known.has(b"cookie")
    known.add(b"cookie")
    clock.now += 61
    assert not known.has(b"cookie")


def test_an_address_is_counted_as_its_owner_has_it() -> None:
    assert counted_address("192.0.2.1") == counted_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert counted_address("2001:db8:1:2::1") == counted_address("2001:db8:1:2:ffff::2%eth0")
    assert counted_address("2001:db8:1:2::1") != counted_address("2001:db8:1:3::1")
    assert counted_address("unknown") == "unknown"


def test_past_the_proxies_nobody_takes_all_there_is() -> None:
    """Behind proxies connections have no address; where there are too many, those that say nothing are closed."""
    clock = Clock()
    guests = Guests(per_address=2, in_all=4, clock=clock)
    silent, closed = crowd(guests, clock, 6, address="")
    assert closed == silent[:2]
    silent[2].waits_since = None  # it is being answered
    guests.enter(Guest("", close=lambda: None, waits_since=clock.now))
    assert closed == [*silent[:2], silent[3]]
