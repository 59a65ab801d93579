"""Sequences of commands and reads over real HTTP, drawn from the schema: what was acknowledged can be read, whatever
was asked before; and nothing is a fault of ours.

schemathesis has a stateful phase, but for schemas whose mutations return the record itself; ours return payloads.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import uuid4

import httpx
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type, is_leaf_type
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from api.schema import the_schema
from domain.catalogue import camel, catalogue, mutation_name
from tests.api.bad_values import Inputs, id_prefixes
from tests.faults.processes import HEADERS, PATIENCE, Server, stopped_at_the_end
from tests.fuzzing.drawn import Drawing, Ids

SCHEMA: GraphQLSchema = the_schema()._schema
NOUNS = {camel(decider.kind): decider for decider in catalogue.deciders.values()}
CALLED = ("name", "title", "subject")
NAMED_BY = {"rename", "changeSubject", "changeSettings"}
NEEDED: Mapping[str, dict[str, Any]] = {
    "customer": {"name": "Ada"},
    "apiToken": {"grants": [{"permission": "READ_CUSTOMERS", "scope": "ALL"}]},
}
"""What a record can't begin without, but the schema does not say so."""
EXAMPLES, STEPS = 7, 30
LEAST_MUTATIONS = 80
"""Of a hundred, those that must have had an effect; without them only refusals were tested."""


