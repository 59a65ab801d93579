"""schemathesis's documents, sent as each ready role in a session of its own: nobody learns or does what is not theirs.

schemathesis's command line knows one caller, and no variables. Here its strategies draw and its checks judge, but we
send: each document as all eight roles, and passwords where they belong.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import schemathesis
from graphql import GraphQLSyntaxError, parse, print_ast
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from api.limits import MOST_CHARACTERS, MOST_TOKENS
from tests.api.identity.role_document import ROLES, documented
from tests.api.listening import Operator
from tests.docs.blocks import ROOT
from tests.faults.processes import HEADERS, Server, stopped_at_the_end
from tests.faults.report import FULL, seeds
from tests.fuzzing.everything import everything
from tests.fuzzing.planted import Book, found_in, planted
from tests.fuzzing.repairs import SCHEMA, lists, repaired, take_up
from tests.fuzzing.rewritten import WITH_PASSWORDS, request, telling, wider

DRAWN = settings(
    database=None,
    phases=[Phase.generate],  # what is sent changes the book: the same again is not the same
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
Case: TypeAlias = schemathesis.Case[Any]
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]

QUERIES, MUTATIONS, FAULTY = (40, 20, 10) if FULL else (3, 1, 1)
"""Documents that are drawn for each query field, for each mutation, and with a fault in them."""
ONE_IN = 1 if FULL else 3
"""Of how many operations one is sent with faults, which are refused before it matters who sends them."""

JSON = {"Content-Type": "application/json"}
LAST = ("signOut", "signOutEverywhere")
"""End the sessions with which the others are sent."""
MOVE = {
    "customerAssignOwner", "opportunityReassign", "ticketAssign", "ticketChangeQueue", "ticketEscalate",
    "teamAssignLead", "queueAssignTeam", "staffMemberJoinTeam", "staffMemberGrantRole",
    "staffMemberRevokeRole", "staffMemberDeactivate", "staffMemberReactivate", "roleChangeGrants", "roleRetire",
    "customerUnmask", "customerExportPersonalData",
}  # fmt: skip
"""Change who reads what, or show what is hidden: they are sent as those who may not."""

FAULTS = {"BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_REQUEST", "QUERY_TOO_COMPLEX"}
"""What may be wrong with a document."""
INNARDS = re.compile(
    r"Traceback|\.py\b|site-packages|psycopg|asyncpg|graphql\.error|daybook_(read|access|keys)|\bpg_|relation \"|"
    r"syntax error at or near|SELECT .* FROM|select .* from|\bat 0x[0-9a-f]+"
)
"""How a leak of ours would look; a drawn text does not."""
LEAST_REFUSED = 0.15
"""Of the mutations that a role has no permission for: refused for that, and not for a broken rule of the input."""
LEAST_TOLD = 30
"""Secrets that the administrator must have been told; without them nothing could leak."""


class Fuzzing:
    """What was sent, and what came of it."""

    def __init__(self, book: Book) -> None:
        self._book, self._matrix = book, documented()
        self._needs = {**self._matrix.needs, "passwordResetIssue": "MANAGE_ACCESS"}
        self._hidden = {role: book.hidden_from(role) for role in ROLES}
        self._words = {secret.word for secret in book.secrets}
        self.told: defaultdict[str, set[str]] = defaultdict(set)
        self.denied: defaultdict[str, set[str]] = defaultdict(set)
        """By role: the mutations that it has no permission for, and of these what was refused for that alone."""
        self.refused: defaultdict[str, set[str]] = defaultdict(set)
        self._turn = 0
        self.outcomes: Counter[str] = Counter()

    def send(self, case: Case) -> None:
        """As everybody, one after the other."""
        for role in ROLES:
            self._send(case, role)

    def send_in_turn(self, case: Case) -> None:
        """As one of all."""
        self._turn += 1
        self._send(case, ROLES[self._turn % len(ROLES)])

    def _send(self, case: Case, role: str) -> None:
        assert isinstance(case.body, str)
        mutation = name_of(case.operation)
        needed = self._needs.get(mutation)
        denied = needed is not None and not self._matrix.scopes[needed][role]
        if mutation in MOVE and not denied:
            return
        body = request(case.body, mutation)
        response = self._book.people[role].post("/graphql", content=json.dumps(body), headers=JSON)
        what = (role, body, response.status_code, response.text)
        assert response.status_code < 500, what
        assert not INNARDS.search(response.text), what
        told = found_in(response.text, self._words)
        assert not told & self._hidden[role], (told & self._hidden[role], *what)
        self.told[role] |= told
        answer = response.json()
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        self.outcomes.update(codes or {"data"})
        if mutation in WITH_PASSWORDS:
            assert codes <= {*FAULTS, "THROTTLED"}, what
            given = (body["variables"].get("i") or {}).values()
            assert not any(isinstance(one, str) and len(one) > 11 and one in response.text for one in given), what
        elif mutation in LAST and codes == {"UNAUTHENTICATED"}:
            assert response.status_code == 401, what
        else:
            assert codes <= FAULTS, what
            case.validate_response(response)
            take_up(response.text)
        if denied and "errors" not in answer:
            self._is_refused(answer["data"], role, mutation, what)

    def may_act(self, role: str) -> bool:
        """Whether they may do anything of what is sent as them."""
        needs = (needed for mutation, needed in self._needs.items() if mutation not in MOVE)
        return any(self._matrix.scopes[needed][role] for needed in needs)

    def _is_refused(self, data: dict[str, Any], role: str, mutation: str, what: object) -> None:
        """Whatever it selects, no field of a refusal has anything to say of an effect."""
        self.denied[role].add(mutation)
        for payload in data.values():
            assert payload["told"], what
            assert payload["done"] is None, what
            codes = [error["code"] for error in payload["told"]]
            if "NOT_ALLOWED" in codes:
                assert codes == ["NOT_ALLOWED"], what
                self.refused[role].add(mutation)


def name_of(operation: Operation) -> str:
    """Of a field of the schema."""
    return operation.label.partition(".")[2]


def is_query(operation: Operation) -> bool:
    return operation.label.startswith("Query.")


def as_sent(case: Case) -> Case:
    """About records that there are; and with what a refusal is known by, whatever else a mutation selects."""
    assert case.meta is not None
    assert isinstance(case.body, str)
    if case.meta.generation.mode.is_positive:
        document = repaired(parse(case.body))
        if document is None:  # a scalar of ours does not take what was drawn for it
            reject()
        case.body = print_ast(wider(document) if is_query(case.operation) else telling(document))
        if not is_within_limits(case.body):  # by what we have added, and rightly refused
            reject()
    return case


def is_within_limits(document: str) -> bool:
    """Whether it is no longer than a document may be."""
    try:
        parse(document, max_tokens=MOST_TOKENS)
    except GraphQLSyntaxError:
        return False
    return len(document) <= MOST_CHARACTERS


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[Server]:
    server = Server(database, tmp_path)
    with stopped_at_the_end(server):
        server.start()
        server.wait_ready()
        yield server
        assert "Traceback" not in server.log.read_text(encoding="utf-8")


@pytest.fixture
def book(server: Server) -> Iterator[Book]:
    operator = Operator(server.port, HEADERS)
    with planted(operator) as book:
        take_up(json.dumps(operator.post(lists())))
        yield book


@pytest.mark.campaign
@pytest.mark.parametrize("at", seeds(1, 10))
def test_nobody_is_told_or_does_what_is_not_theirs(book: Book, at: int) -> None:
    asked_for_everything_tells_each_what_is_theirs(book)
    follows_who_may(book)
    fuzzing = Fuzzing(book)
    schema = schemathesis.graphql.from_path(ROOT / "schema.graphql")
    operations = [operation for root in schema for operation in schema[root].values()]
    for number, operation in enumerate(sorted(operations, key=lambda one: name_of(one) in LAST), at):
        many = QUERIES if is_query(operation) else MUTATIONS
        draw(operation, GenerationMode.POSITIVE, many, at, fuzzing.send)
        if number % ONE_IN == 0:
            draw(operation, GenerationMode.NEGATIVE, FAULTY, at, fuzzing.send_in_turn)
    assert len(fuzzing.told["Administrator"]) >= LEAST_TOLD
    for role, denied in fuzzing.denied.items():
        assert len(fuzzing.refused[role]) >= len(denied) * LEAST_REFUSED, (role, denied - fuzzing.refused[role])
    assert book.acted() <= {role for role in ROLES if fuzzing.may_act(role)}


def draw(operation: Operation, mode: GenerationMode, many: int, at: int, send: Callable[[Case], None]) -> None:
    drawn = 0

    @seed(at)
    @settings(DRAWN, max_examples=many + 1)
    @given(case=operation.as_strategy(generation_mode=mode))
    def sends(case: Case) -> None:
        nonlocal drawn
        drawn += 1
        if drawn > 1:  # the first one is the simplest there is, whatever the seed: the command line sends it
            send(as_sent(case))

    sends()


def asked_for_everything_tells_each_what_is_theirs(book: Book) -> None:
    words = {secret.word for secret in book.secrets}
    for role, http in book.people.items():
        told: set[str] = set()
        for query in everything(SCHEMA):
            answer = http.post("/graphql", json={"query": query})
            assert "errors" not in answer.json(), (role, query, answer.text)
            told |= found_in(answer.text, words)
        theirs = words - book.hidden_from(role)
        assert told == theirs, (role, [one for one in book.secrets if one.word in told ^ theirs])


def follows_who_may(book: Book) -> None:
    """The changes tell what of an entry is hidden as little as the history does."""
    words, last = {secret.word for secret in book.secrets}, book.last_position()
    query = 'subscription { changes(after: "0") { position change { reason data } } }'
    for role, http in book.people.items():
        headers = {"Accept": "text/event-stream"}
        with http.stream("POST", "/graphql", json={"query": query}, headers=headers) as response:
            told = ""
            for line in response.iter_lines():
                told += line
                if f'"position":"{last}"' in line or '"errors"' in line:
                    break
        if documented().scopes["READ_BOOK"][role]:
            assert found_in(told, words), role
            assert found_in(told, words) <= book.in_clear_to(role), role
        else:
            assert '"FORBIDDEN"' in told, (role, told)
            assert not found_in(told, words)
