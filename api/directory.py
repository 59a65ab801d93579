"""The directory: who may do what, in the memory of a process that serves, as the read models have it.

It is read whole, in one statement, whenever something moved that access follows from: each answer is of one moment.
What was granted or revoked elsewhere is known here as soon as the read models have told it, and where that word is
lost, a quarter of a second later.
"""

import asyncio
from contextlib import suppress
from typing import Final, Self
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from api.everybody import EVERYBODY, MARK, Everybody, TokenHolder, decoded, uuid_of
from api.reading.lines import Lines
from domain.access import Authority
from domain.catalogue import catalogue
from domain.kernel import type_id
from projections.background import ended
from projections.progress import Progress

ACCESS_FOLLOWS_FROM: Final = frozenset(("staff_member", "team", "queue", "role", "api_token"))
"""The kinds of aggregates whose entries change what somebody may do."""

POLL = 0.25
"""Seconds after which is looked again, though nobody has said that anything moved."""
BREATH = 0.05
"""Seconds between two looks where nobody waits: what a revocation in another process may take longer."""
PAUSE = 0.2
"""Seconds between two tries to reach a database that is away."""

_NO_MARK: bytes | None = b""
_STAFF = catalogue.prefixes["staff_member"]


class Directory:
    """Knows what people and API tokens may do. Used within one event loop: `async with Directory(lines, progress)`."""

    def __init__(self, lines: Lines, progress: Progress) -> None:
        """`lines`: open, and not shared with what may take long, or it would keep a revocation waiting."""
        self._lines, self._progress = lines, progress
        self._everybody, self._mark = Everybody(), _NO_MARK
        self._losses: int = progress.losses
        self._wanted = asyncio.Event()
        self._looked = asyncio.Event()
        self.edition = 0
        """Grows whenever something moved that access follows from: who is connected looks again."""
        self.position = 0
        """What stands in the book up to here is known."""

    async def __aenter__(self) -> Self:
        """Returns once everybody is known; nobody is as long as the read models lack what that takes.

        Raises what the lines raise where the database can't be read.
        """
        with suppress(psycopg.ProgrammingError):  # `daybook migrate` has yet to make a table
            await self._look()
        self._task = asyncio.create_task(self._follow(), name="directory")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._task)

    def of_staff_member(self, id: UUID, *, since: int | None = None) -> Authority | None:
        """What somebody who works here may do, perhaps nothing; None where nobody is known or active by this id.

        `since`: of whoever came in when this was the last deactivation; None too where there was another meanwhile.
        """
        if since is not None and self.last_deactivation(id) > since:
            return None
        return self._everybody.of_staff_member(type_id(_STAFF, id))

    def last_deactivation(self, id: UUID) -> int:
        """The position of the entry that deactivated somebody last, active again or not; 0 where none is known."""
        return self._everybody.last_deactivations.get(type_id(_STAFF, id), 0)

    def staff_member_by_email(self, normalised: str) -> UUID | None:
        """Whose e-mail address this is, as `infra.contacts` writes it; None where nobody's who works here."""
        id = self._everybody.by_email.get(normalised)
        return None if id is None else uuid_of(id)

    def email_of(self, staff_member: UUID) -> str | None:
        """The e-mail address of somebody who works here, in the same spelling; None where there is none."""
        return self._everybody.email_of(type_id(_STAFF, staff_member))

    def of_token(self, hash: bytes) -> TokenHolder | None:  # noqa: A002
        """Who comes in with the token of this hash; None where none does, or where it was revoked or has expired."""
        return self._everybody.of_token(hash.hex())

    async def reached(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109  # as Progress has it
        """Wait, for at most `timeout` seconds, until what stands in the book up to here is in force; whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.position < position:
                    self._wanted.set()
                    await self._looked.wait()
        return self.position >= position

    async def beyond(self, edition: int) -> int:
        """Wait, however long, until something moved since that edition; the one that it is then."""
        while self.edition <= edition:
            await self._looked.wait()
        return self.edition

    async def _follow(self) -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._progress.beyond(self.position)
                try:
                    await self._look()
                except (psycopg.Error, PoolTimeout):
                    await asyncio.sleep(PAUSE)
                # While the book grows it is looked at some times a second, not after each command.
                with suppress(TimeoutError):
                    async with asyncio.timeout(BREATH):
                        await self._wanted.wait()
                self._wanted.clear()
        finally:
            # Whatever ends this: better nobody is known than somebody whose access was revoked meanwhile.
            self._everybody = Everybody()

    async def _look(self) -> None:
        """Read everything anew, where a mark says that something moved, or where the database may be another one."""
        position, losses = self._progress.position, self._progress.losses
        (mark,) = await self._lines.fetch(MARK, ())
        if mark != self._mark or losses != self._losses:
            self._mark, found = await self._lines.fetch(EVERYBODY, ())
            self._everybody, self._losses = decoded(found or b"[]"), losses
            self.edition += 1
        self.position = position
        self._looked.set()
        self._looked = asyncio.Event()
