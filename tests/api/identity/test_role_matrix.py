"""The role matrix: every role at every query field, mutation and subscription, over HTTP, as the documents have it.

What is expected is read out of docs/operator/roles.md, which says it for people, and out of what is written here by
hand: which places a scope reaches, and of what each query field tells. What is new in the schema fails until somebody
decides.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from graphql import GraphQLObjectType

from api.beginning import define_roles
from api.role_matrix import role_matrix
from domain.catalogue import catalogue, mutation_name
from domain.ready_roles import READY
from tests.api.bad_values import Inputs
from tests.api.filled import opened
from tests.api.identity.role_document import DOCUMENT, REACHED, READ_BY, ROLES, Matrix, documented, reaches
from tests.api.identity.signing_in import ISSUE, signed_in
from tests.api.listening import PATIENCE, Server, Socket, listening
from tests.api.printed import printed_schema

SCHEMA = printed_schema()

BEGINNINGS = {
    mutation_name(decider, verb)
    for decider in catalogue.deciders.values()
    for verb, command in decider.commands.items()
    if command in decider.creates
}
OF_SIGNING_IN = {"signIn", "signOut", "signOutEverywhere", "passwordChange", "passwordReset"}
"""Mutations that take no permission: everybody's own affair."""
MANAGED = {"passwordResetIssue": "MANAGE_ACCESS"}

NODES, ID = "(first: 100) { nodes { id } }", "{ id }"
RECORDS: Mapping[str, tuple[str, str]] = {
    "customer": ("customer", '(id: "%s") { id }'),
    "customerByExternalId": ("customer", '(source: "test", id: "%s") { id }'),
    "opportunity": ("opportunity", '(id: "%s") { id }'),
    "opportunityByExternalId": ("opportunity", '(source: "test", id: "%s") { id }'),
    "ticket": ("ticket", '(id: "%s") { id }'),
    "ticketByExternalId": ("ticket", '(source: "test", id: "%s") { id }'),
}
"""Fields that give a record of a kind, or null."""
LISTS = {"customers": "customer", "opportunities": "opportunity", "tickets": "ticket"}
TOTALS = {"customerTotals": "customer", "opportunityTotals": "opportunity", "ticketTotals": "ticket"}
GROUPS = {"customerGroups": "customer", "opportunityGroups": "opportunity", "ticketGroups": "ticket"}
EVERYBODY_S = {
    "company": "{ id }", "pipelines": NODES, "products": NODES, "staffMembers": NODES, "teams": NODES, "queues": NODES,
    "roles": NODES,
}  # fmt: skip
"""Fields that tell everybody the same."""
BY_ID_OF_EVERYBODY_S = {"pipeline", "product", "staffMember", "team", "queue", "role"}
ELSEWHERE = {"node", "nodes", "history", "apiTokens", "apiToken", "customerByEmail", "ticketByNumber",
             "productByExternalId", "asOf", "position", "pipelineWaterfall", "diff", "whyValue",
             "auditBundle"}  # fmt: skip
"""Fields with a test of their own below; of the last three, in test_tracing_clients.py and test_audit_bundle.py."""


class Person:
    """Somebody with one of the ready roles, signed in, and a record of each kind in each place."""

    def __init__(self, role: str, id: str, http: httpx.Client) -> None:
        self.role, self.id, self.http = role, id, http
        self.records: dict[tuple[str, str], str] = {}

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        answer = self.http.post("/graphql", json={"query": query, "variables": variables}, timeout=PATIENCE).json()
        assert "errors" not in answer, (self.role, query, answer)
        return answer["data"]


class Firm(NamedTuple):
    server: Server
    people: Mapping[str, Person]
    others: Mapping[str, str]
    """An id of each kind that everybody sees."""


