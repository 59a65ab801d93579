"""Signed checkpoints in the feed: beside the entries, verifiable, and never counted among them."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.log.checkpoint import read
from infra.log.leaf import encoded
from infra.log.note import Signer
from infra.log.proving import witness_request
from infra.log.tree import leaf_hash
from tests.api.listening import Socket, listening
from tests.infra.log.naive import root
from tests.infra.log.superuser import disarm, forge_last, run
from verifier.daybook_verify_bundle import read_checkpoint, read_vkey

FEED = """
subscription ($after: Position, $checkpoints: Boolean!, $types: [String!]) {
  changes(after: $after, checkpoints: $checkpoints, types: $types) {
    position change { position type } checkpoint { origin size root note }
  }
}
"""


def until_signed(client: Socket, size: int) -> list[dict[str, Any]]:
    """Messages up to the one with the checkpoint over so many entries."""
    messages: list[dict[str, Any]] = []
    while not messages or int((messages[-1]["checkpoint"] or {"size": "-1"})["size"]) < size:
        messages.append(client.next("changes"))
    return messages


def told(messages: list[dict[str, Any]]) -> list[int]:
    return [int(one["position"]) for one in messages if one["change"]]


def test_checkpoints_come_beside_the_entries_and_go_on_from_each_other(database: str, tmp_path: Path) -> None:
    with listening(database, tmp_path) as server:
        server.customer("Before")
        with server.connected() as client, server.connected() as plain, server.connected() as later:
            client.subscribe(FEED, {"after": "0", "checkpoints": True})
            plain.subscribe(FEED, {"after": "0", "checkpoints": False})
            first = until_signed(client, 1)
            server.customer("Meanwhile")
            second = until_signed(client, 2)
            # Whoever comes later, with conditions, goes on from a checkpoint's message as from any other.
            conditions = {"after": second[-1]["position"], "checkpoints": True, "types": ["CustomerRegistered"]}
            began = later.subscribe(FEED, conditions).next("changes")
            server.customer("Afterwards")
            third = until_signed(client, 3)
            resumed = until_signed(later, 3)
            told_plainly = [plain.next("changes") for _ in range(4)]
    assert [told(first), told(second), told(third), told(resumed)] == [[1], [2], [3], [3]]
    for messages in (first, second, third, resumed):
        at = [int(one["position"]) for one in messages]
        assert at == sorted(at)
        assert all(one["change"] is None for one in messages if one["checkpoint"]), "it is no entry"
    assert (began["position"], began["checkpoint"]["size"]) == ("2", "2")
    assert [(one["position"], one["checkpoint"]) for one in told_plainly] == [(str(at), None) for at in range(4)]
    assert told(told_plainly) == [1, 2, 3]

    signer = Signer.read((tmp_path / "signing.key").read_text().strip())
    with psycopg.connect(database) as db:
        leaves = [leaf_hash(leaf) for leaf in encoded(db)]
        for messages in (first, second, third):
            shown = messages[-1]["checkpoint"]
            found = read_checkpoint(shown["note"], *read_vkey(str(signer.verifier)))
            assert (found.origin, found.size) == (shown["origin"], int(shown["size"]))
            assert b64encode(found.root).decode() == shown["root"]
            assert found.root == root(leaves[: found.size]), "the next ones begin with all that it is over"
        note = first[-1]["checkpoint"]["note"]
        assert witness_request(db, read(note)).endswith(third[-1]["checkpoint"]["note"]), "a witness goes on from it"


def test_a_checkpoint_that_was_forged_is_told_to_nobody(database: str, superuser: str, tmp_path: Path) -> None:
    with (
        listening(database, tmp_path) as server,
        psycopg.connect(make_conninfo(superuser, dbname=conninfo_to_dict(database)["dbname"]), autocommit=True) as db,
    ):
        server.customer("One")
        with server.connected() as client, server.connected() as later:
            until_signed(client.subscribe(FEED, {"after": "0", "checkpoints": True}), 1)
            disarm(db)
            run(db, "INSERT INTO daybook_log.checkpoints SELECT size + 1, note FROM daybook_log.checkpoints")
            forge_last(db)
            server.customer("Two")
            later.subscribe(FEED, {"after": "0", "checkpoints": True})
            codes = [code_at_the_end(each) for each in (client, later)]
            run(db, "DELETE FROM daybook_log.checkpoints WHERE size > 1")
            again = later.subscribe(FEED, {"after": "0", "checkpoints": True}, id="2").next("changes")
    assert codes == ["RECORD_ALTERED", "RECORD_ALTERED"]
    assert again["checkpoint"]["size"] == "1"


def test_a_checkpoint_that_is_lost_is_told_to_nobody(database: str, superuser: str, tmp_path: Path) -> None:
    """As after a failover to a standby that had not got it."""
    with (
        listening(database, tmp_path) as server,
        psycopg.connect(make_conninfo(superuser, dbname=conninfo_to_dict(database)["dbname"]), autocommit=True) as db,
    ):
        with server.connected() as client, server.connected() as later:
            for size in (1, 2):
                server.customer("Somebody")
                until_signed(client.subscribe(FEED, {"after": "0", "checkpoints": True}, id=str(size)), size)
                client.send(id=str(size), type="complete")
            disarm(db)
            run(db, "DELETE FROM daybook_log.checkpoints WHERE size > 1")
            began = later.subscribe(FEED, {"after": "0", "checkpoints": True}).next("changes")
    assert began["checkpoint"]["size"] == "1"


def code_at_the_end(client: Socket) -> str:
    """Of the error that a subscription ends with."""
    while (message := client.receive())["type"] == "next" and "errors" not in message["payload"]:
        pass
    [error] = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    code: str = error["extensions"]["code"]
    return code
