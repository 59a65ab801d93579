"""On whose behalf a command is given: kept with the entry, told wherever entries are, and no more than both may do."""

import json
import logging
import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from api.beginning import define_roles
from domain.kernel import new_id, type_id
from domain.ready_roles import READY
from infra.log.note import Signer
from tests.api.book import HEADERS
from tests.api.filled import opened
from tests.api.identity.signing_in import ISSUE, SIGN_OUT_EVERYWHERE, signed_in
from tests.api.listening import PATIENCE, Server, Socket, listening, until
from tests.api.test_command_line import OK, Shell
from verifier.daybook_verify_bundle import verify

BEHALF = "Daybook-On-Behalf-Of"
NOBODY = type_id("stf", new_id())
READ = "{ position }", None
NONE: Mapping[str, object] = {}
OF_A_PROGRAM = (
    "ACT_ON_BEHALF", "READ_CUSTOMERS", "REGISTER_CUSTOMERS", "WRITE_CUSTOMERS", "SEE_PERSONAL_DATA", "READ_BOOK",
    "REQUEST_ERASURE",
)  # fmt: skip
ENTRIES = """query($id: ID!, $for: String) { customer(id: $id) {
    history(first: 50, where: {onBehalfOf: {eq: $for}}) { nodes { position type actor onBehalfOf } } } }"""


class Firm(NamedTuple):
    server: Server
    shell: Shell
    people: Mapping[str, str]
    """Ids of staff members, by what they are."""
    roles: Mapping[str, str]
    program: Mapping[str, str]
    """The headers of a token that may act for others."""

    def send(
        self, asked: tuple[str, Any], headers: Mapping[str, object] = NONE, extensions: Any = None
    ) -> httpx.Response:
        """`headers`: a value, or several of one name."""
        sent = {"Accept": HEADERS["Accept"], **self.program, **headers}
        said: list[tuple[str, Any]] = []
        for name, values in sent.items():
            said += [(name, each) for each in (values if isinstance(values, list) else [values])]
        body = {"query": asked[0], "variables": asked[1]} | ({} if extensions is None else {"extensions": extensions})
        return httpx.post(f"{self.server.origin}/graphql", json=body, headers=said, timeout=PATIENCE)

    def command(self, mutation: str, person: str | None, **given: Any) -> dict[str, Any]:
        """The payload of a command of the program's, on behalf of a person."""
        headers = {} if person is None else {BEHALF: person}
        answer = self.send(commanded(mutation, **given), headers).json()
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"][mutation]
        return payload

    def codes(self, mutation: str, person: str | None, **given: Any) -> list[tuple[str, list[str]]]:
        """The rules that it breaks, where it breaks any nothing is entered."""
        before = self.position
        payload = self.command(mutation, person, **given)
        found = [(error["code"], error["path"]) for error in payload["userErrors"]]
        assert (self.position == before) == bool(found)
        return found

    @property
    def vkey(self) -> str:
        return str(Signer.read((self.shell.folder / "signing.key").read_text().strip()).verifier)

    @property
    def position(self) -> int:
        (last,) = self.server.post("{ history(last: 1) { nodes { position } } }")["history"]["nodes"]
        return int(last["position"])

    def refused(self, answer: httpx.Response) -> tuple[int, str, str]:
        [error] = answer.json()["errors"]
        return answer.status_code, error["extensions"]["code"], error["message"]


def commanded(mutation: str, **given: Any) -> tuple[str, dict[str, Any]]:
    name = mutation[0].upper() + mutation[1:] + "Input"
    selection = "customer { id owner { id } } position userErrors { code path message }"
    document = f"mutation M($input: {name}!) {{ {mutation}(input: $input) {{ {selection} }} }}"
    return document, {"input": {"idempotencyKey": str(uuid4()), **given}}


def registered(name: str = "Ada") -> dict[str, str]:
    return {"kind": "PERSON", "name": name}


