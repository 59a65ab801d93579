"""The company's identity provider (OpenID Connect): its keys, kept up to date, and the tokens that it has signed."""

import asyncio
import logging
import time
from hashlib import sha256
from typing import Any, Final, cast

import jwt

from api.errors import RequestError, RequestErrorCode
from api.identity.fetching import NotFetched, fetched, is_safe
from api.identity.keys import ALGORITHMS, Keys, Verified
from domain.kernel import Refused
from infra.contacts import email_address

_log = logging.getLogger("daybook.identity")

SKEW: Final = 60
"""Seconds that the provider's clock and ours may differ."""
MOST_CHARACTERS: Final = 8_192
"""Of a token."""
FRESH: Final = 600.0
"""Seconds after which no key is used before the provider was asked again: it may have withdrawn it."""
KEPT: Final = 3_600.0
"""Seconds for which keys are used at most where the provider does not answer."""
PAUSE: Final = 10.0
"""Seconds between two fetches, whatever keys tokens name."""


class Provider:
    """Verifies tokens of one issuer for one audience. Used within one event loop."""

    def __init__(self, issuer: str, audience: str) -> None:
        """`issuer`: exactly as the provider says it, an HTTPS address."""
        self._issuer, self._audience = issuer, audience
        self._keys = Keys()
        self._fetched_at = self._tried_at = self._failed_at = float("-inf")
        self._renewal: asyncio.Task[None] | None = None

    async def verified(self, token: str) -> Verified:
        """What a token says. Raises RequestError: UNAUTHENTICATED, or UNAVAILABLE without keys or with too old ones."""
        if len(token) > MOST_CHARACTERS:
            raise unauthenticated(f"The token has more than {MOST_CHARACTERS:,} characters.")
        await self._be_fresh()
        hash_ = sha256(token.encode("utf-8", "replace")).digest()
        known = self._keys.remembered.get(hash_)
        if known is None:
            known = await self._verify(token)
            self._keys.remember(hash_, known)
        elif known.until <= time.time():
            raise EXPIRED
        return known

    async def _be_fresh(self) -> None:
        old = time.monotonic() - self._fetched_at
        if old > FRESH:
            renewal = self._renew()
            # Where the provider has not answered since, nobody waits for it each time.
            if old > KEPT or self._failed_at < self._fetched_at + FRESH:
                await asyncio.shield(renewal)
            if time.monotonic() > self._fetched_at + KEPT:
                raise AWAY

    async def _verify(self, token: str) -> Verified:
        try:
            header = jwt.get_unverified_header(token)
            kid, algorithm = header.get("kid"), header.get("alg")
            if not isinstance(kid, str) or algorithm not in ALGORITHMS:
                raise unauthenticated(f"The token must name its key (`kid`) and be signed with {_SIGNED}.")
            if not self._keys.knows(kid):
                await asyncio.shield(self._renew())
            key = self._keys.of(kid, algorithm)
            if key is None:
                raise unauthenticated("The identity provider has no key for signatures such as this token's.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=SKEW,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise EXPIRED from None
        except jwt.ImmatureSignatureError:
            raise unauthenticated("The token is not valid yet. Do the clocks agree?") from None
        except jwt.InvalidAudienceError:
            raise unauthenticated("The token was made for somebody else: its audience is another.") from None
        except jwt.InvalidIssuerError:
            raise unauthenticated("The token comes from another issuer than the one that is trusted here.") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise unauthenticated("The token can't be read, or its signature is not the identity provider's.") from None
        # Only a boolean counts: some providers write the text "false".
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Verified(_normalised(email), int(claims["exp"]) + SKEW)

    def _renew(self) -> "asyncio.Task[None]":
        """One fetch at a time, which all wait for, and which nobody who leaves calls off."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._fetch(), name="identity provider's keys")
        return self._renewal

    async def _fetch(self) -> None:
        """Fetch the keys, unless that was tried a moment ago."""
        if time.monotonic() < self._tried_at + PAUSE:
            return
        self._tried_at = time.monotonic()
        try:
            self._keys = await self._published()
        except NotFetched as error:
            self._failed_at = time.monotonic()
            _log.warning("The identity provider's keys can't be had; %s. %s", self._held(), error)
        else:
            self._fetched_at = self._tried_at

    async def _published(self) -> Keys:
        document = await fetched(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise NotFetched("The discovery document is of another issuer than DAYBOOK_OIDC_ISSUER names.")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not is_safe(address):
            raise NotFetched("The discovery document names no HTTPS address as jwks_uri.")
        listed = (await fetched(address)).get("keys")
        keys = Keys(cast("list[object]", listed) if isinstance(listed, list) else ())
        if not keys:
            raise NotFetched(f"{address} holds no key for {_SIGNED}.")
        return keys

    def _held(self) -> str:
        left = self._fetched_at + KEPT - time.monotonic()
        if left <= 0:
            return "none is used"
        return f"those that were fetched before are used for {left / 60:.0f} minutes more"

    async def aclose(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()


def unauthenticated(message: str) -> RequestError:
    """Nobody is known by this credential; the message says what is wrong with it, and repeats nothing of it."""
    return RequestError(
        RequestErrorCode.UNAUTHENTICATED, message, status=401, headers={"WWW-Authenticate": 'Bearer realm="daybook"'}
    )


def _normalised(email: object) -> str | None:
    try:
        return email_address(email) if isinstance(email, str) else None
    except Refused:
        return None


_SIGNED = f"{', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]}"
AWAY = RequestError(
    RequestErrorCode.UNAVAILABLE,
    "The identity provider does not answer, and without its keys no token can be verified. Try again in a moment.",
    status=503,
    headers={"Retry-After": str(int(PAUSE))},
)
EXPIRED = unauthenticated("The token has expired: get a new one from the identity provider.")
