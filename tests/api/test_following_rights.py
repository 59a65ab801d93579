"""The feed tells of what happened to records that one does not see that it happened, and nothing of what was said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.kernel.permissions import Permission, Scope
from domain.ready_roles import READY
from tests.api.identity.signing_in import signed_in
from tests.api.listening import Server, Socket, listening

CHANGES = """
subscription Feed($after: Position) {
  changes(after: $after) {
    position change { type aggregateKind aggregateId version actor reason data withheld hiddenFields }
  }
}
"""
EMAIL = "anna@house.example"
SECRETS = ("Mine Ltd", "mine@house.example", "Theirs Ltd", "theirs@house.example", "A secret deal", "4711.00", "Help!")


class House:
    """A customer of Anna's and one of nobody's, with a deal and a ticket, in a book that is followed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        given = {"kind": "ORGANISATION", "reason": "they called"}
        self.anna = self._made("staffMemberRegister", "staffMember", name="Anna", email=EMAIL)
        self.other = self._made("staffMemberRegister", "staffMember", name="Bea")
        pipeline = self._made(
            "pipelineDefine", "pipeline", name="Sales", currency="EUR",
            stages=[{"name": "New", "probability": "20", "category": "PIPELINE"}],
        )  # fmt: skip
        self.ids = [
            self._made("customerRegister", "customer", name="Mine Ltd", owner=self.anna, **given,
                        contactPoints=[{"kind": "EMAIL", "value": "mine@house.example"}]),
            self._made("customerRegister", "customer", name="Theirs Ltd", **given,
                        contactPoints=[{"kind": "EMAIL", "value": "theirs@house.example"}]),
            self._made("opportunityOpen", "opportunity", title="A secret deal", pipeline=pipeline,
                        amount="4711.00", currency="EUR"),
            self._made("ticketOpen", "ticket", subject="Help!", channel="EMAIL"),
        ]  # fmt: skip

    def may(self, **grants: Scope) -> None:
        """Anna may do these things from now on."""
        given = [{"permission": name, "scope": scope.name} for name, scope in grants.items()]
        role = self._made("roleDefine", "role", name=f"Role of {len(grants)}", grants=given)
        self.server.mutate("staffMemberGrantRole", id=self.anna, role=role)

    def _made(self, mutation: str, noun: str, **given: Any) -> str:
        payload = self.server.mutate(mutation, f"{noun} {{ id }} userErrors {{ message path }}", **given)
        assert payload["userErrors"] == [], payload
        id: str = payload[noun]["id"]
        return id

    def told(self, client: Socket, id: str = "1") -> list[dict[str, Any]]:
        """What the whole feed tells somebody of the records, up to its end."""
        end = self.server.mutate("customerAddTag", id=self.ids[0], tag=f"mark {id}")["position"]
        client.subscribe(CHANGES, {"after": "0"}, id=id)
        found = list[dict[str, Any]]()
        while True:
            message = client.receive()
            assert message["type"] == "next", message
            told = message["payload"]["data"]["changes"]
            found += [told["change"]] if told["change"] else []
            if int(told["position"]) >= int(end):
                return [one for one in found if one["aggregateId"] in self.ids]


@pytest.fixture
def house(database: str, tmp_path: Path) -> Iterator[House]:
    with listening(database, tmp_path) as server:
        yield House(server)


@contextmanager
def connected(server: Server, **headers: str) -> Iterator[Socket]:
    with server.socket(additional_headers=headers, origin=f"http://127.0.0.1:{server.port}") as websocket:
        client = Socket(websocket).send(type="connection_init", payload={})
        assert client.receive() == {"type": "connection_ack"}
        yield client


@contextmanager
def anna(house: House) -> Iterator[tuple[Socket, Socket]]:
    """Two connections of hers."""
    with signed_in(house.server, house.anna, EMAIL) as http:
        cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        with connected(house.server, Cookie=cookie) as one, connected(house.server, Cookie=cookie) as other:
            yield one, other


def hidden(change: dict[str, Any]) -> bool:
    """Whether nothing is told but that there is an entry; fails where that is told in part."""
    nothing = change["reason"] is None and all(value is None for value in change["data"].values())
    assert nothing == (change["withheld"] == [*change["data"]]) == (change["hiddenFields"] == ["reason"]), change
    return nothing


def test_of_a_kind_that_one_may_not_read_only_that_there_are_entries(house: House) -> None:
    with connected(house.server, **house.server.token("READ_BOOK", "SEE_PERSONAL_DATA", "SEE_AMOUNTS")) as client:
        told = house.told(client)
    assert [one["aggregateId"] for one in told[:4]] == house.ids
    assert (told[0]["type"], told[0]["aggregateKind"], told[0]["version"]) == ("CustomerRegistered", "customer", 1)
    assert told[0]["actor"] == "administrator"
    assert all(map(hidden, told))
    assert not [secret for secret in SECRETS if secret in repr(told)]


def test_of_one_s_own_records_all_is_told_and_of_others_only_that_there_are_entries(house: House) -> None:
    house.may(READ_BOOK=Scope.ALL, SEE_PERSONAL_DATA=Scope.ALL, READ_CUSTOMERS=Scope.OWN, READ_TICKETS=Scope.ALL)
    with anna(house) as (client, later):
        told = house.told(client)
        assert {one["aggregateId"] for one in told if not hidden(one)} == {house.ids[0], house.ids[3]}
        assert (told[0]["data"]["name"], told[0]["reason"], told[0]["withheld"]) == ("Mine Ltd", "they called", [])
        assert "Theirs" not in repr(told)
        house.server.mutate("customerAddTag", id=house.ids[0], tag="still mine")
        assert "still mine" in repr(client.next("changes"))
        house.server.mutate("customerAssignOwner", id=house.ids[0], owner=house.other)
        told = house.told(later)  # while the first one, who asked the same, goes on following
        assert {one["aggregateId"] for one in told if not hidden(one)} == {house.ids[3]}


@pytest.mark.parametrize("role", ["auditor", "integrator", "administrator"])
def test_the_ready_roles_are_told_of_every_record(house: House, role: str) -> None:
    [grants] = [one.grants for one in READY if one.key == role]
    house.may(**{one.permission.name: one.scope for one in grants})
    personal = Permission.SEE_PERSONAL_DATA in {one.permission for one in grants}
    with anna(house) as (client, _):
        told = house.told(client)
    assert {one["aggregateId"] for one in told if one["type"] == "OpportunityOpened"} == {house.ids[2]}
    for one in told:
        assert one["hiddenFields"] == ([] if personal else ["reason"])
        assert (one["withheld"] == []) == personal or one["type"] not in ("CustomerRegistered", "OpportunityOpened")
    [deal] = [one for one in told if one["type"] == "OpportunityOpened"]
    assert deal["data"]["amount"] == "4711.00"