@contextmanager
def firm(database: str, directory: Path) -> Iterator[Firm]:
    with opened(database, directory) as parts:
        define_roles(parts, READY)
    with listening(database, directory) as server, ExitStack() as stack:

        def make(mutation: str, noun: str, /, **given: Any) -> str:
            payload = server.mutate(mutation, f"{noun} {{ id }} userErrors {{ code path }}", **given)
            assert payload["userErrors"] == [], (mutation, payload)
            id: str = payload[noun]["id"]
            return id

        stages = [{"name": "New", "probability": "10", "category": "PIPELINE"}]
        team, outsider = make("teamCreate", "team", name="West"), make("staffMemberRegister", "staffMember", name="Out")
        nobodys = make("teamCreate", "team", name="East")
        others = {
            "pipeline": make("pipelineDefine", "pipeline", name="Sales", stages=stages),
            "product": make("productAdd", "product", name="Engine", price="4711", currency="EUR"),
            "queue": make("queueCreate", "queue", name="First line", team=team),
            "team": team,
            "company": make("companyDefine", "company", name="We", timeZone="Europe/Zurich", currency="EUR",
                            language="en", phoneRegion="CH"),
        }  # fmt: skip
        people: dict[str, Person] = {}
        found = server.post("{ roles(first: 20) { nodes { id name } } }")["roles"]["nodes"]
        roles = {one["name"]: one["id"] for one in found}
        for role in ROLES:
            email = f"{role.replace(' ', '.').lower()}@acme.example"
            id = make("staffMemberRegister", "staffMember", name=role, email=email, team=team)
            server.mutate("staffMemberGrantRole", id=id, role=roles[role])
            person = people[role] = Person(role, id, stack.enter_context(signed_in(server, id, email)))
            places: dict[str, dict[str, Any]] = {
                "own": {"owner": id, "team": nobodys},
                "team": {"owner": outsider, "team": team},
                "elsewhere": {"owner": outsider},
            }
            for place, given in places.items():
                mark = [{"source": "test", "id": f"{role} {place}"}]
                person.records["customer", place] = make(
                    "customerRegister", "customer", kind="PERSON", name=place, externalIds=mark, **given
                )
                person.records["opportunity", place] = make(
                    "opportunityOpen",
                    "opportunity",
                    title=place,
                    pipeline=others["pipeline"],
                    externalIds=mark,
                    **given,
                )
            tickets: dict[str, dict[str, Any]] = {
                "own": {"assignee": id}, "queue": {"queue": others["queue"]}, "elsewhere": {"assignee": outsider},
            }  # fmt: skip
            for place, given in tickets.items():
                mark = [{"source": "test", "id": f"{role} {place}"}]
                person.records["ticket", place] = make(
                    "ticketOpen", "ticket", subject=place, channel="EMAIL", externalIds=mark, **given
                )
        others["staff_member"], others["role"] = outsider, roles["Marketing"]
        yield Firm(server, people, others)


