"""The directory: who may do what, in the memory of a process that serves, as the read models have it.

It is read whole, in one statement, whenever something moved that access follows from: each answer is of one moment.
What was granted or revoked elsewhere is known here as soon as the read models have told it, and where that word is
lost, a quarter of a second later.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple, Self, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from api.reading.lines import Lines
from domain.access import Authority
from domain.catalogue import catalogue
from domain.kernel import parse_type_id, type_id
from domain.kernel.permissions import Grant, Permission, Scope, widest
from projections.background import ended
from projections.progress import Progress

T = TypeVar("T")

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


class TokenHolder(NamedTuple):
    """What came in with an API token."""

    id: UUID
    authority: Authority
    expires_at: datetime


class Directory:
    """Knows what people and API tokens may do. Used within one event loop: `async with Directory(lines, progress)`."""

    def __init__(self, lines: Lines, progress: Progress) -> None:
        """`lines`: open, and not shared with what may take long, or it would keep a revocation waiting."""
        self._lines, self._progress = lines, progress
        self._page, self._mark = _Page(), _NO_MARK
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
        return self._page.of_staff_member(type_id(_STAFF, id))

    def last_deactivation(self, id: UUID) -> int:
        """The position of the entry that deactivated somebody last, active again or not; 0 where none is known."""
        return self._page.last_deactivations.get(type_id(_STAFF, id), 0)

    def staff_member_by_email(self, normalised: str) -> UUID | None:
        """Whose e-mail address this is, as `infra.contacts` writes it; None where nobody's who works here."""
        id = self._page.by_email.get(normalised)
        return None if id is None else _uuid(id)

    def email_of(self, staff_member: UUID) -> str | None:
        """The e-mail address of somebody who works here, in the same spelling; None where there is none."""
        return self._page.email_of(type_id(_STAFF, staff_member))

    def of_token(self, hash: bytes) -> TokenHolder | None:  # noqa: A002
        """Who comes in with the token of this hash; None where none does, or where it was revoked or has expired."""
        return self._page.of_token(hash.hex())

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
            self._page = _Page()

    async def _look(self) -> None:
        """Read everything anew, where a mark says that something moved."""
        position = self._progress.position
        (mark,) = await self._lines.fetch(_MARK, ())
        if mark != self._mark:
            self._mark, page = await self._lines.fetch(_EVERYTHING, ())
            self._page = _decode(page or b"[]")
            self.edition += 1
        self.position = position
        self._looked.set()
        self._looked = asyncio.Event()


class _Person(msgspec.Struct, array_like=True, gc=False):
    id: str
    email: str | None
    team: str | None


class _Team(msgspec.Struct, array_like=True, gc=False):
    id: str
    parent: str | None
    lead: str | None


class _Grant(msgspec.Struct, array_like=True, gc=False):
    holder: str
    """A role, or a token."""
    permission: str
    scope: str


class _Token(msgspec.Struct, array_like=True, gc=False):
    id: str
    hash: str
    expires_at: datetime


