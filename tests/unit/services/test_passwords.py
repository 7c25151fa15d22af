"""Which passwords are taken, at every place where one is set."""

import time

import pytest

from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import accounts, passwords
from diagnosis_tool.services.context import Context
from testing import accounts as people


@pytest.mark.parametrize(
    "password",
    ["aaaaaaaaaaaa", "a" * 200, "abcabcabcabcabc", "123456789012", "password1234", "Password1234!", "passw0rdpassw0rd",
     "qwertyuiop12", "1q2w3e4r5t6y", "letmeinletmein", "iloveyou1234", "mypassword123456", "administrator1",
     "diagnosis-tool1", "radiology2026", "Ann Lee Ann Lee", "annlee123456", "short", "", "x" * 201],
)  # fmt: skip
def test_what_is_guessed_soon_is_refused_wherever_a_password_is_set(context: Context, password: str) -> None:
    user = people.account(context, name="Ann Lee")
    link = accounts.make_link(context, user)
    with pytest.raises(RequestRefused):
        accounts.use_link(context, link.secret, password)
    accounts.use_link(context, link.secret, "correct horse battery")
    with pytest.raises(RequestRefused):
        accounts.change_password(context, user, "correct horse battery", password)
    assert accounts.check_password(context, "Ann Lee", "correct horse battery") == context.users.get(user.id)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "another long password",
        "kahvila tuuli neljä",
        "k9#vQ2!mZ7pL",
        "山田さんは毎朝六時に走る道",
    ],
)
def test_others_are_taken_whatever_kinds_of_letters_they_have(password: str) -> None:
    passwords.check_new(password, "Ann")


def test_a_long_password_costs_no_more_than_a_short_one() -> None:
    began_s = time.process_time()
    for password in ("correct horse battery " * 9, "aB3$" * 50, "ab" * 100):
        passwords.matches(password * 5000, None)
        try:
            passwords.check_new(password[:200], "Ann")
        except RequestRefused:
            continue
    assert time.process_time() - began_s < 5  # zxcvbn takes minutes for 200 letters at once
