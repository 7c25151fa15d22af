"""The OpenID Connect client: code flow with PKCE, state and nonce, and what its id_token has to prove.

Nothing is asked of the provider before somebody wants to sign in there. It may be slow or down: only few requests to it
run at a time, each has a deadline, and after one that failed nobody asks again for a while, so the pages' threads are
never all waiting for it.

Source: OpenID Connect Core 1.0, 3.1; Discovery 1.0; RFC 7636 (PKCE), RFC 9207 (iss in the answer).
"""

import re
import secrets
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.identity import Identity, IdentityProvider, is_safe_address
from diagnosis_tool.domain.language import gettext_noop
from diagnosis_tool.errors import NotAllowed, NotSignedIn, ProviderDown
from diagnosis_tool.services.accounts import MAX_NAME
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import clean_text

TIMEOUT_S: Final = 3.0
"""To connect, and between two bytes."""
AT_ONCE: Final = 2
"""Requests to the provider; the web process has eight threads by default."""
_PATIENCE_S: Final = 1.0
_REST_S: Final = 10.0
"""After a request that failed."""
_KEPT_S: Final = 3600.0
_JWKS_AGAIN_S: Final = 60.0
"""A key that is not known is looked for, but not for each token that somebody makes up."""
_LEEWAY_S: Final = 60
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signed by a key that the provider alone has: neither 'none' nor what a shared secret signs."""
_NO_ANSWER: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError)
"""What the network raises (OSError), and what reading an answer does that is none."""
_SUBJECT: Final = re.compile(r"[ -~]{1,255}")
"""Source: OpenID Connect Core 1.0, section 2: at most 255 ASCII characters."""
_ROOM_FOR_HOST: Final = 40
_DOWN: Final = gettext_noop("%(name)s does not answer now. Try again in a minute.")
_NO_GROUP: Final = gettext_noop(
    "%(name)s knows you, but none of your groups may use this server. Ask an administrator to be put into one."
)
_REFUSED: Final = gettext_noop(
    "Signing in at %(name)s did not work. Begin again; if it stays so, ask an administrator."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that is under way: where to send the browser, and what it has to come back with."""

    address: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the provider said of itself, and when: its addresses, and the keys that it signs with."""

    at: float
    metadata: Mapping[str, Any]
    keys: KeySet


class OidcSignIn:
    """Signing in at one provider, for all threads."""

    def __init__(self, provider: IdentityProvider) -> None:
        self.name = provider.name
        self._provider = provider
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._kept: _Kept | None = None
        self._rests_until = float("-inf")

    def begin(self, redirect_uri: str) -> Begun:
        """Where somebody is sent who wants to sign in. Raises ProviderDown."""
        with self._asking() as session:
            state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
            url, _state = session.create_authorization_url(
                self._known(session).metadata["authorization_endpoint"],
                state=state, nonce=nonce, code_verifier=verifier, redirect_uri=redirect_uri,
            )  # fmt: skip
        return Begun(address=url, state=state, nonce=nonce, verifier=verifier, redirect_uri=redirect_uri)

    def finish(self, context: Context, pending: Mapping[str, str], answer: Mapping[str, str]) -> User:
        """The account of who came back with this answer, made or brought up to date. pending: a Begun's values.

        Raises NotSignedIn, NotAllowed, ProviderDown; their value `why` is for the logs.
        """
        identity = self._proved(Begun(**pending), answer)
        grant = self._provider.granted(identity.groups)
        if grant is not None:
            return context.identities.admit(identity, grant, row=context.row)
        known = context.identities.turn_away(identity, row=context.row)
        user = {"user": known.name, "user_id": known.id} if known else {"user": identity.name}
        raise NotAllowed(_NO_GROUP, name=self.name, why="in no group that counts here", **user)

    def _proved(self, begun: Begun, answer: Mapping[str, str]) -> Identity:
        if not secrets.compare_digest(begun.state.encode(), answer.get("state", "").encode()):
            raise self.refused("wrong state")
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:
            raise self.refused("answer of another issuer")
        if "code" not in answer:
            raise self.refused("no code")
        with self._asking() as session:
            kept = self._known(session)
            try:
                token = session.fetch_token(
                    kept.metadata["token_endpoint"], grant_type="authorization_code", code=answer["code"],
                    redirect_uri=begun.redirect_uri, code_verifier=begun.verifier, allow_redirects=False,
                )  # fmt: skip
            except OAuthError as error:
                raise self.refused("code not taken") from error
            try:
                return self._identity(session, token, begun.nonce)
            except JoseError as error:
                raise self.refused(f"id_token: {getattr(error, 'claim', '') or error.error}") from error

    def refused(self, why: str) -> NotSignedIn:
        """The one answer to all that does not fit; why: a few words of ours, for the audit log."""
        return NotSignedIn(_REFUSED, name=self.name, why=why)

    @contextmanager
    def _asking(self) -> Iterator[OAuth2Session]:
        """A session with the provider, if there is room for one. Raises ProviderDown, also for what fails in it."""
        if time.monotonic() < self._rests_until or not self._slots.acquire(timeout=_PATIENCE_S):
            raise ProviderDown(_DOWN, name=self.name, why="the provider does not answer")
        try:
            own = self._provider
            session = OAuth2Session(
                own.client_id, own.client_secret or None, scope=own.scope, code_challenge_method="S256",
                default_timeout=TIMEOUT_S,
            )  # fmt: skip
            with session:
                yield session
        except _NO_ANSWER as error:
            self._rests_until = time.monotonic() + _REST_S
            raise ProviderDown(_DOWN, name=self.name, why="the provider does not answer") from error
        finally:
            self._slots.release()

    def _known(self, session: OAuth2Session, *, since: float = _KEPT_S) -> _Kept:
        """What the provider says of itself, at most so many seconds old."""
        kept = self._kept
        if kept is None or time.monotonic() - kept.at >= since:
            metadata = _json(session, self._provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if metadata["issuer"] != self._provider.issuer:
                raise ValueError("it calls itself otherwise")
            wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if not all(is_safe_address(metadata[name]) for name in wanted):
                raise ValueError("an address without TLS")
            keys = KeySet.import_key_set({"keys": _json(session, metadata["jwks_uri"])["keys"]})
            self._kept = kept = _Kept(time.monotonic(), metadata, keys)
        return kept

    def _identity(self, session: OAuth2Session, token: Mapping[str, Any], nonce: str) -> Identity:
        own, claims = self._provider, self._claims(session, token, nonce)
        subject = claims["sub"]
        if not (isinstance(subject, str) and _SUBJECT.fullmatch(subject)):
            raise self.refused("id_token: sub")
        if own.groups_claim not in claims:  # some providers tell them only to who asks with the access token
            claims = {**self._userinfo(session, subject), **claims}
        groups = claims.get(own.groups_claim) or []
        said = groups if isinstance(groups, list) else [groups]
        return Identity(
            issuer=own.issuer,
            subject=subject,
            name=_name(claims.get(own.name_claim), subject),
            groups=frozenset(group for group in said if isinstance(group, str)),
        )

    def _claims(self, session: OAuth2Session, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """What the id_token says, once it is proved: signature, issuer, audience, times, nonce, access token."""
        own, raw = self._provider, token["id_token"]
        try:
            found = jwt.decode(raw, self._known(session).keys, algorithms=_ALGORITHMS)
        except InvalidKeyIdError:
            found = jwt.decode(raw, self._known(session, since=_JWKS_AGAIN_S).keys, algorithms=_ALGORITHMS)
        expected = {"iss": own.issuer, "aud": own.client_id}
        proved = CodeIDToken(
            found.claims,
            found.header,
            options={name: {"essential": True, "value": value} for name, value in expected.items()},
            params={"nonce": nonce, "client_id": own.client_id, "access_token": token.get("access_token")},
        )
        proved.validate(leeway=_LEEWAY_S)
        return dict(proved)

    def _userinfo(self, session: OAuth2Session, subject: str) -> dict[str, Any]:
        address = self._known(session).metadata.get("userinfo_endpoint")
        if not is_safe_address(address):
            return {}
        said = _json(session, str(address), withhold_token=False)
        if said.get("sub") != subject:
            raise self.refused("userinfo of somebody else")
        return said


def _json(session: OAuth2Session, address: str, *, withhold_token: bool = True) -> dict[str, Any]:
    answer = session.get(address, withhold_token=withhold_token, allow_redirects=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _name(said: object, subject: str) -> str:
    """What they are called, as it may be stored; room is left for what tells two of one name apart."""
    words = _words(said) if isinstance(said, str) else ""
    return (words or _words(subject) or "unnamed")[: MAX_NAME - _ROOM_FOR_HOST].strip()


def _words(text: str) -> str:
    """Written out in full, as names are compared: one letter may stand for eighteen."""
    return " ".join(clean_text(unicodedata.normalize("NFKC", text)).split())
