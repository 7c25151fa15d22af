"""A second factor beside the password: codes of an authenticator app (TOTP), and recovery codes that work once each.

What the app computes its codes from is stored sealed with a key made from the server's SECRET_KEY: a copy of the
database alone tells nobody. Source: RFC 6238, RFC 5869; SHA-1, six digits and 30 seconds are what every app can do.
"""

import base64
import hmac
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Final

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotFound, NotSignedIn, RequestRefused
from diagnosis_tool.services.context import Context

CODES: Final = 10
"""Recovery codes that are made at once."""
_STEP_S: Final = 30
_DIGITS: Final = 6
_LATE_STEPS: Final = 1
"""A code counts one step longer and earlier than it is shown: clocks differ. Source: RFC 6238 section 5.2."""
_ISSUER: Final = "diagnosis-tool"
_CODE_BYTES: Final = 10
"""Of a recovery code: 80 random bits, so a fast hash keeps it."""
_MOST_TYPED: Final = 100
_PURPOSE: Final = b"diagnosis-tool second factor"
_WRONG: Final = gettext_noop("This code is wrong, or was used before. Wait for the next one, or use a recovery code.")
_OTHER_KEY: Final = gettext_noop(
    "The server's key has changed since your second factor was set up, so its codes cannot be checked. Use a recovery "
    "code, or ask an administrator to switch your second factor off."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an authenticator app needs. secret: to be typed, in groups of four. picture: the same as SVG, a QR code."""

    secret: str
    picture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a user's account page says. codes_left: recovery codes that were not used yet."""

    is_on: bool
    codes_left: int


def state(context: Context, user: User) -> State:
    """Whether the user's second factor is asked for at sign-in."""
    factor = context.second_factors.of(user.id)
    return State(is_on=factor is not None and factor.is_on, codes_left=factor.codes_left if factor else 0)


def propose(context: Context, user: User, key: str) -> None:
    """A new secret, which counts once a code shows that the app has it. Raises Conflict, RequestRefused.

    key: the server's.
    """
    if not user.can_sign_in:
        raise RequestRefused("A second factor stands beside a password, and you have none here.")
    sealed = _fernet(key).encrypt(pyotp.random_base32().encode()).decode()
    context.second_factors.propose(user.id, sealed, row=context.row)


def proposal(context: Context, user: User, key: str) -> Proposal | None:
    """The secret that waits to be confirmed; None where none does, or its key is gone."""
    factor = context.second_factors.of(user.id)
    if factor is None or factor.is_on:
        return None
    try:
        secret = _opened(factor.sealed, key)
    except NotSignedIn:
        return None
    address = pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=_ISSUER)
    picture = segno.make(address, error="m").svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
    return Proposal(secret=_grouped(secret), picture=picture)


def confirm(context: Context, user: User, key: str, code: str) -> tuple[str, ...]:
    """Switches the proposed second factor on; the recovery codes, told once. All of the user's sessions end.

    Raises RequestRefused for a wrong code, NotFound without a proposal, Conflict when somebody else proposed meanwhile.
    """
    factor = context.second_factors.of(user.id)
    if factor is None or factor.is_on:
        raise NotFound("There is no second factor to confirm. Begin again.")
    step = _step(context, _opened(factor.sealed, key), code)
    if step is None:
        raise RequestRefused(
            "This code is wrong. Look whether the clocks of app and server agree, then type the next one."
        )
    codes = _new_codes()
    context.second_factors.confirm(user.id, factor.sealed, step, [_plain(c) for c in codes], row=context.row)
    return codes


def check(context: Context, user: User, key: str, code: str) -> None:
    """Uses a code of the app's, or a recovery code, up. Raises NotSignedIn when it is wrong or was used."""
    factor = context.second_factors.of(user.id)
    if factor is None or not factor.is_on or len(code) > _MOST_TYPED:
        raise NotSignedIn(_WRONG)
    plain = _plain(code)
    if len(plain) != _DIGITS or not (plain.isascii() and plain.isdigit()):
        if not context.second_factors.use_code(user.id, plain):
            raise NotSignedIn(_WRONG)
        return
    step = _step(context, _opened(factor.sealed, key), plain)
    if step is None or not context.second_factors.use_step(user.id, step):
        raise NotSignedIn(_WRONG)


def new_codes(context: Context, user: User) -> tuple[str, ...]:
    """New recovery codes, told once; those before end. Raises NotFound."""
    codes = _new_codes()
    context.second_factors.replace_codes(user.id, [_plain(code) for code in codes], row=context.row)
    return codes


def _step(context: Context, secret: str, code: str) -> int | None:
    """Which step's code it is; None for none that counts now."""
    totp, now_step, plain = pyotp.TOTP(secret), int(context.now().timestamp()) // _STEP_S, _plain(code)
    found = None
    for step in range(now_step - _LATE_STEPS, now_step + _LATE_STEPS + 1):  # all of them: time tells nothing
        if hmac.compare_digest(totp.generate_otp(step).encode(), plain.encode("utf-8", "surrogatepass")):
            found = step
    return found


def _opened(sealed: str, key: str) -> str:
    try:
        return _fernet(key).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise NotSignedIn(_OTHER_KEY) from error


@cache
def _fernet(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def _new_codes() -> tuple[str, ...]:
    made = (base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower() for _ in range(CODES))
    return tuple(_grouped(code) for code in made)


def _grouped(text: str) -> str:
    return " ".join(text[k : k + 4] for k in range(0, len(text), 4))


def _plain(code: str) -> str:
    """As it is compared: people type blanks, dashes and capitals."""
    return "".join(code.split()).replace("-", "").lower()
