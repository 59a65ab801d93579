"""What resolvers work with: the parts of the serving process, and the one request that they answer."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import anyio
import msgspec
from graphql import OperationDefinitionNode
from strawberry import Info

from api.auditing.bundle import Bundles
from api.checkpoints import Checkpoints
from api.commands import Commands
from api.directory import ACCESS_FOLLOWS_FROM, Directory
from api.documents import cost_extension
from api.errors import RequestError, RequestErrorCode, request_id
from api.feed import Feed
from api.identity.accounts import Accounts
from api.identity.behalf import acting_for
from api.identity.caller import STRANGER, Arrival, Caller
from api.identity.store import Access
from api.personal_data import PersonalData
from api.reading.moments import Asked, Then, in_future, named
from api.reading.reader import Reader
from api.reading.sight import Sight, sight_of
from api.throttling import Standing
from api.times import Times
from domain.access import Authority
from domain.kernel import type_id
from domain.kernel.recorded import Receipt
from domain.staff_member import staff_member
from infra.event_store import EventStore
from infra.mapper import SealingMapper
from projections.progress import Outcome, Progress


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that requests are answered with. One for each process, made in the lifespan."""

    commands: Commands
    reader: Reader
    progress: Progress
    directory: Directory
    feed: Feed
    checkpoints: Checkpoints
    bundles: Bundles
    store: EventStore
    times: Times
    mapper: SealingMapper
    personal_data: Callable[[UUID], PersonalData]
    """All that the book holds about a customer; takes its time."""
    accounts: Accounts
    access: Access
    readers: anyio.CapacityLimiter
    """Reads of the book that may be under way at once."""
    patience: float
    """Seconds that a request waits for the read models."""


_STAFF = staff_member.prefix


class Request:
    """The context of one request, or of one WebSocket connection."""

    connection_params: dict[str, Any] | None = None
    """What a WebSocket client said in `connection_init`; the protocol's handler writes it here."""
    read_model: Outcome | None = None
    """`extensions.readModel`: why the entity of a committed mutation is null.

    BEHIND: the read models had not reached the position in time; ask again with `Daybook-At-Least`. PARKED: the
    record's lane stands still at an entry that can't be posted; an operator has to look.
    """
    at_least: int | None = None
    """The position that a query has to reflect, where the client names one."""
    position: str | None = None
    """`extensions.position`: the position that a query's answer reflects."""
    acting_for: Authority | None = None
    """What the person may do on whose behalf a mutation is sent, where it is."""
    cookie: str | None = None
    """`Set-Cookie` of the answer, where somebody signs in or out."""
    signs_out: bool = False
    """Whether it ends the session that it came with: what it is answered is the last that a connection is told."""
    cost: int | None = None
    """Of the query or mutation that is answered; the events of a subscription do not repeat it."""
    standing: Standing | None = None
    """What the actor may still ask for after it, where actors are throttled."""
    operation: OperationDefinitionNode | None = None
    codes: Sequence[str] = ()
    """Of the errors that were answered; like `operation`, for the access log."""

    def __init__(self, serving: Serving, arrival: Arrival, caller: Caller = STRANGER) -> None:
        """`caller`: who asks, where that is known already."""
        self.serving, self.arrival, self.caller = serving, arrival, caller
        self.id = request_id()

    @property
    def sight(self) -> Sight:
        """What they see."""
        return sight_of(self.authority)

    @property
    def authority(self) -> Authority:
        """What who asks may do."""
        return self.caller.authority

    @property
    def authorised(self) -> bool:
        """Whether anything is allowed at all."""
        return bool(self.authority.grants)

    @property
    def actor(self) -> str:
        """Who asks, as entries of the book name it."""
        return self.authority.actor

    @property
    def account(self) -> str:
        """Who pays for what is asked: the actor, or the address of a stranger."""
        return self.actor if self.authorised else f"{self.actor} at {self.arrival.address}"

    def another(self) -> "Request":
        """The context of an operation of this connection."""
        return Request(self.serving, self.arrival, self.caller)

    @property
    def on_behalf_of(self) -> str | None:
        """For whom a mutation is, where it is for somebody else, by the staff member's id."""
        person = None if self.acting_for is None else self.acting_for.staff_member
        return None if person is None else type_id(_STAFF, person)

    def act_for(self, named: Sequence[object], operation: OperationDefinitionNode) -> None:
        """Do what the operation asks on behalf of whom the client names, if anybody. Raises RequestError."""
        self.acting_for = acting_for(named, operation, self.authority, self.serving.directory)

    async def caught_up(self, receipt: Receipt, kind: str) -> bool:
        """Wait until the read models show what a command on this kind of aggregate left, and what somebody may do
        follows it; False, and said in `extensions`, where they do not in time.
        """
        serving, position = self.serving, receipt.position
        outcome = await serving.progress.reached(position, serving.patience, receipt.id)
        if outcome == "REACHED" and kind in ACCESS_FOLLOWS_FROM:
            outcome = "REACHED" if await serving.directory.reached(position, serving.patience) else "BEHIND"
        return self._noted(outcome)

    async def reach(self, position: int) -> None:
        """Wait until the read models have reached a position. Raises RequestError where they do not in time."""
        serving = self.serving
        if serving.progress.is_at(position):
            return
        head = await anyio.to_thread.run_sync(serving.store.max_notification_id, limiter=serving.readers) or 0
        if position > head:
            raise RequestError(
                RequestErrorCode.POSITION_UNKNOWN,
                f"The book ends at position {head}: {position} is no position of this book. If it was restored from a"
                " backup, read again without a position.",
            )
        if await serving.progress.reached(position, serving.patience) != "REACHED":
            raise RequestError(
                RequestErrorCode.POSITION_NOT_REACHED,
                f"The read models have not reached position {position} in time; they stand at"
                f" {serving.progress.position}. Ask again in a moment, or without a position for what there is.",
                status=503,
            )

    async def moment(self, asked: Asked) -> Then:
        """The moment that is asked about, once the read models have reached it. Raises RequestError."""
        moment, serving = named(asked), self.serving
        if isinstance(moment, datetime):
            position = await serving.times.position_at(moment)
            if position is None:
                raise in_future(asked.argument, moment)
            await self.reach(position)
            return Then(position, moment)
        await self.reach(moment)
        return Then(moment, None)

    def _noted(self, outcome: Outcome) -> bool:
        if outcome == "REACHED":
            return True
        self.read_model = outcome
        return False

    @property
    def extensions(self) -> dict[str, Any]:
        """What the response says beside data and errors."""
        cost = None if self.cost is None else cost_extension(self.cost, self.standing)
        said = {"cost": cost, "readModel": self.read_model, "position": self.position}
        return {name: value for name, value in said.items() if value is not None}


def position_of(text: object) -> int:
    """A position that a client sends. Raises RequestError."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise RequestError(
        RequestErrorCode.POSITION_UNKNOWN,
        "This is no position: send one that an earlier answer gave, its digits as text, such as `250`.",
    )


RequestInfo: TypeAlias = Info[Request, Any]
"""A resolver's view of the request."""
