"""Whoever follows a record is told at once what an erasure has left of it, once for all; and nothing else is kept."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from api.execution import Answer
from api.reading.reader import Reader
from domain.customer import PERSONAL_DATA_ERASED
from tests.api.identity.signing_in import somebody
from tests.api.listening import Operator, Server, Socket, listening, until
from tests.api.test_event_stream import streamed
from tests.api.test_event_stream import told as events_of
from tests.api.test_live import counted

PERSON, SUBJECT, TITLE = "Quirinus Zzyzx", "Quastenfrage", "Quastengeschäft"


def followed(noun: str, selection: str) -> str:
    return f"subscription Follow($id: ID!) {{ {noun}Changed(id: $id) {{ {selection} }} }}"


PLAINLY = followed("ticket", "status")
TICKET = followed("ticket", "subject customer { name }")
AFTER = followed("ticket", "subject follows { subject }")
DEAL = followed("opportunity", "title customer { name }")
CUSTOMER = followed("customer", "name erasure")
FEED = "subscription Follow($after: Position) { changes(after: $after) { position change { type data } } }"


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[Server]:
    with listening(database, tmp_path) as server:
        yield server


class Told:
    """A person about whom there are a ticket and a deal, and somebody else, whose ticket follows the person's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.person, self.other = server.customer(PERSON), server.customer("Rosalind")
        asked = {"channel": "EMAIL", "kind": "QUESTION"}
        self.ticket = self._opened("ticket", customer=self.person, subject=SUBJECT, **asked)
        server.mutate("ticketSolve", id=self.ticket, code="ANSWERED")
        self.after = self._opened("ticket", customer=self.other, subject="Ypsilon", follows=self.ticket, **asked)
        stage = {"name": "New", "probability": "10", "category": "PIPELINE", "idleDays": 9}
        defined = server.mutate("pipelineDefine", "pipeline { id }", name="Sales", stages=[stage])
        self.deal = self._opened("opportunity", customer=self.person, pipeline=defined["pipeline"]["id"], title=TITLE)

        with somebody(server) as http:
            cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
            self._rosa = Operator(server.port, {**http.headers, "Cookie": cookie})

    def erase(self) -> None:
        """Asked for by one, approved by another; carried out by the server."""
        self._rosa.mutate("customerRequestErasure", id=self.person, ground="PERSON_ASKED", reason="A letter")
        self.server.mutate("customerErasePersonalData", id=self.person, reason="Checked")

    def _opened(self, noun: str, **given: Any) -> str:
        id: str = self.server.mutate(f"{noun}Open", f"{noun} {{ id }} userErrors {{ message }}", **given)[noun]["id"]
        return id


def kept() -> list[bytes]:
    """What this process, which is the server's too, keeps of answers that tell of the person."""
    gc.collect()
    answers = [one.encoded for one in gc.get_objects() if isinstance(one, Answer)]
    return [one for one in answers if any(each.encode() in one for each in (PERSON, SUBJECT, TITLE))]


def test_whoever_follows_a_record_is_told_what_an_erasure_has_left_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(server)
    follow = {
        "ticket": (TICKET, told.ticket, {"subject": SUBJECT, "customer": {"name": PERSON}}),
        "opportunity": (DEAL, told.deal, {"title": TITLE, "customer": {"name": PERSON}}),
        # What is shown of a person over a relation is no less theirs, whatever wakes it otherwise.
        "after": (AFTER, told.after, {"subject": "Ypsilon", "follows": {"subject": SUBJECT}}),
    }
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connected()) for _ in range(5)]
        for query, id, before in follow.values():
            for client in clients:
                client.subscribe(query, {"id": id}, id=query)
                assert told_by(client) == (query, before)
        events = events_of(stack.enter_context(streamed(server, TICKET, {"id": told.ticket})))
        assert next(events)[1]["data"]["ticketChanged"] == follow["ticket"][2]
        assert len(kept()) == len(follow), "or it could not be seen that they are gone"
        reads = counted(monkeypatch, Reader, "select")
        told.erase()
        left = {
            TICKET: {"subject": None, "customer": {"name": None}},
            DEAL: {"title": None, "customer": {"name": None}},
            AFTER: {"subject": "Ypsilon", "follows": {"subject": None}},
        }
        for client in clients:
            assert dict(told_by(client) for _ in left) == left
        assert next(events)[1]["data"]["ticketChanged"] == left[TICKET]
        assert len(reads) == len(follow), "sixteen subscribers, and nothing was read twice"
        until(lambda: not kept())


def test_the_feed_keeps_nothing_that_it_told_before(server: Server) -> None:
    """Not even until the next entry: none need come for days."""
    told = Told(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connected()) for _ in range(3)]
        for client, after in zip(clients, ("0", None, None), strict=True):
            client.subscribe(FEED, {"after": after})
        server.mutate("customerRename", id=told.person, name=f"{PERSON} II")
        for client in clients:
            told_until(client, "CustomerRenamed")
        assert kept(), "or it could not be seen that it is gone"
        told.erase()
        for client in clients:
            told_until(client, PERSONAL_DATA_ERASED[-1])
        until(lambda: not kept())


def test_the_person_s_own_followers_are_told_too(server: Server) -> None:
    told = Told(server)
    with server.connected() as client:
        client.subscribe(CUSTOMER, {"id": told.person})
        assert client.next("customerChanged") == {"name": PERSON, "erasure": None}
        told.erase()
        while (now := client.next("customerChanged"))["erasure"] != "ERASED":
            assert now["name"] == PERSON
        assert now["name"] is None


def test_who_sees_no_difference_is_told_nothing(server: Server) -> None:
    """Neither whose selection shows nothing personal, nor who does not see the record: of both nothing has changed."""
    told = Told(server)
    with server.connected() as client, server.socket(additional_headers=server.token("CONFIGURE")) as websocket:
        blind = Socket(websocket).send(type="connection_init")
        assert blind.receive() == {"type": "connection_ack"}
        blind.subscribe(TICKET, {"id": told.ticket})
        assert blind.next("ticketChanged") is None
        client.subscribe(PLAINLY, {"id": told.ticket}, id="plainly")
        client.subscribe(CUSTOMER, {"id": told.other}, id="other")
        assert sorted(told_by(client)[0] for _ in range(2)) == ["other", "plainly"]
        client.subscribe(TICKET, {"id": told.ticket}, id="ticket")
        assert told_by(client)[0] == "ticket"
        told.erase()
        assert told_by(client)[0] == "ticket", "and here it is known that all were woken"
        server.mutate("customerRename", id=told.other, name="Rosalind Ypsilon")
        assert told_by(client) == ("other", {"name": "Rosalind Ypsilon", "erasure": None})
        server.mutate("ticketClose", id=told.ticket)
        closed = set[str]()
        while closed != {"plainly", "ticket"}:
            closed |= {told_by(client)[0]} - {"other"}  # it may have shown its name before its own entry told of it
        blind.subscribe("{ __typename }", id="last")
        assert told_by(blind) == ("last", "Query")


def told_until(client: Socket, event: str) -> None:
    """Take what the feed tells, up to an entry of this name."""
    while (client.next("changes")["change"] or {}).get("type") != event:
        pass


def told_by(client: Socket) -> tuple[str, Any]:
    """Of the next message, whose it is and what it says."""
    message = client.receive()
    assert message["type"] == "next", message
    [said] = message["payload"]["data"].values()
    return message["id"], said