@pytest.fixture(scope="module")
def firm(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    folder = tmp_path_factory.mktemp("behalf")
    with opened(module_database, folder) as parts:
        define_roles(parts, READY)
    with listening(module_database, folder, log_access=True) as server:
        team = server.mutate("teamCreate", "team { id }", name="West")["team"]["id"]  # what came before is there then
        found = server.post("{ roles(first: 20) { nodes { id name } } }")["roles"]["nodes"]
        roles = {one["name"]: one["id"] for one in found}

        def hired(name: str, role: str | None) -> str:
            given = {"name": name, "email": f"{name.lower()}@acme.example", "team": team}
            id: str = server.mutate("staffMemberRegister", "staffMember { id }", **given)["staffMember"]["id"]
            if role is not None:
                server.mutate("staffMemberGrantRole", id=id, role=roles[role])
            return id

        people = {
            "rep": hired("Rosa", "Sales rep"),
            "colleague": hired("Max", "Sales rep"),
            "auditor": hired("Nina", "Auditor"),
            "chief": hired("Eva", "Administrator"),
            "roleless": hired("Otto", None),
        }
        yield Firm(server, Shell(module_database, folder), people, roles, server.token(*OF_A_PROGRAM))


def test_for_whom_it_was_is_told_wherever_entries_are(firm: Firm) -> None:
    rosa = firm.people["rep"]
    with firm.server.connected() as client:
        client.subscribe("subscription { changes { position change { type onBehalfOf actor } } }")
        client.next("changes")
        new = firm.command("customerRegister", rosa, **registered())["customer"]
        assert firm.codes("customerRename", rosa, id=new["id"], name="Ada Byron", reason="She rang up") == []
        told = [one["change"] for one in (client.next("changes"), client.next("changes"))]
    # What Rosa would lose as soon as it is entered, she looks after.
    assert new["owner"] == {"id": rosa}
    entries = firm.server.post(ENTRIES, {"id": new["id"], "for": rosa})["customer"]["history"]["nodes"]
    assert [(one["type"], one["onBehalfOf"]) for one in entries] == [
        ("CustomerRegistered", rosa),
        ("CustomerRenamed", rosa),
    ]
    [actor] = {one["actor"] for one in entries}
    assert actor.startswith("token:tok_")
    assert told == [{key: one[key] for key in ("type", "onBehalfOf", "actor")} for one in entries]

    why = 'query($id: ID!) { whyValue(id: $id, field: "name") { entry { actor onBehalfOf reason } } }'
    entry = firm.server.post(why, {"id": new["id"]})["whyValue"]["entry"]
    assert entry == {"actor": actor, "onBehalfOf": rosa, "reason": "She rang up"}
    assert f"by {actor} for {rosa}" in said(firm, "why", new["id"], "name")
    assert json.loads(said(firm, "why", new["id"], "name", "--json"))["entry"]["onBehalfOf"] == rosa
    assert said(firm, "replay", new["id"]).count(f"{actor} for {rosa}") == 2
    page, bundle = firm.shell.folder / "story.html", firm.shell.folder / "ada.bundle.json"
    said(firm, "replay", new["id"], "--html", str(page))
    assert page.read_text().count(f"{actor} for {rosa}") == 2
    said(firm, "bundle", new["id"], "-o", str(bundle))
    assert "".join(verify(bundle.read_bytes(), firm.vkey).story).count(f"by {actor} for {rosa}") == 2
    exported = firm.server.mutate("customerExportPersonalData", "personalData", id=new["id"], reason="She asks")
    assert {one["onBehalfOf"] for one in exported["personalData"]["entries"][:2]} == {rosa}


def said(firm: Firm, *arguments: str) -> str:
    done = firm.shell.run(*arguments)
    assert done.returncode == OK, done
    return done.stdout


def test_it_takes_both_to_be_allowed(firm: Firm) -> None:
    rosa, max_, nina, otto = (firm.people[one] for one in ("rep", "colleague", "auditor", "roleless"))
    own, teams = (firm.command("customerRegister", one, **registered())["customer"]["id"] for one in (rosa, max_))
    nobodys = firm.command("customerRegister", None, **registered())["customer"]["id"]
    rename = {"name": "Ada King"}
    # A rep writes the own customers, reads those of the team, and knows of no others; the token may change all.
    assert firm.codes("customerRename", rosa, id=own, **rename) == []
    assert firm.codes("customerRename", rosa, id=teams, **rename) == [("NOT_ALLOWED_ON_BEHALF", [])]
    assert firm.codes("customerRename", rosa, id=nobodys, **rename) == [("UNKNOWN_ID", ["id"])]
    assert firm.codes("customerRename", nina, id=own, name="x") == [("NOT_ALLOWED_ON_BEHALF", [])]
    assert firm.codes("customerRegister", otto, **registered()) == [("NOT_ALLOWED_ON_BEHALF", [])]
    assert firm.codes("customerRegister", rosa, owner=max_, **registered()) == [("NOT_ALLOWED_ON_BEHALF", [])]
    # Rosa may tag her customers, the token may not: acting for her gives it nothing.
    assert firm.codes("customerAddTag", rosa, id=own, tag="VIP") == [("NOT_ALLOWED", [])]
    assert firm.codes("customerAddTag", firm.people["chief"], id=own, tag="VIP") == [("NOT_ALLOWED", [])]
    assert firm.codes("customerRename", None, id=teams, **rename) == []
    # Nor does it see more: Rosa would be shown the name.
    blind = firm.server.token("ACT_ON_BEHALF", "READ_CUSTOMERS", "WRITE_CUSTOMERS")
    document, given = commanded("customerRename", id=own, name="Ada Lovelace")
    shown = firm.send((document.replace("owner { id }", "name"), given), {BEHALF: rosa, **blind}).json()
    assert shown["data"]["customerRename"]["customer"] == {"id": own, "name": None}


def test_whoever_may_not_or_names_nobody_is_told_so(firm: Firm) -> None:
    rosa, plain = firm.people["rep"], firm.server.token("READ_CUSTOMERS", "REGISTER_CUSTOMERS")
    left = firm.server.mutate("staffMemberRegister", "staffMember { id }", name="Ida")["staffMember"]["id"]
    firm.server.mutate("staffMemberDeactivate", id=left)
    asked, before = commanded("customerRegister", **registered()), firm.position
    bad, no = (400, "BAD_REQUEST"), (403, "FORBIDDEN")
    messages = dict[str, str]()
    for what, answer, expected in (
        ("unknown", firm.send(asked, {BEHALF: NOBODY}), no),
        ("left", firm.send(asked, {BEHALF: left}), no),
        ("not a person", firm.send(asked, {BEHALF: NOBODY.replace("stf_", "cus_")}), bad),
        ("a name", firm.send(asked, {BEHALF: "Rosa"}), bad),
        ("nothing", firm.send(asked, {BEHALF: ""}), bad),
        ("no letters", firm.send(asked, {BEHALF: "stf_\xe9\xff".encode("latin-1")}), bad),
        ("a list", firm.send(asked, {BEHALF: f"{rosa}, {rosa}"}), bad),
        ("twice", firm.send(asked, {BEHALF: [rosa, rosa]}), bad),
        ("in both places", firm.send(asked, {BEHALF: rosa}, {"onBehalfOf": rosa}), bad),
        ("null", firm.send(asked, NONE, {"onBehalfOf": None}), bad),
        ("a number", firm.send(asked, NONE, {"onBehalfOf": 7}), bad),
        ("an object", firm.send(asked, NONE, {"onBehalfOf": {"id": rosa}}), bad),
        ("with a query", firm.send(READ, {BEHALF: rosa}), bad),
        ("with a query, inside", firm.send(READ, NONE, {"onBehalfOf": rosa}), bad),
        ("without permission", firm.send(asked, {BEHALF: rosa, **plain}), no),
        ("without permission, unknown", firm.send(asked, {BEHALF: NOBODY, **plain}), no),
    ):
        status, code, messages[what] = firm.refused(answer)
        assert (status, code) == expected, (what, answer.text)
        assert not any(word in answer.text for word in (rosa, NOBODY, left, "Traceback")), what
    assert messages["unknown"] == messages["left"]
    assert messages["without permission"] == messages["without permission, unknown"]
    assert "ACT_ON_BEHALF" in messages["without permission"]
    assert firm.position == before
    # As soon as the person is back, it goes; in one's own name it always did.
    firm.server.mutate("staffMemberReactivate", id=left, reason="She is back")
    firm.server.mutate("staffMemberGrantRole", id=left, role=firm.roles["Sales rep"])
    assert firm.codes("customerRegister", left, **registered()) == []
    assert firm.send(asked, NONE, {"onBehalfOf": rosa}).json()["data"]["customerRegister"]["userErrors"] == []


def test_a_person_acts_for_another_in_a_session(firm: Firm, caplog: pytest.LogCaptureFixture) -> None:
    eva, rosa = firm.people["chief"], firm.people["rep"]
    with signed_in(firm.server, eva, "eva@acme.example") as http:

        def sent(query: str, given: Any, person: str) -> Any:
            return http.post("/graphql", json={"query": query, "variables": given}, headers={BEHALF: person})

        log = logging.getLogger("daybook.access")
        log.addHandler(caplog.handler)
        answer = sent(*commanded("customerRegister", **registered("Bea")), rosa).json()
        # A line is written after its answer is sent: that of an earlier test's last request may come now too.
        until(lambda: any(eva in line for line in caplog.messages))
        log.removeHandler(caplog.handler)
        [line] = [json.loads(line) for line in caplog.messages if eva in line]
        assert (line["actor"], line["onBehalfOf"]) == (f"user:{eva}", rosa)
        id = answer["data"]["customerRegister"]["customer"]["id"]
        [entry] = firm.server.post(ENTRIES, {"id": id, "for": rosa})["customer"]["history"]["nodes"]
        assert (entry["actor"], entry["onBehalfOf"]) == (f"user:{eva}", rosa)
        assert firm.refused(sent(*commanded("customerRegister", **registered()), eva))[:2] == (400, "BAD_REQUEST")
        # What is no entry of the book could not say on whose behalf it was.
        for query, given in (
            (ISSUE, {"i": {"staffMember": rosa}}),
            (SIGN_OUT_EVERYWHERE, {"i": {"staffMember": rosa}}),
            ("mutation { signOut { staffMemberId } }", None),
        ):
            [error] = sent(query, given, rosa).json()["errors"]
            assert error["extensions"]["code"] == "BAD_REQUEST", query


def test_the_same_key_for_another_is_another_request(firm: Firm) -> None:
    rosa, eva = firm.people["rep"], firm.people["chief"]
    id = firm.command("customerRegister", rosa, **registered("Cy"))["customer"]["id"]
    asked = {"id": id, "name": "Cyril", "idempotencyKey": str(uuid4())}
    first = firm.command("customerRename", rosa, **asked)
    assert first["userErrors"] == []
    assert firm.command("customerRename", rosa, **asked) == first
    for person in (eva, None):
        again = firm.command("customerRename", person, **asked)
        codes = [(error["code"], error["path"]) for error in again["userErrors"]]
        assert codes == [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])], again