class Sequences(RuleBasedStateMachine):
    """One client of a new book: another sequence has left nothing in it. What was acknowledged of each record is
    remembered: its version and what it is called.
    """

    acknowledged: ClassVar[set[str]] = set()
    """The mutations that had an effect."""
    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.http = self.stack.enter_context(httpx.Client(timeout=PATIENCE))
        self.server = self.stack.enter_context(self.serving())
        self.url = self.server.url
        self.ids = Ids()
        self.versions: dict[str, int] = {}
        self.names: dict[str, str | None] = {}
        self.last: tuple[str, dict[str, Any], dict[str, Any]] | None = None

    def serving(self) -> AbstractContextManager[Server]:
        """A server of its own."""
        raise NotImplementedError

    def send(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        response = self.http.post(self.url, content=body, headers={**HEADERS, "Content-Type": "application/json"})
        assert response.status_code < 500, response.text
        answer: dict[str, Any] = response.json()
        assert "INTERNAL" not in [error["extensions"]["code"] for error in answer.get("errors", ())], response.text
        assert "Traceback" not in response.text
        self.ids.take_up(response.text)
        return answer

    def command(self, mutation: str, noun: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """The payload of a mutation that was acknowledged; None where it was refused."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        # With the ids of its parts, for later ones.
        query = (
            f"mutation M($input: {kind}!) {{ {mutation}(input: $input) {{ position {noun} {{ {selection(of(noun))} }}"
        )
        answer = self.send(query + " userErrors { code path message } } }", {"input": given})
        if "errors" in answer:
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}, answer
            return None
        payload: dict[str, Any] = answer["data"][mutation]
        assert (payload[noun] is None) == bool(payload["userErrors"]), payload
        return None if payload["userErrors"] else payload

    def submit(self, data: st.DataObject, noun: str, verb: str, id: str | None, *, faulty: bool) -> str | None:
        """Draw a command and send it; the id of the record where it was acknowledged."""
        drawing = Drawing(data.draw, self.ids, id_prefixes(NOUNS[noun].commands[verb]), faulty=faulty)
        return self.send_command(noun, verb, id, drawing.value(get_named_type(field_of(noun, verb).args["input"].type)))

    def submit_good(self, data: st.DataObject, noun: str, verb: str, id: str | None) -> str | None:
        """The same with what may not be left out, which is good by itself, about records of earlier answers."""
        records = {prefix: data.draw(st.sampled_from(ids)) for prefix, ids in sorted(self.ids.known.items())}
        records |= {} if id is None else {NOUNS[noun].prefix: id}
        inputs = Inputs(mutation_name(NOUNS[noun], verb), field_of(noun, verb), records)
        return self.send_command(noun, verb, id, inputs.good() | (NEEDED.get(noun, {}) if id is None else {}))

    def send_command(self, noun: str, verb: str, id: str | None, given: dict[str, Any]) -> str | None:
        mutation = mutation_name(NOUNS[noun], verb)
        given |= {"idempotencyKey": str(uuid4())}
        if id is not None and noun != "company":  # of which there is one
            given |= {"id": id}
        payload = self.command(mutation, noun, given)
        if payload is None:
            return None
        self.acknowledged.add(mutation)
        record: str = payload[noun]["id"]
        self.last = (mutation, given, payload)
        # What was drawn in place of a text and is none would have been refused.
        for name in CALLED:
            if name in given and (record not in self.versions or verb in NAMED_BY):
                self.names[record] = given[name] and normal(given[name])
        self.versions[record] = payload[noun]["version"]
        return record

    @initialize(target=records, data=st.data())
    def begin_one_of_each(self, data: st.DataObject) -> Any:
        for noun, decider in sorted(NOUNS.items(), key=lambda each: each[0] == "opportunity"):  # it takes a pipeline
            for verb in (verb for verb, kind in decider.commands.items() if kind in decider.creates):
                self.submit_good(data, noun, verb, None)
        return multiple(*self.versions)

    @rule(target=records, data=st.data(), noun=st.sampled_from(sorted(NOUNS)), faulty=st.booleans())
    def begin(self, data: st.DataObject, noun: str, faulty: bool) -> Any:
        begins = [verb for verb, kind in NOUNS[noun].commands.items() if kind in NOUNS[noun].creates]
        record = self.submit(data, noun, data.draw(st.sampled_from(begins)), None, faulty=faulty)
        return multiple() if record is None else record

    @rule(data=st.data(), record=records, faulty=st.booleans())
    def change(self, data: st.DataObject, record: str, faulty: bool) -> None:
        noun = noun_of(record)
        verbs = [verb for verb, kind in NOUNS[noun].commands.items() if kind not in NOUNS[noun].creates]
        self.submit(data, noun, data.draw(st.sampled_from(verbs)), record, faulty=faulty)

    @rule(data=st.data(), nouns=st.lists(st.sampled_from(sorted(NOUNS)), min_size=1, max_size=3, unique=True))
    def change_in_every_way(self, data: st.DataObject, nouns: list[str]) -> None:
        for noun in nouns:
            if known := [record for record in self.versions if noun_of(record) == noun]:
                record = data.draw(st.sampled_from(known))
                verbs = [verb for verb, kind in NOUNS[noun].commands.items() if kind not in NOUNS[noun].creates]
                for verb in data.draw(st.permutations(verbs)):
                    self.submit_good(data, noun, verb, record)

    @rule(data=st.data(), record=records)
    def put_away(self, data: st.DataObject, record: str) -> None:
        noun = noun_of(record)
        if "archive" in NOUNS[noun].commands:
            self.submit(data, noun, "archive", record, faulty=False)

    @rule()
    def send_the_last_again(self) -> None:
        if self.last is not None:
            mutation, given, payload = self.last
            again = self.command(mutation, next(noun for noun in NOUNS if noun in payload), given)
            assert again is not None
            assert again["position"] == payload["position"], "the first receipt"

    @rule(record=records)
    def read(self, record: str) -> None:
        kind = of(noun_of(record))
        query = f"query R($id: ID!) {{ node(id: $id) {{ ... on {kind.name} {{ {selection(kind)} }} }} }}"
        answer = self.send(query, {"id": record})
        assert "errors" not in answer, answer
        found = answer["data"]["node"]
        assert (found["id"], found["version"]) == (record, self.versions[record])
        called = next(name for name in CALLED if name in kind.fields)
        assert found[called] == self.names.get(record)

    def teardown(self) -> None:
        with self.stack:
            for record in self.versions:
                self.read(record)
            self.server.wait_ready()
            said = self.http.get(self.url.replace("/graphql", "/readyz"))
            assert said.json()["parkedLanes"] == 0, said.text


def normal(text: str) -> str:
    """A line of text as commands keep it."""
    return unicodedata.normalize("NFC", text).strip()


def noun_of(record: str) -> str:
    return next(noun for noun, decider in NOUNS.items() if record.startswith(f"{decider.prefix}_"))


def field_of(noun: str, verb: str) -> GraphQLField:
    assert SCHEMA.mutation_type is not None
    found: GraphQLField = SCHEMA.mutation_type.fields[mutation_name(NOUNS[noun], verb)]
    return found


def of(noun: str) -> GraphQLObjectType:
    """The type of a kind of record."""
    kind = SCHEMA.type_map["".join(word.title() for word in NOUNS[noun].kind.split("_"))]
    assert isinstance(kind, GraphQLObjectType)
    return kind


def selection(of: GraphQLObjectType) -> str:
    """Every field of a record that needs no argument, of what stands below the plain ones."""
    found: list[str] = []
    for name, field in of.fields.items():
        kind = get_named_type(field.type)
        if is_leaf_type(kind):
            found.append(name)
        elif isinstance(kind, GraphQLObjectType) and not field.args:
            leaves = (key for key, one in kind.fields.items() if is_leaf_type(get_named_type(one.type)))
            found.append(f"{name} {{ {' '.join(leaves)} }}")
    return " ".join(found)


def test_what_was_acknowledged_can_be_read_whatever_was_asked(
    another_database: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    @contextmanager
    def serving() -> Iterator[Server]:
        with another_database() as database, TemporaryDirectory(dir=tmp_path) as directory:
            server = Server(database, Path(directory))
            with stopped_at_the_end(server):
                server.start()
                server.wait_ready()
                yield server
                assert "Traceback" not in server.log.read_text(encoding="utf-8")

    class Here(Sequences):
        def serving(self) -> AbstractContextManager[Server]:
            return serving()

    drawn = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # each step of shrinking would start a server
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Here, settings=drawn)
    assert len(Here.acknowledged) >= LEAST_MUTATIONS
