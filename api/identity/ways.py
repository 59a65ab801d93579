"""The three ways in, beside the operator's own token: the identity provider's tokens, API tokens, and sessions."""

import hmac
import time
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from api.directory import Directory
from api.errors import RequestError, RequestErrorCode
from api.identity.caller import OPERATOR, STRANGER, Arrival, Caller, Session
from api.identity.cookie import check_own_page, check_own_socket, cookie_value
from api.identity.provider import Provider, unauthenticated
from api.identity.sessions import Sessions
from api.identity.uses import TokenUses
from domain.access import Authority
from domain.api_token import api_token
from domain.kernel import type_id

API_TOKEN: Final = "daybook_"  # noqa: S105  # what they begin with


class Ways:
    """Finds out who asks. One for each process, used within one event loop."""

    def __init__(
        self, administrator: str, directory: Directory, sessions: Sessions, uses: TokenUses, provider: Provider | None
    ) -> None:
        """`administrator`: the operator's token. `provider`: None where the company has none."""
        self._administrator = administrator.encode()
        self._directory, self._sessions, self._uses, self._provider = directory, sessions, uses, provider

    async def identify(self, arrival: Arrival, params: Mapping[str, Any] | None = None) -> Caller:
        """Who asks; STRANGER where no credential is shown.

        The token of an `Authorization` counts: of the header, or of a WebSocket's `connection_init`, such as
        `{"Authorization": "Bearer ..."}`. Without one, the session's cookie does. Raises RequestError where a
        credential is shown and is not good: UNAUTHENTICATED, FORBIDDEN, CSRF_HEADER_MISSING or UNAVAILABLE.
        """
        authorizations = arrival.headers.getlist("authorization")
        if len(authorizations) > 1:
            raise SEVERAL
        authorization = authorizations[0] if authorizations else _authorization(params)
        if authorization is not None:
            return await self._of_bearer(authorization)
        value = cookie_value(arrival.headers)
        return STRANGER if not value else await self._of_cookie(value, arrival)

    async def _of_bearer(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer":
            raise WRONG
        if token.startswith(API_TOKEN):
            # Looked up by its hash, a token tells nothing by the time that it takes.
            return self._of_api_token(sha256(token.encode("utf-8", "replace")).digest())
        if hmac.compare_digest(token.encode("utf-8", "replace"), self._administrator):
            return OPERATOR
        if self._provider is not None and token.count(".") == 2:
            return await self._of_provider(self._provider, token)
        raise WRONG

    def _of_api_token(self, hash: bytes) -> Caller:  # noqa: A002
        holder = self._directory.of_token(hash)
        if holder is None or (until := holder.expires_at.timestamp()) <= time.time():
            raise unauthenticated("This API token is unknown, revoked or expired. An administrator can issue another.")
        self._uses.note(type_id(_API_TOKEN_ID, holder.id))
        return Caller(holder.authority, partial(self._of_token_now, hash), until)

    def _of_token_now(self, hash: bytes) -> Authority | None:  # noqa: A002
        holder = self._directory.of_token(hash)
        return None if holder is None else holder.authority

    async def _of_provider(self, provider: Provider, token: str) -> Caller:
        verified = await provider.verified(token)
        staff_member = None if verified.email is None else self._directory.staff_member_by_email(verified.email)
        if verified.email is None or staff_member is None:
            raise NOT_STAFF
        since = self._directory.last_deactivation(staff_member)
        again = partial(self._of_verified_now, verified.email, staff_member, since)
        authority = again()
        if authority is None:
            raise NOT_STAFF
        return Caller(authority, again, verified.until)

    def _of_verified_now(self, email: str, staff_member: UUID, since: int) -> Authority | None:
        # The provider knows an address, not the person: whose it is no more does not stay in with it.
        if self._directory.staff_member_by_email(email) != staff_member:
            return None
        return self._directory.of_staff_member(staff_member, since=since)

    async def _of_cookie(self, value: str, arrival: Arrival) -> Caller:
        check_own_page(arrival.headers) if arrival.takes_cookies else check_own_socket(arrival.headers)
        found = await self._sessions.find(value)
        if found is None:
            return STRANGER
        again = partial(self._directory.of_staff_member, found.staff_member, since=found.since)
        authority = again()
        if authority is None:
            return STRANGER
        return Caller(authority, again, found.until, Session(found.hash, found.staff_member, found.since))


def _authorization(params: Mapping[str, Any] | None) -> str | None:
    given = next((value for name, value in (params or {}).items() if name.lower() == "authorization"), None)
    return given if isinstance(given, str) else None


_API_TOKEN_ID = api_token.prefix

WRONG: Final = unauthenticated("The token in `Authorization: Bearer <token>` is not one that is known here.")
SEVERAL: Final = unauthenticated("Send one header `Authorization`: this request has several.")
NOT_STAFF: Final = RequestError(
    RequestErrorCode.FORBIDDEN,
    "The identity provider knows you, but no active staff member of this book has an e-mail address that it has"
    " verified as yours. An administrator has to enter you as staff member with that address.",
    status=403,
)
