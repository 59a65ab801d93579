from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.api_token import (
    ApiTokenCommand,
    ApiTokenIssued,
    ApiTokenRevoked,
    IssueApiToken,
    RevokeApiToken,
    TokenExpiresInThePast,
    TokenExpiresTooLate,
    TokenIssuedBefore,
    TokenOwnsNothing,
    api_token,
)
from domain.kernel import Claim, Known
from domain.kernel.permissions import Grant, Permission, PermissionRepeated, Scope, ScopeMustBeAll
from tests.domain.scenario import NOW, Scenario, lived

given = Scenario(api_token)

ID, HASH = UUID(int=1), "ab" * 32
READ = Grant(Permission.READ_CUSTOMERS, Scope.ALL)
BOOK = Grant(Permission.READ_BOOK, Scope.ALL)
SOON = NOW + timedelta(days=30)

issued = ApiTokenIssued(name="Web shop", grants=(READ, BOOK), expires_at=SOON, hash=HASH)


def issue(*grants: Grant, until: datetime = SOON) -> IssueApiToken:
    return IssueApiToken(id=ID, name="Web shop", grants=grants or (BOOK, READ), expires_at=until, hash=HASH)


def test_a_token_is_issued() -> None:
    given().when(issue()).then(issued)


def test_it_is_revoked_for_ever() -> None:
    given(issued).when(RevokeApiToken(id=ID)).then(ApiTokenRevoked())
    given(issued, ApiTokenRevoked()).when(RevokeApiToken(id=ID)).then()


def test_it_expires_within_a_year_and_a_day() -> None:
    at = ("expires_at",)
    given().when(issue(until=NOW)).refused(TokenExpiresInThePast(path=at))
    latest = TokenExpiresTooLate(path=at, latest="2027-04-01T09:30:00Z")
    given().when(issue(until=NOW + timedelta(days=366, microseconds=1))).refused(latest)
    last = NOW + timedelta(days=366)
    given().when(issue(READ, until=last)).then(
        ApiTokenIssued(name="Web shop", grants=(READ,), expires_at=last, hash=HASH)
    )


def test_a_token_that_belongs_to_nobody_reaches_every_record_or_none() -> None:
    rule = TokenOwnsNothing(path=("grants", 1, "scope"), permission="READ_TICKETS")
    given().when(issue(READ, Grant(Permission.READ_TICKETS, Scope.QUEUE))).refused(rule)
    given().when(issue(Grant(Permission.READ_BOOK, Scope.OWN))).refused(
        ScopeMustBeAll(path=("grants", 0, "scope"), permission="READ_BOOK")
    )


def test_no_permission_stands_there_twice() -> None:
    rule = PermissionRepeated(path=("grants", 1, "permission"), permission="READ_CUSTOMERS")
    given().when(issue(READ, READ)).refused(rule)


def test_the_same_token_is_never_issued_twice() -> None:
    held = Claim("api_token", HASH)
    assert api_token.claims(given(issued).state) == api_token.claims(given(issued, ApiTokenRevoked()).state) == {held}
    assert api_token.taken(issue(), held) == TokenIssuedBefore(path=("idempotency_key",))


def test_others_know_whether_it_was_revoked() -> None:
    assert api_token.standing(given(issued).state).active
    assert not api_token.standing(given(issued, ApiTokenRevoked()).state).active


grants = st.lists(st.builds(Grant, st.sampled_from(Permission), st.sampled_from(Scope)), min_size=1, max_size=3)
ends = st.integers(-2, 400).map(lambda days: NOW + timedelta(days=days))
commands = st.one_of(
    st.builds(lambda all_of, end: issue(*all_of, until=end), grants, ends), st.just(RevokeApiToken(id=ID))
)


@for_all(st.lists(commands, max_size=6))
def test_whatever_is_asked_a_token_ends(asked: list[ApiTokenCommand]) -> None:
    for event in lived(api_token, [issue(), *asked], Known(now=NOW)):
        assert isinstance(event, ApiTokenRevoked) or NOW < event.expires_at <= NOW + timedelta(days=366)
