"""API token: what a machine comes in with. Issued, then valid until it expires or is revoked, for ever.

It belongs to nobody: it stays what it is when whoever issued it leaves. So it owns no record and is in no team, and
what it may do, it may do on every record. The book holds the token's hash, never the token.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias, assert_never

from msgspec.structs import replace

from domain.kernel import (
    NAME,
    Claim,
    Command,
    Decider,
    Doc,
    Event,
    Filled,
    Known,
    Personal,
    Rule,
    Standing,
    State,
    broken,
    require,
)
from domain.kernel.permissions import Grant, Grants, Scope, faults_of_grants, in_order

LONGEST: Final = timedelta(days=366)
"""A year and a day at most, so that somebody looks at each token once a year."""

# Events


class ApiTokenIssued(Event, frozen=True, kw_only=True):
    """A token was issued to a machine. Its name is sealed: tokens are often called after a person."""

    name: Personal[str]
    grants: tuple[Grant, ...]
    expires_at: datetime
    hash: str
    """SHA-256 of the whole token, in hexadecimal."""


class ApiTokenRevoked(Event, frozen=True, kw_only=True):
    """The token opens nothing any more."""


ApiTokenEvent: TypeAlias = ApiTokenIssued | ApiTokenRevoked


# Commands


class IssueApiToken(Command, frozen=True, kw_only=True):
    """Issue a token to a machine: it opens what it grants, on every record, until it expires or is revoked."""

    name: Annotated[str, Doc("What it is for: the machine or the program that comes in with it."), NAME]
    grants: Grants
    expires_at: Annotated[datetime, Doc("Until when it opens anything: in the future, at most 366 days ahead.")]
    hash: Annotated[str, Filled()] = ""


class RevokeApiToken(Command, frozen=True, kw_only=True):
    """Let a token open nothing any more, at once and for ever."""


ApiTokenCommand: TypeAlias = IssueApiToken | RevokeApiToken


# Rules


class TokenExpiresInThePast(Rule):
    """A token that has expired already opens nothing; name an instant in the future."""


class TokenExpiresTooLate(Rule):
    """A token lasts at most until {latest}; issue a new one before this one expires."""

    latest: str


class TokenOwnsNothing(Rule):
    """A token owns no records and is in no team: grant it {permission} with the scope ALL, or not at all."""

    permission: str


class TokenIssuedBefore(Rule):
    """A token was issued under this idempotency key before; use a new key for each new token."""


class ApiToken(State, frozen=True, kw_only=True):
    """Only what the rules need."""

    issued: bool = False
    revoked: bool = False
    hash: str = ""


def decide(state: ApiToken, command: ApiTokenCommand, known: Known) -> list[ApiTokenEvent]:
    """What follows from a command. A request already met yields nothing."""
    match command:
        case IssueApiToken():
            if state.issued:
                return []
            require(_faults(command, known.now))
            issued = ApiTokenIssued(
                name=command.name,
                grants=in_order(command.grants),
                expires_at=command.expires_at,
                hash=command.hash,
            )
            return [issued]
        case RevokeApiToken():
            return [] if state.revoked else [ApiTokenRevoked()]
        case _:
            assert_never(command)


def _faults(command: IssueApiToken, now: datetime) -> list[Rule]:
    latest, at = now + LONGEST, ("expires_at",)
    faults = faults_of_grants(command.grants, ("grants",))
    said = {rule.path for rule in faults}
    return broken(
        faults,
        [
            TokenOwnsNothing(path=path, permission=grant.permission.name)
            for place, grant in enumerate(command.grants)
            if grant.scope is not Scope.ALL and (path := ("grants", place, "scope")) not in said
        ],
        TokenExpiresInThePast(path=at) if command.expires_at <= now else None,
        TokenExpiresTooLate(path=at, latest=f"{latest:%Y-%m-%dT%H:%M:%SZ}") if command.expires_at > latest else None,
    )


def evolve(state: ApiToken, event: ApiTokenEvent) -> ApiToken:
    """What the token is after an event."""
    match event:
        case ApiTokenIssued(hash=hash):
            return ApiToken(issued=True, hash=hash)
        case ApiTokenRevoked():
            return replace(state, revoked=True)
        case _:
            assert_never(event)


def claims(state: ApiToken) -> frozenset[Claim]:
    """The hash, for ever: a key that is used again after its receipt is forgotten would issue the same token again."""
    return frozenset((Claim("api_token", state.hash),)) if state.issued else frozenset()


def taken(_command: ApiTokenCommand, _claim: Claim) -> Rule:
    """The rule against issuing the same token twice."""
    return TokenIssuedBefore(path=("idempotency_key",))


api_token: Decider[ApiToken, ApiTokenCommand, ApiTokenEvent] = Decider(
    kind="api_token",
    prefix="tok",
    initial=ApiToken(),
    decide=decide,
    evolve=evolve,
    commands={"issue": IssueApiToken, "revoke": RevokeApiToken},
    creates=frozenset({IssueApiToken}),
    reasoned=frozenset({IssueApiToken, RevokeApiToken}),
    events={"ApiTokenIssued": ApiTokenIssued, "ApiTokenRevoked": ApiTokenRevoked},
    standing=lambda state: Standing(kind="api_token", active=state.issued and not state.revoked),
    folded_sealed=frozenset({ApiTokenIssued}),
    claims=claims,
    taken=taken,
)
