"""Mutations over the real application: every command is there, refusals are data, retries are safe."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLNonNull, GraphQLObjectType

from api.limits import MOST_COST
from domain.appending import BookUnavailable
from domain.catalogue import catalogue, mutation_name
from domain.kernel import Rule
from tests.api.book import HEADERS, Client, serving
from tests.api.listening import listening
from tests.api.printed import printed_schema
from tests.databases import forget_receipts

pytestmark = pytest.mark.anyio

ERRORS = "userErrors { code message path parameters ... on VersionConflict { expected actual } }"


async def a_customer(client: Client, **given: Any) -> dict[str, Any]:
    payload = await client.mutate(
        "customerRegister", f"customer {{ id version }} {ERRORS}", **{"kind": "PERSON", "name": "Ada", **given}
    )
    assert payload["userErrors"] == []
    customer: dict[str, Any] = payload["customer"]
    return customer


ABOUT_ACCESS = {
    "signIn", "signOut", "signOutEverywhere", "passwordChange", "passwordReset", "passwordResetIssue",
}  # fmt: skip
"""No commands on records: nothing of them stands in the book."""


MORE = {
    "apiTokenIssue": ("IssuedPayload", {"secret"}),
    "customerUnmask": ("UnmaskedPayload", {"auditBundle"}),
    "customerExportPersonalData": ("ExportedPayload", {"personalData"}),
}
"""The payloads of these say more than the others'."""


def test_every_command_is_a_mutation_with_one_input_and_the_payload_of_its_aggregate() -> None:
    mutations = printed_schema().mutation_type
    assert mutations is not None
    expected = {
        mutation_name(decider, verb): decider.kind
        for decider in catalogue.deciders.values()
        for verb in decider.commands
    }
    assert set(mutations.fields) == set(expected) | ABOUT_ACCESS
    for name in expected:
        field = mutations.fields[name]
        payload = field.type
        assert isinstance(payload, GraphQLObjectType), "nullable: one mutation of several may fail alone"
        suffix, more = MORE.get(name, ("Payload", set[str]()))
        noun = payload.name.removesuffix(suffix)
        assert noun.lower() == expected[name].replace("_", "")
        assert set(payload.fields) == {noun[0].lower() + noun[1:], "position", "userErrors"} | more
        assert set(field.args) == {"input"}
        required = field.args["input"].type
        assert isinstance(required, GraphQLNonNull)
        given = required.of_type
        assert isinstance(given, GraphQLInputObjectType)
        assert str(given.fields["idempotencyKey"].type) == "UUID!"
        assert str(given.fields["expectedVersion"].type) == "Int"
        assert "reason" in given.fields


def test_the_error_codes_are_the_rules() -> None:
    codes = printed_schema().type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    ours = {code for code, rule in Rule.known.items() if not rule.__module__.startswith("tests")}
    assert set(codes.values) == ours
    said = "The text has {length} characters; at most {longest} are allowed."
    assert codes.values["TEXT_TOO_LONG"].description == said


SIGN_IN = "signIn(input: {email: $password, password: $password})"


@pytest.mark.parametrize(
    ("field", "more", "said"),
    [("signOut", "", "Argument 'if' has invalid value"), (SIGN_IN, ", $password: String!", "The variables do not fit")],
)
def test_null_decides_about_no_root_field(database: str, tmp_path: Path, field: str, more: str, said: str) -> None:
    """It fits the variable, for that has a default, and not the directive: over HTTP and a WebSocket, it is said so."""
    text = f"mutation($yes: Boolean = true{more}) {{ {field} @include(if: $yes) {{ staffMemberId }} }}"
    given = {"yes": None, "password": "five blue bicycles"}
    with listening(database, tmp_path, projections=False) as server, server.connected() as client:
        body = {"query": text, "variables": given}
        over_http = httpx.post(f"{server.origin}/graphql", json=body, headers=HEADERS).json()["errors"]
        for errors in (over_http, client.subscribe(text, given).receive()["payload"]):
            assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]
            assert errors[0]["message"].startswith(said)


