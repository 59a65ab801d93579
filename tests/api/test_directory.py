"""The directory: the same authorities as a plain fold of the book, and in force when a client has its answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from api.directory import Directory
from api.everybody import EVERYBODY, TokenHolder
from api.reading.reader import read_pool
from domain.access import Authority
from domain.api_token import ApiTokenIssued, IssueApiToken
from domain.catalogue import catalogue
from domain.kernel import Command, parse_type_id, type_id
from domain.kernel.permissions import Permission, Scope
from domain.kernel.recorded import Recorded
from domain.staff_member import GrantRole, StaffMemberDeactivated, StaffMemberReactivated
from projections.progress import Progress
from projections.registry import models
from tests.api.book import HEADERS, Client, make_app, serving
from tests.api.filled import opened, posted
from tests.projections.books import made_up_book
from tests.projections.diaries import append

pytestmark = pytest.mark.anyio

OF_ACCESS = ("staff_member", "team", "queue", "role", "api_token")
COMMANDS: list[type[Command]] = [kind for each in OF_ACCESS for kind in catalogue.deciders[each].commands.values()]
SOON = datetime.now(UTC) + timedelta(days=30)
LATER = SOON.isoformat()
WIDER = ["own", "queue", "team", "all"]


@asynccontextmanager
async def directory_of(database: str) -> AsyncIterator[Directory]:
    """A directory as another process has it."""
    async with (
        Progress(database, models) as progress,
        read_pool(database, size=1) as lines,
        Directory(lines, progress) as directory,
    ):
        yield directory


# The oracle


class Fold:
    """What a plain reading of the book says of people, teams, queues, roles and tokens."""

    def __init__(self, book: Iterable[Recorded[Any]]) -> None:
        self.people: dict[UUID, dict[str, Any]] = {}
        self.teams: dict[UUID, dict[str, Any]] = {}
        self.queues: dict[UUID, UUID | None] = {}
        self.roles: dict[UUID, dict[str, Any]] = {}
        self.tokens: dict[UUID, dict[str, Any]] = {}
        for position, entry in enumerate(book, 1):
            self.enter(type(entry.event).__name__, entry.originator_id, entry.event)
            if type(entry.event).__name__ == "StaffMemberDeactivated":
                self.people[entry.originator_id]["left"] = position

    def enter(self, what: str, id: UUID, said: Any) -> None:
        match what:
            case "StaffMemberRegistered":
                self.people[id] = {
                    "team": said.team, "active": True, "roles": set(), "email": said.normalised_email, "left": 0
                }  # fmt: skip
            case "StaffMemberTeamChanged":
                self.people[id]["team"] = said.new
            case "StaffMemberEmailChanged":
                self.people[id]["email"] = said.normalised_email
            case "StaffMemberRoleGranted":
                self.people[id]["roles"].add(said.role)
            case "StaffMemberRoleRevoked":
                self.people[id]["roles"].remove(said.role)
            case "StaffMemberDeactivated" | "StaffMemberReactivated":
                self.people[id]["active"] = what.endswith("Reactivated")
            case "TeamCreated":
                self.teams[id] = {"parent": said.parent, "lead": said.lead}
            case "TeamLeadAssigned":
                self.teams[id]["lead"] = said.new
            case "QueueCreated":
                self.queues[id] = said.team
            case "QueueTeamAssigned":
                self.queues[id] = said.new
            case "RoleDefined":
                self.roles[id] = {"grants": said.grants, "active": True}
            case "RoleGrantsChanged":
                self.roles[id]["grants"] = said.new
            case "RoleRetired" | "RoleRestored":
                self.roles[id]["active"] = what == "RoleRestored"
            case "ApiTokenIssued":
                self.tokens[id] = {"grants": said.grants, "hash": said.hash, "until": said.expires_at, "active": True}
            case "ApiTokenRevoked":
                self.tokens[id]["active"] = False
            case _:
                pass

    def authority(self, id: UUID) -> Authority | None:
        one = self.people[id]
        if not one["active"]:
            return None
        teams = {team for team in self.teams if self.is_below(team, one["team"]) or self.is_led(team, id)}
        held = [self.roles[role]["grants"] for role in one["roles"] if self.roles[role]["active"]]
        return Authority(
            actor=f"user:{type_id('stf', id)}",
            staff_member=id,
            teams=frozenset(teams),
            queues=frozenset(queue for queue, team in self.queues.items() if team in teams),
            grants=most_permissive(grant for grants in held for grant in grants),
        )

    def is_below(self, team: UUID | None, other: UUID | None) -> bool:
        """Whether a team is the other one or a part of it, however deep."""
        while team is not None and team != other:
            team = self.teams[team]["parent"]
        return team is not None

    def is_led(self, team: UUID | None, lead: UUID) -> bool:
        while team is not None and self.teams[team]["lead"] != lead:
            team = self.teams[team]["parent"]
        return team is not None


def most_permissive(grants: Iterable[Any]) -> dict[Permission, Scope]:
    found: dict[Permission, Scope] = {}
    for grant in grants:
        scopes = [grant.scope, found.get(grant.permission, grant.scope)]
        found[grant.permission] = max(scopes, key=lambda scope: WIDER.index(scope.value))
    return found


def valid_today(one: Recorded[Any]) -> Recorded[Any]:
    """A token as the API issues it, where it is one: with a hash of its own, and not yet expired."""
    if not isinstance(one.event, ApiTokenIssued):
        return one
    known_by = sha256(one.originator_id.bytes).hexdigest()
    return replace(one, event=replace(one.event, hash=known_by, expires_at=SOON))


def away_and_back(book: list[Recorded[Any]]) -> list[Recorded[Any]]:
    """The entries by which somebody who is active is deactivated and reactivated."""
    active = {id for id, person in Fold(book).people.items() if person["active"]}
    last = [one for one in book if one.originator_id in active][-1]
    return [
        replace(last, originator_version=last.originator_version + more, event=event)
        for more, event in ((1, StaffMemberDeactivated()), (2, StaffMemberReactivated()))
    ]


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])  # books in which somebody is left who may do something
async def test_it_says_what_a_plain_fold_of_the_book_says(database: str, tmp_path: Path, seed: int) -> None:
    # Grants come often: of what is left to chance, most is refused.
    wishes: list[type[Command]] = [*COMMANDS, *20 * [GrantRole], *40 * [IssueApiToken]]
    book = [valid_today(one) for one in made_up_book(seed, 700, wishes) if one.kind in OF_ACCESS]
    book += away_and_back(book)
    with opened(database, tmp_path) as parts:
        for one in book:
            append(parts, one.originator_id, one.originator_version, one.event)
        posted(parts, *(model.name for model in models))
    fold = Fold(book)
    async with directory_of(database) as directory:
        assert directory.of_staff_member(uuid4()) is None
        for id, person in fold.people.items():
            assert directory.of_staff_member(id) == fold.authority(id)
            assert directory.last_deactivation(id) == person["left"]
            if person["left"]:
                assert directory.of_staff_member(id, since=person["left"] - 1) is None
            assert directory.of_staff_member(id, since=person["left"]) == fold.authority(id)
            if person["email"] is not None:
                others = [id for id, other in fold.people.items() if other["email"] == person["email"]]
                found = directory.staff_member_by_email(person["email"])
                assert (found in others) == any(fold.people[other]["active"] for other in others)
                assert found != id or person["active"]
        for id, token in fold.tokens.items():
            expected = Authority(actor=f"token:{type_id('tok', id)}", grants=most_permissive(token["grants"]))
            held = TokenHolder(id, expected, SOON)
            assert directory.of_token(bytes.fromhex(token["hash"])) == (held if token["active"] else None)
    assert fold.tokens
    assert any(person["active"] and person["roles"] for person in fold.people.values()), "nobody could do anything"


# In force


def _issued(payload: dict[str, Any]) -> tuple[str, str]:
    assert payload["userErrors"] == []
    return payload["apiToken"]["id"], payload["secret"]


async def a_person_with_a_role(client: Client) -> tuple[str, str]:
    grants = [{"permission": "READ_CUSTOMERS", "scope": "TEAM"}]
    role = await client.mutate("roleDefine", "role { id } userErrors { code }", name="Reader", grants=grants)
    person = await client.mutate("staffMemberRegister", "staffMember { id }", name="Grace", email="Grace@Example.com")
    return person["staffMember"]["id"], role["role"]["id"]


def directory_in(app: Any) -> Directory:
    """That of the serving process itself."""
    directory: Directory = app.router.routes[0].endpoint._serving.directory
    return directory


async def test_what_a_client_was_answered_is_in_force(database: str, tmp_path: Path) -> None:
    app = make_app(database, tmp_path)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=HEADERS, timeout=30) as http,
    ):
        client, directory = Client(http), directory_in(app)
        person, role = await a_person_with_a_role(client)
        _, id = parse_type_id(person)
        assert directory.staff_member_by_email("grace@example.com") == id
        for _ in range(15):
            await client.mutate("staffMemberGrantRole", "position", id=person, role=role)
            before = directory.of_staff_member(id)
            assert before is not None
            assert before.grants == {Permission.READ_CUSTOMERS: Scope.TEAM}
            await client.mutate("staffMemberRevokeRole", "position", id=person, role=role)
            after = directory.of_staff_member(id)
            assert after is not None
            assert after.grants == {}
        await client.mutate("staffMemberGrantRole", "position", id=person, role=role)
        wider = [{"permission": "READ_CUSTOMERS", "scope": "ALL"}]
        await client.mutate("roleChangeGrants", "position", id=role, grants=wider)
        found = directory.of_staff_member(id)
        assert found is not None
        assert found.grants == {Permission.READ_CUSTOMERS: Scope.ALL}
        await client.mutate("roleRetire", "position", id=role)
        found = directory.of_staff_member(id)
        assert found is not None
        assert found.grants == {}
        await client.mutate("staffMemberDeactivate", "position", id=person)
        assert directory.of_staff_member(id) is None
        assert directory.staff_member_by_email("grace@example.com") is None


async def test_another_process_notices(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client, directory_of(database) as elsewhere:
        grants = [{"permission": "READ_BOOK", "scope": "ALL"}]
        given = {"name": "Shop", "grants": grants, "expiresAt": LATER}
        payload = await client.mutate("apiTokenIssue", "secret apiToken { id } position userErrors { code }", **given)
        id, secret = _issued(payload)
        known_by = sha256(secret.encode()).digest()
        assert await elsewhere.reached(int(payload["position"]), 10)
        holder = elsewhere.of_token(known_by)
        assert holder is not None
        assert type_id("tok", holder.id) == id
        assert holder.authority == Authority(actor=f"token:{id}", grants={Permission.READ_BOOK: Scope.ALL})
        assert holder.expires_at == datetime.fromisoformat(LATER)
        edition = elsewhere.edition
        revoked = await client.mutate("apiTokenRevoke", "position", id=id)
        assert await elsewhere.reached(int(revoked["position"]), 10)
        assert elsewhere.of_token(known_by) is None
        assert elsewhere.edition > edition


async def test_what_access_does_not_follow_from_costs_no_reading(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client, directory_of(database) as elsewhere:
        await a_person_with_a_role(client)
        asked = await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        assert await elsewhere.reached(int(asked["position"]), 10)
        edition = elsewhere.edition
        asked = await client.mutate("customerRegister", "position", kind="PERSON", name="Bob")
        assert await elsewhere.reached(int(asked["position"]), 10)
        assert elsewhere.edition == edition


async def test_what_nobody_told_is_noticed_by_looking(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client, directory_of(database) as elsewhere:
        person, role = await a_person_with_a_role(client)
        granted = await client.mutate("staffMemberGrantRole", "position", id=person, role=role)
        assert await elsewhere.reached(int(granted["position"]), 10)
        edition = elsewhere.edition
        with psycopg.connect(database, autocommit=True) as db, db.transaction():
            # As a retry of a lane does: no position moves, and no notice comes.
            db.execute("DELETE FROM daybook_read.staff_member_roles")
            db.execute("UPDATE daybook_projections.models SET edition = edition + 1 WHERE name = 'staff_members'")
        async with asyncio.timeout(10):
            await elsewhere.beyond(edition)
        found = elsewhere.of_staff_member(parse_type_id(person)[1])
        assert found is not None
        assert found.grants == {}


async def test_of_a_server_that_has_taken_over_everything_is_read(
    database: str, superuser: str, tmp_path: Path
) -> None:
    """Other entries may stand where lost ones stood, and move no position."""
    async with serving(database, tmp_path) as client, directory_of(database) as elsewhere:
        person, role = await a_person_with_a_role(client)
        granted = await client.mutate("staffMemberGrantRole", "position", id=person, role=role)
        assert await elsewhere.reached(int(granted["position"]), 10)
        edition = elsewhere.edition
        with psycopg.connect(database, autocommit=True) as db, psycopg.connect(superuser, autocommit=True) as over:
            db.execute("DELETE FROM daybook_read.staff_member_roles")
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            over.execute(ended, (db.info.dbname, db.info.backend_pid))
        async with asyncio.timeout(10):
            await elsewhere.beyond(edition)
        found = elsewhere.of_staff_member(parse_type_id(person)[1])
        assert found is not None
        assert found.grants == {}


async def test_a_token_that_has_expired_is_nobodys(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        grants = [{"permission": "READ_BOOK", "scope": "ALL"}]
        given = {"name": "Shop", "grants": grants, "expiresAt": LATER}
        payload = await client.mutate("apiTokenIssue", "secret apiToken { id } userErrors { code }", **given)
        _, secret = _issued(payload)
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("UPDATE daybook_read.api_tokens SET expires_at = now()")
        async with directory_of(database) as directory:
            assert directory.of_token(sha256(secret.encode()).digest()) is None


async def test_of_tokens_that_open_nothing_any_more_nothing_is_kept(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client, read_pool(database, size=1) as lines:
        grants = [{"permission": "READ_BOOK", "scope": "ALL"}]
        ids = list[str]()
        for name in ("good", "revoked", "expired"):
            given = {"name": name, "grants": grants, "expiresAt": LATER}
            payload = await client.mutate("apiTokenIssue", "secret apiToken { id } userErrors { code }", **given)
            ids.append(_issued(payload)[0])
        await client.mutate("apiTokenRevoke", "position", id=ids[1])
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("UPDATE daybook_read.api_tokens SET expires_at = now() WHERE id = %s", (ids[2],))
        _, found = await lines.fetch(EVERYBODY, ())
    said = (found or b"").decode()
    assert [id in said for id in ids] == [True, False, False]


async def test_a_permission_of_a_newer_daybook_allows_nothing_here(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        person, role = await a_person_with_a_role(client)
        await client.mutate("staffMemberGrantRole", "position", id=person, role=role)
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(
                "INSERT INTO daybook_read.role_grants VALUES (%s, 'fly_to_the_moon', 'all', 99, 1, now())", (role,)
            )
        async with directory_of(database) as directory:
            found = directory.of_staff_member(parse_type_id(person)[1])
        assert found is not None
        assert found.grants == {Permission.READ_CUSTOMERS: Scope.TEAM}


async def test_nobody_is_known_before_the_read_models_are_made(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        person, _ = await a_person_with_a_role(client)
        _, id = parse_type_id(person)
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("ALTER TABLE daybook_read.staff_member_roles RENAME TO of_another_version")
            async with directory_of(database) as directory:
                assert directory.of_staff_member(id) is None
                db.execute("ALTER TABLE daybook_read.of_another_version RENAME TO staff_member_roles")
                async with asyncio.timeout(10):
                    await directory.beyond(0)
                assert directory.of_staff_member(id) is not None
            assert directory.of_staff_member(id) is None, "it ended, and would learn of no revocation"
