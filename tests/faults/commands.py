"""Commands as clients send them, and what comes back. What is expected of each is said here, by its sender."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import httpx

from tests.faults.processes import HEADERS


class Asked(NamedTuple):
    """A command under its idempotency key, which stays with it through every retry."""

    key: UUID
    mutation: str
    noun: str
    input: Mapping[str, Any]
    events: int = 1
    """How many events it is to leave."""
    may_be_refused: str | None = None
    """The code of the one rule that it may break, because others race for the same."""


class Acknowledged(NamedTuple):
    """The server said that it is done."""

    id: str | None
    """Of the aggregate; None where its read model could not be shown."""
    position: int


class Refused(NamedTuple):
    """The server said that it is not done, and never will be."""

    codes: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]


class Unanswered(NamedTuple):
    """Nobody knows: it is to be sent again."""

    why: str


class Unacceptable(NamedTuple):
    """An answer that no client should ever get."""

    why: str


Answer = Acknowledged | Refused | Unanswered | Unacceptable


def command(
    random: random.Random,
    mutation: str,
    noun: str,
    *,
    events: int = 1,
    may_be_refused: str | None = None,
    **given: Any,
) -> Asked:
    """A new command, with a key from the campaign's own random numbers."""
    key = UUID(int=random.getrandbits(128), version=4)
    return Asked(key, mutation, noun, given, events, may_be_refused)


def send(http: httpx.Client, url: str, asked: Asked) -> Answer:
    """Send a command, and judge the answer."""
    name = asked.mutation[0].upper() + asked.mutation[1:]
    document = (
        f"mutation M($input: {name}Input!) {{ {asked.mutation}(input: $input) {{"
        f" {asked.noun} {{ id version position }} position userErrors {{ code path }} }} }}"
    )
    variables = {"input": {**asked.input, "idempotencyKey": str(asked.key)}}
    try:
        response = http.post(url, json={"query": document, "variables": variables}, headers=HEADERS)
    except httpx.TransportError as error:
        return Unanswered(type(error).__name__)
    return _judged(response, asked)


def _judged(response: httpx.Response, asked: Asked) -> Answer:
    body = response.json()
    errors: Sequence[Any] = body.get("errors", [])
    codes = {error["extensions"]["code"] for error in errors}
    payload = (body.get("data") or {}).get(asked.mutation)
    if codes - {"UNAVAILABLE"}:
        return Unacceptable(f"{asked.mutation}: {response.status_code} {body}")
    if payload is None:
        return Unanswered("UNAVAILABLE") if codes else Unacceptable(f"{asked.mutation}: {response.status_code} {body}")
    if broken := payload["userErrors"]:
        return _refused(asked, broken)
    shown, position = payload[asked.noun], int(payload["position"])
    if shown is None:
        told = codes or body.get("extensions", {}).get("readModel")
        return Acknowledged(None, position) if told else Unacceptable(f"{asked.mutation}: nothing is shown: {body}")
    if int(shown["position"]) < position:
        return Unacceptable(f"{asked.mutation} does not read its own write: {body}")
    return Acknowledged(shown["id"], position)


def _refused(asked: Asked, broken: Sequence[Mapping[str, Any]]) -> Answer:
    codes = tuple(str(error["code"]) for error in broken)
    if codes != (asked.may_be_refused,):
        return Unacceptable(f"{asked.mutation} was refused for {codes}: {asked.input}")
    return Refused(codes, tuple(tuple(error["path"]) for error in broken))