def test_an_erasure_is_asked_for_and_approved_in_ones_own_name(firm: Firm) -> None:
    eva = firm.people["chief"]
    id = firm.command("customerRegister", None, **registered("Dan"))["customer"]["id"]
    asked = {"id": id, "ground": "PERSON_ASKED", "reason": "A letter"}
    by_a_program: tuple[str, list[str]] = ("ASKED_BY_A_PERSON", [])
    assert firm.codes("customerRequestErasure", eva, **asked) == [("IN_OWN_NAME", []), by_a_program]
    assert firm.codes("customerRequestErasure", None, **asked) == [by_a_program], "whoever issued it could approve"
    firm.server.mutate("customerRequestErasure", **asked)
    approval = commanded("customerErasePersonalData", id=id, reason="Checked")
    approved = firm.send(approval, {**HEADERS, BEHALF: eva}).json()["data"]["customerErasePersonalData"]
    assert [error["code"] for error in approved["userErrors"]] == ["IN_OWN_NAME", "APPROVED_BY_ANOTHER"]


def test_over_a_websocket_each_mutation_says_it(firm: Firm) -> None:
    rosa = firm.people["rep"]
    query, given = commanded("customerRegister", **registered("Flo"))
    with firm.server.socket() as websocket:
        client = Socket(websocket)
        client.send(type="connection_init", payload=dict(firm.program))
        assert client.receive() == {"type": "connection_ack"}

        def sent(query: str, given: Any, person: object) -> dict[str, Any]:
            payload = {"query": query, "variables": given, "extensions": {"onBehalfOf": person}}
            client.send(id="1", type="subscribe", payload=payload)
            return client.receive()

        for refused, code in (
            (sent(query, given, NOBODY), "FORBIDDEN"),
            (sent(query, given, "Rosa"), "BAD_REQUEST"),
            (sent("{ position }", None, rosa), "BAD_REQUEST"),
            (sent("subscription { changes { position } }", None, rosa), "BAD_REQUEST"),
        ):
            assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", code)
        done = sent(query, given, rosa)
        id = done["payload"]["data"]["customerRegister"]["customer"]["id"]
        assert client.receive() == {"id": "1", "type": "complete"}
    entries = firm.server.post(ENTRIES, {"id": id, "for": rosa})["customer"]["history"]["nodes"]
    assert [one["type"] for one in entries] == ["CustomerRegistered"]


