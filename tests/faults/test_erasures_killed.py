"""An erasure that is killed at any of its steps is carried out all the same, once; and no backup takes it back."""

import subprocess
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from domain.kernel import parse_type_id
from infra.embedded.software import wheel_binaries
from infra.erasure.ledger import Ledger
from tests.api.book import why
from tests.api.identity.signing_in import somebody
from tests.api.listening import Operator
from tests.faults.processes import HEADERS, PATIENCE, Server, stopped_at_the_end, until
from tests.faults.report import FULL
from tests.postgres import MAJOR
from tests.projections.comparison import rows_in

POINTS = {
    "erasure-begun": (False, False),
    "erasure-in-ledger": (True, False),
    "erasure-unnoted": (True, True),
    "erasure-noted": (True, True),
}
"""Where it is killed, and what has happened by then: whether the ledger tells of it, and whether the keys are gone."""

TRIED = POINTS if FULL else ("erasure-in-ledger", "erasure-unnoted")


class Desk:
    """Whoever sits at a server."""

    def __init__(self, server: Server, browser: httpx.Client | None = None) -> None:
        """`browser`: of whoever signed in there; nobody did at the operator's."""
        self.server, self.browser = server, browser

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        if self.browser is not None:
            answer = self.browser.post("/graphql", json=body).json()
        else:
            answer = httpx.post(self.server.url, json=body, headers=HEADERS, timeout=PATIENCE).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def do(self, mutation: str, selection: str = "position", **given: Any) -> dict[str, Any]:
        name = mutation[0].upper() + mutation[1:]
        query = f"mutation($i: {name}Input!) {{ {mutation}(input: $i) {{ {selection} userErrors {{ code }} }} }}"
        payload: dict[str, Any] = self.ask(query, i={"idempotencyKey": str(uuid4()), **why(mutation), **given})[
            mutation
        ]
        assert payload["userErrors"] == [], payload
        return payload

    def register(self, name: str) -> str:
        id: str = self.do("customerRegister", "customer { id }", kind="PERSON", name=name)["customer"]["id"]
        return id

    def shown(self, id: str) -> tuple[str | None, str]:
        found = self.ask("query($id: ID!) { customer(id: $id) { name status } }", id=id)["customer"]
        return found["name"], found["status"]

    def is_erased(self, id: str) -> bool:
        return self.shown(id) == (None, "ERASED")


def test_killed_anywhere_and_restored_from_a_backup(database: str, bare_database: str, tmp_path: Path) -> None:
    server, ledger = Server(database, tmp_path), Ledger(tmp_path / "erasures.jsonl")
    desk = Desk(server)
    with stopped_at_the_end(server), ExitStack() as stack:
        server.start()
        server.wait_alive()
        rosa = Desk(server, stack.enter_context(somebody(Operator(server.port, HEADERS))))
        people = {point: desk.register(f"Quirinus {point}") for point in TRIED}
        stays = desk.register("Rosalind")
        backup = tmp_path / "book.dump"
        _run("pg_dump", "--format", "custom", "--file", str(backup), "--dbname", database)
        for point, id in people.items():
            rosa.do("customerRequestErasure", id=id, ground="PERSON_ASKED", reason="Letter")
            server.stop()
            server.start(point)
            server.wait_alive()
            approve = {"id": id, "reason": "Checked", "idempotencyKey": str(uuid4())}
            with suppress(httpx.TransportError):  # it may be killed before it has answered
                desk.do("customerErasePersonalData", **approve)
            server.wait_killed()
            assert (_uuid(id) in ledger.erased(), _destroyed(database, id)) == POINTS[point], point
            server.start()
            server.wait_alive()
            desk.do("customerErasePersonalData", **approve)
            until(partial(desk.is_erased, id), "it is carried out")
            assert _receipts(database, id) == 1, point
            assert _uuid(id) in ledger.erased()
        assert desk.shown(stays) == ("Rosalind", "ACTIVE")
        assert server.stop() == 0

    _run("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname", bare_database, str(backup))
    with psycopg.connect(bare_database) as db:
        assert "Quirinus" in str(rows_in(db)), "the backup holds them, or nothing is shown here"
    again = Server(bare_database, tmp_path, name="restored")
    with stopped_at_the_end(again):
        again.start()
        again.wait_alive()
        for id in people.values():
            assert Desk(again).shown(id) == (None, "ERASED"), again.tail()
            assert (_destroyed(bare_database, id), _receipts(bare_database, id)) == (True, 1)
        assert Desk(again).shown(stays) == ("Rosalind", "ACTIVE")
        with psycopg.connect(bare_database) as db:
            assert "Quirinus" not in str(rows_in(db))


def _run(program: str, *arguments: str) -> None:
    subprocess.run([wheel_binaries(MAJOR) / program, *arguments], check=True)


def _uuid(id: str) -> UUID:
    return parse_type_id(id)[1]


def _destroyed(database: str, id: str) -> bool:
    with psycopg.connect(database) as db:
        [(gone,)] = db.execute("SELECT wrapped IS NULL FROM daybook_keys.subjects WHERE subject = %s", (_uuid(id),))
    return bool(gone)


def _receipts(database: str, id: str) -> int:
    with psycopg.connect(database) as db:
        [(receipts,)] = db.execute(
            "SELECT count(*) FROM daybook.events WHERE topic = 'CustomerPersonalDataErased.2' AND originator_id = %s",
            (_uuid(id),),
        )
    return int(receipts)