async def test_a_mutation_reads_its_own_write(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        payload = await client.mutate(
            "customerRegister",
            "mine: customer { id called: name version kind contactPoints { value primary } } position " + ERRORS,
            kind="PERSON",
            name="Ada Lovelace",
            contactPoints=[{"kind": "EMAIL", "value": "ada@example.com"}],
        )
        assert payload["userErrors"] == []
        assert payload["position"] == "1"
        assert payload["mine"].pop("id").startswith("cus_")
        assert payload["mine"] == {
            "called": "Ada Lovelace",
            "version": 1,
            "kind": "PERSON",
            "contactPoints": [{"value": "ada@example.com", "primary": True}],
        }


async def test_a_refused_command_is_data_and_names_every_fault(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        payload = await client.mutate(
            "customerRegister",
            "customer { id } position " + ERRORS,
            kind="PERSON",
            name="x" * 201,
            contactPoints=[{"kind": "EMAIL", "value": "ada@example.com"}, {"kind": "EMAIL", "value": "no address"}],
            owner="cus_01h455vb4pex5vsknk084sn02q",
        )
        assert payload["customer"] is None
        assert payload["position"] is None
        found = {error["code"]: error for error in payload["userErrors"]}
        assert found["TEXT_TOO_LONG"]["path"] == ["name"]
        assert found["TEXT_TOO_LONG"]["parameters"] == {"length": 201, "longest": 200}
        assert found["TEXT_TOO_LONG"]["message"] == "The text has 201 characters; at most 200 are allowed."
        assert found["EMAIL_MALFORMED"]["path"] == ["contactPoints", "1", "value"]
        assert found["ID_OF_ANOTHER_KIND"]["path"] == ["owner"]
        assert await client.data("{ history(first: 1) { nodes { type } } }") == {"history": {"nodes": []}}


async def test_a_repeated_key_has_one_effect_and_the_first_receipt(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        key = str(uuid4())
        selection = "customer { id name } position " + ERRORS
        first = await client.mutate("customerRegister", selection, kind="PERSON", name="Ada", idempotencyKey=key)
        await client.mutate("customerRename", "position", id=first["customer"]["id"], name="Ada Lovelace")
        again = await client.mutate("customerRegister", selection, kind="PERSON", name="Ada", idempotencyKey=key)
        assert (again["position"], again["customer"]["id"]) == (first["position"], first["customer"]["id"])
        assert again["customer"]["name"] == "Ada Lovelace", "the selection is read now"
        other = await client.mutate("customerRegister", selection, kind="PERSON", name="Bob", idempotencyKey=key)
        assert other["customer"] is None
        assert [(error["code"], error["path"]) for error in other["userErrors"]] == [
            ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
        ]


async def test_a_retry_of_what_begins_with_parts_is_the_same_request(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        asked: dict[str, Any] = {"kind": "PERSON", "name": "Ada", "idempotencyKey": str(uuid4())}
        points = [{"kind": "PHONE", "value": "+41446681800"}, {"kind": "EMAIL", "value": "ada@example.com"}]
        selection = f"customer {{ id contactPoints {{ id value }} }} position {ERRORS}"
        first, again = [await client.mutate("customerRegister", selection, **asked, contactPoints=points) for _ in "12"]
        assert first["userErrors"] == []
        assert len(first["customer"]["contactPoints"]) == 2
        assert again == first
        other = await client.mutate("customerRegister", selection, **asked, contactPoints=points[:1])
        assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_a_retry_is_the_same_request_wherever_the_company_has_moved_since(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        home = {"name": "Ours", "timeZone": "Europe/Zurich", "currency": "CHF", "language": "de", "phoneRegion": "CH"}
        assert (await client.mutate("companyDefine", ERRORS, **home))["userErrors"] == []
        phone = {"kind": "PHONE", "value": "044 668 18 00"}
        asked: dict[str, Any] = {"kind": "PERSON", "contactPoints": [phone], "idempotencyKey": str(uuid4())}
        first = await client.mutate("customerRegister", f"customer {{ id }} {ERRORS}", **asked)
        assert first["userErrors"] == []
        assert (await client.mutate("companyChangeSettings", ERRORS, phoneRegion="DE"))["userErrors"] == []
        assert await client.mutate("customerRegister", f"customer {{ id }} {ERRORS}", **asked) == first


async def test_parts_of_two_records_never_have_one_id(database: str, tmp_path: Path) -> None:
    """Keys may be given again when their receipts are gone, after 30 days."""
    async with serving(database, tmp_path) as client:
        key, phone = str(uuid4()), {"kind": "PHONE", "value": "+41446681800"}
        selection = f"customer {{ id }} {ERRORS}"
        ids: list[str] = []
        for name in ("First", "Second"):
            begun = await client.mutate(
                "customerRegister", selection, kind="PERSON", name=name, contactPoints=[phone], idempotencyKey=key
            )
            assert begun["userErrors"] == []
            ids.append(begun["customer"]["id"])
            forget_receipts(database)
            noted = await client.mutate("customerAddNote", selection, id=ids[-1], text="Called.", idempotencyKey=key)
            assert noted["userErrors"] == []
            forget_receipts(database)
        parts = "contactPoints { id value } notes(first: 9) { nodes { id text } }"
        shown = (await client.data(f"{{ customers(first: 9) {{ nodes {{ id {parts} }} }} }}"))["customers"]["nodes"]
        assert sorted(one["id"] for one in shown) == sorted(ids)
        assert [[point["value"] for point in one["contactPoints"]] for one in shown] == 2 * [["+41446681800"]]
        assert [[note["text"] for note in one["notes"]["nodes"]] for one in shown] == 2 * [["Called."]]
        assert len({part["id"] for one in shown for part in one["contactPoints"] + one["notes"]["nodes"]}) == 4


async def test_a_note_is_not_added_twice_however_late_the_retry(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        id, key = (await a_customer(client))["id"], str(uuid4())
        selection = f"customer {{ version notes(first: 9) {{ nodes {{ id text }} }} }} position {ERRORS}"
        first = await client.mutate("customerAddNote", selection, id=id, text="Called.", idempotencyKey=key)
        assert len(first["customer"]["notes"]["nodes"]) == 1
        forget_receipts(database)
        assert await client.mutate("customerAddNote", selection, id=id, text="Called.", idempotencyKey=key) == first


async def test_settings_of_a_company_that_is_not_defined_yet_are_refused_with_what_to_do(
    database: str, tmp_path: Path
) -> None:
    async with serving(database, tmp_path) as client:
        payload = await client.mutate("companyChangeSettings", "company { id } " + ERRORS, name="Ours")
        assert payload["company"] is None
        assert [(error["code"], error["path"]) for error in payload["userErrors"]] == [("COMPANY_NOT_DEFINED", [])]
        assert "companyDefine" in payload["userErrors"][0]["message"]


async def test_a_stale_version_is_refused_with_both_versions(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        customer = await a_customer(client)
        renamed = {"id": customer["id"], "expectedVersion": customer["version"]}
        assert (await client.mutate("customerRename", ERRORS, name="Ada L.", **renamed))["userErrors"] == []
        (error,) = (await client.mutate("customerRename", ERRORS, name="Ada K.", **renamed))["userErrors"]
        assert error["code"] == "VERSION_CONFLICT"
        assert error["path"] == ["expectedVersion"]
        assert (error["expected"], error["actual"]) == (1, 2)


async def test_who_is_restored_takes_no_address_that_another_has_since(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        address = [{"kind": "EMAIL", "value": "ada@example.com"}]
        id = (await a_customer(client, contactPoints=address, sharedEmailReason="a couple"))["id"]
        assert (await client.mutate("customerArchive", ERRORS, id=id))["userErrors"] == []
        await a_customer(client, contactPoints=address)
        (error,) = (await client.mutate("customerRestore", ERRORS, id=id))["userErrors"]
        assert error["code"] == "EMAIL_TAKEN"
        shared = await client.mutate("customerRestore", ERRORS, id=id, sharedEmailReason="a couple")
        assert shared["userErrors"] == []


async def test_a_product_whose_code_another_has_is_sold_again_under_another_code(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:

        async def product(mutation: str, /, **given: Any) -> dict[str, Any]:
            payload: dict[str, Any] = await client.mutate(mutation, f"product {{ id code status }} {ERRORS}", **given)
            return payload

        def refused(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
            return [(error["code"], error["path"]) for error in payload["userErrors"]]

        old = (await product("productAdd", name="Old", code="G-1"))["product"]["id"]
        await product("productDiscontinue", id=old)
        new = (await product("productAdd", name="New", code="g-1"))["product"]["id"]
        assert refused(await product("productResume", id=old)) == [("PRODUCT_CODE_TAKEN", [])]
        await product("productChangeCode", id=old, code="G-0")
        resumed = await product("productResume", id=old)
        assert resumed["product"] == {"id": old, "code": "G-0", "status": "ACTIVE"}
        assert refused(await product("productChangeCode", id=old, code="G-1")) == [("PRODUCT_CODE_TAKEN", ["code"])]
        # What is given up is free in the same moment, and what is taken is taken.
        assert (await product("productChangeCode", id=new, code=None))["product"]["code"] is None
        assert (await product("productChangeCode", id=old, code="G-1"))["product"]["code"] == "G-1"
        assert refused(await product("productAdd", name="Third", code="G-1")) == [("PRODUCT_CODE_TAKEN", ["code"])]
        assert (await product("productAdd", name="Third", code="G-0"))["userErrors"] == []
        found = await client.data('{ products(first: 9, search: "G-0") { nodes { name } } }')
        assert found["products"] == {"nodes": [{"name": "Third"}]}


async def test_another_expected_version_is_no_other_input(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        customer = await a_customer(client)
        renamed = {"id": customer["id"], "name": "Ada L.", "idempotencyKey": str(uuid4())}
        selection = f"position {ERRORS}"
        first = await client.mutate("customerRename", selection, expectedVersion=customer["version"], **renamed)
        assert first["userErrors"] == []
        for version in (customer["version"] + 1, 4711, None):
            assert await client.mutate("customerRename", selection, expectedVersion=version, **renamed) == first


async def test_what_is_left_out_stays_and_null_clears(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        id = (await a_customer(client))["id"]
        selection = "customer { jobTitle salutation } " + ERRORS
        both = await client.mutate("customerChangeDetails", selection, id=id, jobTitle="CFO", salutation="Dr.")
        assert both["customer"] == {"jobTitle": "CFO", "salutation": "Dr."}
        cleared = await client.mutate("customerChangeDetails", selection, id=id, jobTitle=None)
        assert cleared["customer"] == {"jobTitle": None, "salutation": "Dr."}


async def test_mutations_of_one_document_run_one_after_another(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        id = (await a_customer(client))["id"]
        names = ["one", "two", "three"]
        document = "mutation {{ {} }}".format(
            " ".join(
                f'{name}: customerRename(input: {{idempotencyKey: "{uuid4()}", id: "{id}", name: "{name}"}})'
                " { customer { name version } position }"
                for name in names
            )
        )
        answers = await client.data(document)
        assert list(answers) == names
        assert [answer["customer"] for answer in answers.values()] == [
            {"name": name, "version": at} for at, name in enumerate(names, 2)
        ]
        assert [answer["position"] for answer in answers.values()] == ["2", "3", "4"]


async def test_without_read_models_the_committed_mutation_still_answers(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, patience=0.2) as client:
        key = str(uuid4())
        answer = await client.post(
            "mutation M($input: CustomerRegisterInput!)"
            " { customerRegister(input: $input) { customer { id } position } }",
            {"input": {"kind": "PERSON", "name": "Ada", "idempotencyKey": key}},
        )
        assert answer.status_code == 200
        assert answer.json() == {
            "data": {"customerRegister": {"customer": None, "position": "1"}},
            "extensions": {"cost": {"requested": 11, "limit": MOST_COST}, "readModel": "BEHIND"},
        }
    async with serving(database, tmp_path) as client:
        later = await client.mutate(
            "customerRegister", "customer { name } position", kind="PERSON", name="Ada", idempotencyKey=key
        )
        assert later == {"customer": {"name": "Ada"}, "position": "1"}


@pytest.mark.parametrize("field", ["name", "reason", "source"])
async def test_half_a_surrogate_pair_is_refused_by_name(database: str, tmp_path: Path, field: str) -> None:
    async with serving(database, tmp_path) as client:
        given = {"kind": "PERSON", "name": "Ada", "idempotencyKey": str(uuid4()), field: "a\ud800b"}
        document = (
            "mutation M($input: CustomerRegisterInput!) { customerRegister(input: $input) { position " + ERRORS + " } }"
        )
        body = json.dumps({"query": document, "variables": {"input": given}}).encode()
        answer = await client.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
        (error,) = answer.json()["data"]["customerRegister"]["userErrors"]
        assert (error["code"], error["path"]) == ("TEXT_NOT_UNICODE", [field])


async def test_amounts_come_back_as_they_were_sent(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        id = (await a_customer(client, kind="ORGANISATION"))["id"]
        # As a JSON number: a float would have made 90071992547.409 of it.
        body = (
            '{"query": "mutation M($a: Decimal, $i: ID!, $k: UUID!) { customerChangeDetails(input: {idempotencyKey: $k,'
            " id: $i, annualRevenue: $a, revenueCurrency: EUR}) { customer { annualRevenue { amount currency } } "
            'userErrors { code path } } }",'
            f'"variables": {{"a": 900719925474.09, "i": "{id}", "k": "{uuid4()}"}}}}'
        )
        answer = await client.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
        assert answer.json()["data"]["customerChangeDetails"] == {
            "customer": {"annualRevenue": {"amount": "900719925474.09", "currency": "EUR"}},
            "userErrors": [],
        }


async def test_a_parked_lane_says_so_at_once(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, patience=30.0) as client:
        id = (await a_customer(client))["id"]
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("ALTER TABLE daybook_read.customers ADD CHECK (name <> 'Poison')")
        document = (
            "mutation M($input: CustomerRenameInput!) { customerRename(input: $input) { customer { id } position } }"
        )
        given = {"id": id, "name": "Poison", "idempotencyKey": str(uuid4())}
        answer = (await client.post(document, {"input": given})).json()
        assert answer == {
            "data": {"customerRename": {"customer": None, "position": "2"}},
            "extensions": {"cost": {"requested": 11, "limit": MOST_COST}, "readModel": "PARKED"},
        }
        assert await a_customer(client, name="Bob"), "the others go on"


async def test_when_the_book_does_not_answer_the_client_is_told_to_repeat_with_the_same_key(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise BookUnavailable("secret host and port")

    async with serving(database, tmp_path) as client:
        monkeypatch.setattr("api.commands.Commands.submit", away)
        mutation = 'customerRegister(input: {kind: PERSON, name: "Ada", idempotencyKey: $key}) { position }'
        document = f"mutation M($key: UUID!) {{ first: {mutation} second: {mutation} }}"
        answer = (await client.post(document, {"key": str(uuid4())})).json()
        assert answer["data"] == {"first": None, "second": None}
        assert [error["path"] for error in answer["errors"]] == [["first"], ["second"]]
        for error in answer["errors"]:
            assert error["extensions"]["code"] == "UNAVAILABLE"
            assert "same idempotencyKey" in error["message"]
            assert "secret" not in error["message"]


async def test_why_the_book_does_not_answer_is_told_to_the_operator_alone(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("infra.committer.PATIENCE", 0.5)
    async with serving(database, tmp_path) as client:
        id = (await a_customer(client))["id"]
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(FULL_DISK)
        mutation = "mutation M($input: CustomerRenameInput!) { customerRename(input: $input) { position } }"
        given = {"id": id, "name": "Ada", "idempotencyKey": str(uuid4())}
        answer = (await client.post(mutation, {"input": given})).json()
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert "device" not in str(answer)
    [line] = [one for one in caplog.messages if error["extensions"]["requestId"] in one]
    assert line.endswith("(DiskFull: could not extend a file: No space left on device).")


FULL_DISK = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend a file: No space left on device' USING ERRCODE = '53100', DETAIL = 'A row.';
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON daybook.events EXECUTE FUNCTION full_disk();
"""