def test_an_operation_that_was_given_up_leaves_nobody_to_the_next_of_its_id(firm: Firm) -> None:
    query, given = commanded("customerRegister", **registered("Ivo"))
    with firm.server.socket() as websocket:
        client = Socket(websocket)
        client.send(type="connection_init", payload=dict(firm.program))
        assert client.receive() == {"type": "connection_ack"}
        # All at once: the first has not begun when it is given up.
        websocket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        behalf = {"onBehalfOf": firm.people["rep"]}
        client.send(id="1", type="subscribe", payload={"query": query, "variables": given, "extensions": behalf})
        client.send(id="1", type="complete")
        client.send(id="1", type="subscribe", payload={"query": query, "variables": given})
        websocket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        id = client.receive()["payload"]["data"]["customerRegister"]["customer"]["id"]
    told = firm.server.post(
        "query($id: ID!) { customer(id: $id) { history(first: 9) { nodes { onBehalfOf } } } }", {"id": id}
    )
    assert told["customer"]["history"]["nodes"] == [{"onBehalfOf": None}]


@pytest.mark.parametrize("where", ["header", "connection_init"])
def test_a_connection_is_ones_own(firm: Firm, where: str) -> None:
    """It would be heard by none of its operations."""
    said = {BEHALF: firm.people["rep"]}
    headers = {**firm.program, **(said if where == "header" else {})}
    with firm.server.socket(additional_headers=headers) as websocket:
        client = Socket(websocket)
        client.send(type="connection_init", payload=said if where == "connection_init" else {})
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert "extensions.onBehalfOf" in closed.value.rcvd.reason


def test_who_is_deactivated_is_acted_for_no_more(firm: Firm) -> None:
    id = firm.server.mutate("staffMemberRegister", "staffMember { id }", name="Gil")["staffMember"]["id"]
    firm.server.mutate("staffMemberGrantRole", id=id, role=firm.roles["Sales rep"])
    assert firm.codes("customerRegister", id, **registered()) == []
    firm.server.mutate("staffMemberRevokeRole", id=id, role=firm.roles["Sales rep"])
    assert firm.codes("customerRegister", id, **registered()) == [("NOT_ALLOWED_ON_BEHALF", [])]
    firm.server.mutate("staffMemberDeactivate", id=id)
    until(lambda: firm.send(commanded("customerRegister", **registered()), {BEHALF: id}).status_code == 403)
