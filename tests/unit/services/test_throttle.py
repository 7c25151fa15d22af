"""How fast guesses may come, by a clock of our own; through the pages: tests/unit/web/test_auth.py."""

import threading
from contextlib import suppress

import pytest

from diagnosis_tool.errors import NotSignedIn, TooManyAttempts
from diagnosis_tool.services import throttle
from diagnosis_tool.services.throttle import Throttle


class Guessing:
    """Guesses at a throttle whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.throttle = Throttle(lambda: self.now_s)

    def wrong(self, name: str, address: str, device: str | None = None) -> float:
        """How long it has to wait; 0 where it was looked at."""
        try:
            with self.throttle.sign_in(name, address, device):
                raise NotSignedIn("wrong")
        except TooManyAttempts as error:
            return error.wait_s
        except NotSignedIn:
            return 0.0

    def right(self, name: str, address: str) -> bool:
        with suppress(TooManyAttempts), self.throttle.sign_in(name, address):
            return True
        return False


@pytest.fixture
def guessing() -> Guessing:
    return Guessing()


def looked_at(guessing: Guessing, hours: int, name: str = "ann", address: str = "192.0.2.1") -> int:
    """How many guesses of somebody who never tires are looked at in so many hours."""
    count, end_s = 0, guessing.now_s + 3600 * hours
    while guessing.now_s < end_s:
        wait_s = guessing.wrong(name, address)
        count += not wait_s
        guessing.now_s += wait_s
    return count


def test_who_never_tires_has_a_hundred_guesses_a_day(guessing: Guessing) -> None:
    looked_at(guessing, 24)
    assert looked_at(guessing, 24) <= 4 * 24 + 1


def test_waiting_is_not_counted_and_a_quiet_day_is_forgiven(guessing: Guessing) -> None:
    looked_at(guessing, 24)
    for _ in range(1000):
        assert guessing.wrong("ann", "192.0.2.1") <= throttle.NAME_AND_ADDRESS.longest_s
    guessing.now_s += 86_400
    assert guessing.wrong("ann", "192.0.2.1") == 0


def test_the_right_password_starts_anew(guessing: Guessing) -> None:
    for _ in range(3 * throttle.NAME_AND_ADDRESS.free):
        assert guessing.wrong("ann", "192.0.2.1") == 0
        assert guessing.right("Ann", "192.0.2.1")


def test_an_address_of_ones_own_account_is_slowed_all_the_same(guessing: Guessing) -> None:
    """Signing in with an account of one's own between the guesses forgives none of them."""
    waits = []
    for k in range(2 * throttle.ADDRESS.free):
        waits.append(guessing.wrong(f"user {k}", "192.0.2.1"))
        guessing.right("mallory", "192.0.2.1")
    assert any(waits)


@pytest.mark.parametrize("device", [None, "a device"])
def test_another_way_to_write_a_name_is_no_other_name(guessing: Guessing, device: str | None) -> None:
    names = ("ann", "ANN", "Ann", "aNN", "ａｎｎ")
    waits = [guessing.wrong(names[k % len(names)], "192.0.2.1", device) for k in range(20)]
    assert any(waits)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),  # one site's own choice
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "192.0.2.2", False),
    ],
)
def test_whose_address_it_is(guessing: Guessing, one: str, other: str, is_same: bool) -> None:
    for _ in range(throttle.NAME_AND_ADDRESS.free):
        guessing.wrong("ann", one)
    assert bool(guessing.wrong("ann", other)) == is_same


def test_many_at_once_gain_nothing(guessing: Guessing) -> None:
    """All come before the first one is found to be wrong."""
    inside, come = threading.Barrier(throttle.NAME_AND_ADDRESS.free + 1), []

    def guess() -> None:
        with suppress(NotSignedIn), guessing.throttle.sign_in("ann", "192.0.2.1"):
            come.append(1)
            inside.wait(60)
            raise NotSignedIn("wrong")

    threads = [threading.Thread(target=guess) for _ in range(throttle.NAME_AND_ADDRESS.free)]
    for thread in threads:
        thread.start()
    inside.wait(60)
    assert guessing.wrong("ann", "192.0.2.1") > 0
    for thread in threads:
        thread.join(60)
    assert len(come) == throttle.NAME_AND_ADDRESS.free


def test_what_broke_was_no_guess(guessing: Guessing) -> None:
    for _ in range(100):
        with pytest.raises(OSError, match="disk"), guessing.throttle.sign_in("ann", "192.0.2.1"):
            raise OSError("disk")
    assert guessing.right("ann", "192.0.2.1")


def test_memory_is_bounded_and_who_guesses_now_is_not_forgotten(
    guessing: Guessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "MOST_KEPT", 200)
    for _ in range(throttle.NAME_AND_ADDRESS.free):
        guessing.wrong("ann", "192.0.2.1")
    for k in range(5000):  # a million names by as many addresses
        guessing.wrong(f"user {k}", f"198.51.{k // 250}.{k % 250}")
        guessing.wrong("x" * 100, f"198.51.{k // 250}.{k % 250}", device=f"device {k}")
        if k % 100 == 0:
            assert guessing.wrong("ann", "192.0.2.1") > 0
            guessing.now_s += throttle.NAME_AND_ADDRESS.longest_s
            assert guessing.wrong("ann", "192.0.2.1") == 0
    assert len(guessing.throttle) <= 4 * 200
