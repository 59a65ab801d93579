"""The deadlines and limits that `docs/frontend/live.md` publishes are those that the code holds to."""

import re
from inspect import signature

import uvicorn

from api import departure, event_stream, following, live, receiving
from api.reading.reader import read_pool
from api.server import MOST_MESSAGE_BYTES, create_app
from tests.docs.blocks import ROOT

_UNITS = {"s": 1.0, "KiB": 1024.0, "MiB": 1024.0**2}


def rows() -> list[tuple[str, str]]:
    text = (ROOT / "docs/frontend/live.md").read_text(encoding="utf-8").partition("## Deadlines and limits")[2]
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, flags=re.MULTILINE)


def table() -> dict[str, list[float]]:
    """What is said of each, in seconds, bytes or pieces."""
    return {
        of: [
            float(number) * _UNITS.get(unit, 1.0)
            for number, unit in re.findall(r"\b(\d+)(?: (s|KiB|MiB))?\b", said.partition("then")[0])
        ]
        for of, said in rows()
        if re.search(r"\d", said)
    }


def test_what_is_published_is_what_holds() -> None:
    uvicorn_has = signature(uvicorn.Config).parameters
    reading = signature(read_pool).parameters["seconds"].default
    assert table() == {
        "one statement in the database": [reading],
        "waiting for a connection to the database": [reading],
        "waiting for the read models, after a mutation or with `Daybook-At-Least`": [
            signature(create_app).parameters["patience"].default
        ],
        "`connection_init`, from the opening of the WebSocket": [live.PATIENCE.total_seconds()],
        "silence until the server sends a ping, or a comment among server-sent events": [
            uvicorn_has["ws_ping_interval"].default,
            event_stream.KEEP_ALIVE,
        ],
        "the pong, until the WebSocket is closed": [uvicorn_has["ws_ping_timeout"].default],
        "taking nothing of what was sent, until the connection is cut": [departure.STALLED],
        "operations under way on one WebSocket": [live.MOST_SUBSCRIPTIONS],
        "a message to the server over a WebSocket": [MOST_MESSAGE_BYTES],
        "all of a request to arrive, or the first byte of a new connection": [receiving.DEADLINE],
        "answers kept of one feed for its followers": [following.KEPT],
    }


def test_one_operation_too_many_gets_the_code_that_is_published() -> None:
    published = dict(rows())["operations under way on one WebSocket"]
    assert re.findall(r"`(\w+)`", published) == [(live.TOO_MANY.extensions or {})["code"]]
