"""Everybody: who works here, which API tokens there are, and what each of them may do, at one moment."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec

from domain.access import Authority
from domain.kernel import parse_type_id
from domain.kernel.permissions import Grant, Permission, Scope, widest

T = TypeVar("T")


class TokenHolder(NamedTuple):
    """What came in with an API token."""

    id: UUID
    authority: Authority
    expires_at: datetime


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


class Everybody(msgspec.Struct, array_like=True, dict=True):
    """Who there is. What somebody may do is worked out when it is first asked."""

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
                staff_member=uuid_of(id),
                teams=frozenset(map(uuid_of, teams)),
                queues=frozenset(uuid_of(queue) for team in teams for queue in self._worked_on.get(team, ())),
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
        return TokenHolder(uuid_of(token.id), authority, token.expires_at)

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
decoded = msgspec.json.Decoder(Everybody).decode
"""Everybody, of the text that EVERYBODY finds."""


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def uuid_of(id: str) -> UUID:
    """The id that a public id stands for."""
    return parse_type_id(id)[1]


# Every entry of an aggregate moves its row's position; a rebuild and a retry move the edition.
MARK = """
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
"""What is another text once anything moved that access follows from."""
_GOOD = "api_tokens.status = 'active' AND api_tokens.expires_at > now()"
EVERYBODY = f"""{MARK}, json_build_array(
        (SELECT coalesce(json_agg(json_build_array(id, normalised_email, team_id)), '[]')
            FROM daybook_read.staff_members WHERE status = 'active'),
        (SELECT coalesce(json_agg(json_build_array(held.staff_member_id, held.role_id)), '[]')
            FROM daybook_read.staff_member_roles AS held JOIN daybook_read.roles ON roles.id = held.role_id
            WHERE roles.status = 'active'),
        (SELECT coalesce(json_agg(json_build_array(id, parent_id, lead_id)), '[]') FROM daybook_read.teams),
        (SELECT coalesce(json_agg(json_build_array(team_id, id)), '[]')
            FROM daybook_read.queues WHERE team_id IS NOT NULL),
        (SELECT coalesce(json_agg(json_build_array(role_id, permission, scope)), '[]')
            FROM (TABLE daybook_read.role_grants UNION ALL
                SELECT granted.* FROM daybook_read.api_token_grants AS granted
                    JOIN daybook_read.api_tokens ON api_tokens.id = granted.api_token_id WHERE {_GOOD}) AS granted),
        (SELECT coalesce(json_agg(json_build_array(id, hash, expires_at)), '[]')
            FROM daybook_read.api_tokens WHERE {_GOOD}),
        (SELECT coalesce(json_agg(json_build_array(id, deactivation)), '[]')
            FROM daybook_read.staff_members WHERE deactivation IS NOT NULL)
    )
"""
"""The same, and everybody as JSON. Of tokens that open nothing any more, nothing: there are more of them each day."""