@pytest.fixture(scope="module")
def acme(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    with firm(module_database, tmp_path_factory.mktemp("acme")) as made:
        yield made


def seen(acme: Firm, matrix: Matrix, person: Person, kind: str) -> set[str]:
    """The ids of a kind that somebody sees: everybody's records that stand in reach."""
    found: set[str] = set()
    for other in acme.people.values():
        for (of, place), id in other.records.items():
            # Another's own records are nobody else's, but those of the team are everybody's in it.
            stands = "elsewhere" if place == "own" and other is not person else place
            if of == kind and reaches(matrix, person.role, READ_BY[kind], stands):
                found.add(id)
    return found


def test_the_document_is_what_the_code_says() -> None:
    assert role_matrix() in DOCUMENT.read_text(), "run `daybook access roles` and put it into docs/operator/roles.md"


def test_nothing_is_new_without_a_decision() -> None:
    matrix, root = documented(), SCHEMA.query_type
    assert isinstance(root, GraphQLObjectType)
    assert isinstance(SCHEMA.mutation_type, GraphQLObjectType)
    assert isinstance(SCHEMA.subscription_type, GraphQLObjectType)
    assert set(SCHEMA.mutation_type.fields) == {*matrix.needs, *OF_SIGNING_IN, *MANAGED}
    decided = {*RECORDS, *LISTS, *TOTALS, *GROUPS, *EVERYBODY_S, *BY_ID_OF_EVERYBODY_S, *ELSEWHERE}
    assert set(root.fields) == decided
    followed = {"changes", "customerChanged", "opportunityChanged", "ticketChanged"}
    assert set(SCHEMA.subscription_type.fields) == followed


@pytest.mark.parametrize("role", ROLES)
def test_every_query_field(acme: Firm, role: str) -> None:
    matrix, person = documented(), acme.people[role]
    hides_persons = not matrix.scopes["SEE_PERSONAL_DATA"][role]
    for kind in READ_BY:
        ids = seen(acme, matrix, person, kind)
        everything = {id for one in acme.people.values() for (of, _), id in one.records.items() if of == kind}
        name = next(name for name, of in LISTS.items() if of == kind)
        assert set(_ids(person, name)) == ids, (role, kind)
        position = person.ask("{ position }")["position"]
        then = person.ask(f'{{ asOf(at: {{position: "{position}"}}) {{ {name}(first: 100) {{ nodes {{ id }} }} }} }}')
        assert {one["id"] for one in then["asOf"][name]["nodes"]} == ids, (role, kind)
        total = next(name for name, of in TOTALS.items() if of == kind)
        assert person.ask(f"{{ {total} {{ count }} }}")[total]["count"] == len(ids)
        group = next(name for name, of in GROUPS.items() if of == kind)
        counted = person.ask(f"{{ {group}(first: 10, by: []) {{ count }} }}")[group]
        assert sum(one["count"] for one in counted) == len(ids)
        for field, (of, arguments) in RECORDS.items():
            for (what, place), id in person.records.items():
                if what == of == kind:
                    foreign = "ExternalId" in field
                    found = person.ask(f"{{ {field}{arguments % (f'{role} {place}' if foreign else id)} }}")[field]
                    assert (found is not None) == (id in ids and not (foreign and hides_persons)), (role, field, place)
                    node = person.ask(f'{{ node(id: "{id}") {{ id }} nodes(ids: ["{id}"]) {{ id }} }}')
                    assert (node["node"] is not None) == (node["nodes"][0] is not None) == (id in ids)
        entries = person.ask("{ history(last: 100) { nodes { aggregateId } } }")["history"]["nodes"]
        assert {one["aggregateId"] for one in entries} & everything <= ids
    for field, arguments in EVERYBODY_S.items():
        assert person.ask(f"{{ {field}{arguments} }}")[field], (role, field)
    for field in BY_ID_OF_EVERYBODY_S:
        kind = "staff_member" if field == "staffMember" else field
        assert person.ask(f'{{ {field}(id: "{acme.others[kind]}") {{ id }} }}')[field], (role, field)
    for number in (1, 2, 3):
        ticket = person.ask(f"{{ ticketByNumber(number: {number}) {{ id }} }}")["ticketByNumber"]
        assert ticket is None or ticket["id"] in seen(acme, matrix, person, "ticket")
    # All the deals began in one pipeline, and are open.
    moved = f'pipelineWaterfall(pipeline: "{acme.others["pipeline"]}", from: {{position: "0"}}) {{ created closing }}'
    deals = len(seen(acme, matrix, person, "opportunity"))
    assert person.ask(f"{{ {moved} }}")["pipelineWaterfall"] == {"created": deals, "closing": deals}
    manages = bool(matrix.scopes["MANAGE_ACCESS"][role])
    assert person.ask("{ apiTokens(first: 1) { totalCount } }")["apiTokens"]["totalCount"] == 0 or manages


def _ids(person: Person, field: str) -> Iterator[str]:
    for node in person.ask(f"{{ {field}(first: 100) {{ nodes {{ id }} }} }}")[field]["nodes"]:
        yield node["id"]


@pytest.mark.parametrize("role", ROLES)
def test_list_prices_are_for_whoever_sees_amounts(acme: Firm, role: str) -> None:
    """The product is everybody's; its price is no more to be had by asking for what is dear, or for what happened."""
    told = acme.people[role].ask(
        """query($id: ID!) {
            product(id: $id) { price { amount currency } hiddenFields history(first: 1) { nodes { data } } }
            dear: products(first: 1, where: {price: {gt: {amount: "4710", currency: EUR}}}) { totalCount }
        }""",
        {"id": acme.others["product"]},
    )
    [entry] = told["product"]["history"]["nodes"]
    found = (
        told["product"]["price"],
        "price" in told["product"]["hiddenFields"],
        (entry["data"]["price"], entry["data"]["currency"]),
        told["dear"]["totalCount"],
    )
    sees = documented().scopes["SEE_AMOUNTS"][role]
    price = {"amount": "4711.00", "currency": "EUR"}
    assert found == ((price, False, ("4711.00", "EUR"), 1) if sees else (None, True, (None, None), 0))


def test_what_a_rep_enters_is_seen_by_the_team(acme: Firm) -> None:
    rep, colleague = acme.people["Sales rep"], acme.people["Sales manager"]
    key = {"idempotencyKey": str(uuid4())}
    entered = rep.ask(
        "mutation($i: CustomerRegisterInput!)"
        " { customerRegister(input: $i) { customer { id owner { id } team { name } } userErrors { code } } }",
        {"i": {"kind": "PERSON", "name": "Walked in", **key}},
    )["customerRegister"]["customer"]
    assert entered == {"id": entered["id"], "owner": {"id": rep.id}, "team": {"name": "West"}}
    asked = "query($id: ID!) { customer(id: $id) { name } }"
    assert colleague.ask(asked, {"id": entered["id"]})["customer"] == {"name": "Walked in"}


@pytest.mark.parametrize("role", ROLES)
def test_every_subscription(acme: Firm, role: str) -> None:
    matrix, person = documented(), acme.people[role]
    cookie = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    origin = str(person.http.base_url)
    with acme.server.socket(additional_headers={"Cookie": cookie}, origin=origin) as websocket:
        client = Socket(websocket)
        client.send(type="connection_init", payload={})
        assert client.receive() == {"type": "connection_ack"}
        for at, ((kind, place), id) in enumerate(person.records.items()):
            stands = reaches(matrix, role, READ_BY[kind], place)
            client.subscribe(f'subscription {{ {kind}Changed(id: "{id}") {{ id }} }}', id=str(at))
            told = client.receive()
            assert told["type"] == "next", told
            found = told["payload"]["data"][f"{kind}Changed"]
            assert (found is not None) == stands, (role, kind, place)
            client.send(type="complete", id=str(at))
        client.subscribe("subscription { changes { position } }", id="book")
        told = client.receive()
        while told["id"] != "book":
            told = client.receive()
        if matrix.scopes["READ_BOOK"][role]:
            assert told["type"] == "next"
        else:
            assert (told["type"], told["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")


@pytest.mark.parametrize("role", ROLES)
def test_every_mutation(acme: Firm, role: str) -> None:
    """Allowed ones go through the door, where rules may still refuse them; denied ones say so, or know no record."""
    matrix, person = documented(), acme.people[role]
    mutations = SCHEMA.mutation_type
    assert isinstance(mutations, GraphQLObjectType)
    tried = 0
    for name, field in mutations.fields.items():
        if name in OF_SIGNING_IN or name in MANAGED:
            continue
        needed = matrix.needs[name]
        kinds = {decider.kind for decider in catalogue.deciders.values()}
        references = {kind: person.records[kind, "own"] for kind in READ_BY} | {
            **acme.others,
            "staff_member": person.id,
        }
        references |= {kind: str(acme.others.get(kind)) for kind in kinds if kind not in references}
        kind = Inputs(name, field, references).kind
        if kind == "staff_member":  # nobody deactivates themselves here
            references["staff_member"] = acme.others["staff_member"]
        begins = name in BEGINNINGS
        places = [place for of, place in person.records if of == kind] if kind in READ_BY and not begins else [""]
        for place in places:
            given = {**references, **({kind: person.records[kind, place]} if place else {})}
            input = Inputs(name, field, given).good() | {"idempotencyKey": str(uuid4())}  # noqa: A001
            typed = f"{name[0].upper()}{name[1:]}Input"
            answer = person.ask(
                f"mutation($i: {typed}!) {{ {name}(input: $i) {{ userErrors {{ code path }} }} }}", {"i": input}
            )[name]["userErrors"]
            codes = [error["code"] for error in answer]
            unknown = any(error["code"] == "UNKNOWN_ID" and error["path"] == ["id"] for error in answer)
            scope = matrix.scopes[needed][role]
            what = (role, name, place, json.dumps(answer))
            tried += 1
            if not scope:
                assert codes == ["NOT_ALLOWED"], what
            elif not place:
                assert "NOT_ALLOWED" not in codes, what
            elif not reaches(matrix, role, READ_BY[kind], place):
                assert unknown, what
            elif scope in REACHED[place]:
                assert "NOT_ALLOWED" not in codes, what
                assert not unknown, what
            else:
                assert codes == ["NOT_ALLOWED"], what
    assert tried > 200
    # On behalf of a colleague without a role: whoever may act for others is told what that one may not do.
    entered = "mutation($i: CustomerRegisterInput!) { customerRegister(input: $i) { userErrors { code } } }"
    variables = {"i": {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Walked in"}}
    body, headers = {"query": entered, "variables": variables}, {"Daybook-On-Behalf-Of": acme.others["staff_member"]}
    answer = person.http.post("/graphql", json=body, headers=headers, timeout=PATIENCE).json()
    if matrix.scopes["ACT_ON_BEHALF"][role]:
        assert answer["data"]["customerRegister"]["userErrors"] == [{"code": "NOT_ALLOWED_ON_BEHALF"}], role
    else:
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", role
    managed = person.ask(ISSUE, {"i": {"staffMember": acme.others["staff_member"]}})["passwordResetIssue"]
    assert bool(managed["token"]) == bool(matrix.scopes["MANAGE_ACCESS"][role]), (role, managed)