class _Page(msgspec.Struct, array_like=True, dict=True):
    """Everybody, at one moment. What somebody may do is worked out when it is first asked."""

    people: list[_Person] = []
    """The active ones."""
    roles: list[tuple[str, str]] = []
    """Staff member, role; active roles only."""
    teams: list[_Team] = []
    queues: list[tuple[str, str]] = []
    """Team, a queue that it works on."""
    grants: list[_Grant] = []
    tokens: list[_Token] = []
    deactivations: list[tuple[str, int]] = []
    """Of the active ones too: the last one's position."""

    def of_staff_member(self, id: str) -> Authority | None:
        known = self._known.get(id)
        if known is None and (person := self._people.get(id)) is not None:
            teams = self._with_teams_below((person.team, *self._led.get(id, ())))
            known = self._known[id] = Authority(
                actor=f"user:{id}",
                staff_member=_uuid(id),
                teams=frozenset(map(_uuid, teams)),
                queues=frozenset(_uuid(queue) for team in teams for queue in self._worked_on.get(team, ())),
                grants=self._granted(*self._held.get(id, ())),
            )
        return known

    def email_of(self, id: str) -> str | None:
        person = self._people.get(id)
        return None if person is None else person.email

    def of_token(self, hash: str) -> TokenHolder | None:  # noqa: A002
        token = self._tokens.get(hash)
        if token is None:
            return None
        authority = Authority(actor=f"token:{token.id}", grants=self._granted(token.id))
        return TokenHolder(_uuid(token.id), authority, token.expires_at)

    def _granted(self, *holders: str) -> Mapping[Permission, Scope]:
        return widest(tuple(grant for holder in holders for grant in self._grants.get(holder, ())))

    def _with_teams_below(self, begun: Iterable[str | None]) -> set[str]:
        found = set[str]()
        waiting = [id for id in begun if id is not None]
        while waiting:
            id = waiting.pop()
            if id not in found:
                found.add(id)
                waiting += self._below.get(id, ())
        return found

    @cached_property
    def by_email(self) -> Mapping[str, str]:
        return {person.email: person.id for person in self.people if person.email is not None}

    @cached_property
    def last_deactivations(self) -> Mapping[str, int]:
        return dict(self.deactivations)

    @cached_property
    def _known(self) -> dict[str, Authority]:
        return {}

    @cached_property
    def _people(self) -> Mapping[str, _Person]:
        return {person.id: person for person in self.people}

    @cached_property
    def _held(self) -> Mapping[str, list[str]]:
        return _grouped(self.roles)

    @cached_property
    def _led(self) -> Mapping[str, list[str]]:
        return _grouped((team.lead, team.id) for team in self.teams if team.lead is not None)

    @cached_property
    def _below(self) -> Mapping[str, list[str]]:
        return _grouped((team.parent, team.id) for team in self.teams if team.parent is not None)

    @cached_property
    def _worked_on(self) -> Mapping[str, list[str]]:
        return _grouped(self.queues)

    @cached_property
    def _grants(self) -> Mapping[str, list[Grant]]:
        # A permission that only a newer Daybook knows allows nothing here.
        return _grouped(
            (each.holder, Grant(_PERMISSIONS[each.permission], _SCOPES[each.scope]))
            for each in self.grants
            if each.permission in _PERMISSIONS and each.scope in _SCOPES
        )

    @cached_property
    def _tokens(self) -> Mapping[str, _Token]:
        return {token.hash: token for token in self.tokens}


_PERMISSIONS = {permission.value: permission for permission in Permission}
_SCOPES = {scope.value: scope for scope in Scope}
_decode = msgspec.json.Decoder(_Page).decode


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _uuid(id: str) -> UUID:
    return parse_type_id(id)[1]


# Every entry of an aggregate moves its row's position; a rebuild and a retry move the edition.
_MARK = """
    SELECT concat_ws(' ',
        coalesce((SELECT max(position) FROM daybook_read.staff_members), 0),
        coalesce((SELECT max(position) FROM daybook_read.teams), 0),
        coalesce((SELECT max(position) FROM daybook_read.queues), 0),
        coalesce((SELECT max(position) FROM daybook_read.roles), 0),
        coalesce((SELECT max(position) FROM daybook_read.api_tokens), 0),
        (SELECT string_agg(edition::text, ' ' ORDER BY name) FROM daybook_projections.models
            WHERE name IN ('staff_members', 'teams', 'queues', 'roles', 'api_tokens'))
    ) AS mark
"""
_EVERYTHING = f"""{_MARK}, json_build_array(
        (SELECT coalesce(json_agg(json_build_array(id, normalised_email, team_id)), '[]')
            FROM daybook_read.staff_members WHERE status = 'active'),
        (SELECT coalesce(json_agg(json_build_array(held.staff_member_id, held.role_id)), '[]')
            FROM daybook_read.staff_member_roles AS held JOIN daybook_read.roles ON roles.id = held.role_id
            WHERE roles.status = 'active'),
        (SELECT coalesce(json_agg(json_build_array(id, parent_id, lead_id)), '[]') FROM daybook_read.teams),
        (SELECT coalesce(json_agg(json_build_array(team_id, id)), '[]')
            FROM daybook_read.queues WHERE team_id IS NOT NULL),
        (SELECT coalesce(json_agg(json_build_array(role_id, permission, scope)), '[]')
            FROM (TABLE daybook_read.role_grants UNION ALL TABLE daybook_read.api_token_grants) AS granted),
        (SELECT coalesce(json_agg(json_build_array(id, hash, expires_at)), '[]')
            FROM daybook_read.api_tokens WHERE status = 'active' AND expires_at > now()),
        (SELECT coalesce(json_agg(json_build_array(id, deactivation)), '[]')
            FROM daybook_read.staff_members WHERE deactivation IS NOT NULL)
    )
"""
