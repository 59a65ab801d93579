"""API tokens as screens read them, and as they are known at the door."""

from typing import assert_never

from domain.api_token import ApiTokenEvent, ApiTokenIssued, ApiTokenRevoked
from domain.kernel import opened
from domain.kernel.recorded import Recorded
from projections.model import STAMP, Model, Posting, Table, public_id, stamp
from projections.roles import add_grants, grants_of
from projections.sorting import TEXT_KEY, sort_key

API_TOKENS = Table(
    name="api_tokens",
    columns={
        "id": "text NOT NULL",
        "name": "text",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched; "" where it was erased
        "status": "text NOT NULL",  # active, revoked; one that has expired stays active
        "hash": "text NOT NULL",  # SHA-256 of the token, in hexadecimal: for the door alone
        "issued_by": "text NOT NULL",  # the actor
        "expires_at": "timestamptz NOT NULL",
        "revoked_at": "timestamptz",
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id", "position"),
)

GRANTS = grants_of("api_token")


def post(posting: Posting, recorded: Recorded[ApiTokenEvent]) -> None:
    """What one event of a token changes."""
    id, at = public_id("api_token", recorded.originator_id), recorded.occurred_at
    match recorded.event:
        case ApiTokenIssued() as event:
            add_grants(posting, GRANTS, id, event.grants)
            posting.insert(
                API_TOKENS,
                id=id,
                name=opened(event.name),
                name_key=sort_key(event.name),
                status="active",
                hash=event.hash,
                issued_by=recorded.actor,
                expires_at=event.expires_at,
                created_at=at,
                changed_at=at,
                **stamp(recorded),
            )
        case ApiTokenRevoked():
            posting.change(API_TOKENS, id, status="revoked", revoked_at=at, changed_at=at, **stamp(recorded))
        case _ as never:
            assert_never(never)


api_tokens = Model(
    name="api_tokens", version=2, tables=(API_TOKENS, GRANTS), post=post, kinds=frozenset(("api_token",))
)
