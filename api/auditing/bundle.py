"""A bundle: one file with a customer's entries, the proof of each, and what is needed to understand them.

docs/auditor/bundle.md specifies it; verifier/daybook_verify_bundle.py checks it and shares no code with this.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, cast
from uuid import UUID

from api.auditing.telling import Told, told
from domain.catalogue import catalogue
from domain.customer import customer
from domain.kernel import Withheld, type_id
from infra.entries import EntryNotification, StoredEntry
from infra.event_store import EventStore, Pool
from infra.log.proving import ProvenHistory, proven_history
from infra.patience import patient
from infra.vault import EventKeys, Vault

FORMAT = "daybook bundle 1"

WARNING = (
    "With the keys in this file, whoever has it can read personal data. Copies of it outlive an erasure: where the"
    " person is erased from the book, they stay readable. Note who has one, and destroy it when it is needed no more."
)
WARNING_SEALED = (
    "This file holds no keys, but who did what with this customer, and when. Copies of it outlive an erasure: note who"
    " has one, and destroy it when it is needed no more."
)


class NothingToShow(LookupError):
    """The customer had no entry in the book by then."""


class Bundle(NamedTuple):
    """A bundle as a file."""

    file: str
    """To be kept as it is, to the byte."""
    through: int
    """The position up to which it holds the customer's entries."""
    checkpoint: str
    """The signed note that they are proven against."""
    entries: int


class Bundles:
    """Makes bundles. Thread-safe."""

    def __init__(self, pool: Pool, store: EventStore, vault: Vault) -> None:
        self._pool, self._store, self._vault = pool, store, vault

    @patient
    def of(self, id: UUID, *, through: int | None = None, at_most: int | None = None, disclose: bool = False) -> Bundle:
        """The bundle of a customer's entries up to a position; by default, up to the last checkpoint, or `at_most`.

        `disclose`: with the keys of each entry's personal part, which is to be recorded before. Never a person's key.
        Raises NothingToShow, NotYetSigned, or LogError where the log does not lead to these entries.
        """
        with self._pool.connection() as db:
            found = proven_history(db, id, through, at_most)
        stored = cast("Sequence[EntryNotification]", self._store.select_events(id, lte=len(found.entries)))
        if not stored:
            raise NothingToShow(f"{type_id(customer.prefix, id)} was not in the book at position {found.through}.")
        entries = [one.entry for one in stored]
        keys = self._vault.event_keys(entries)
        if disclose:
            opened = self._vault.open_entries(entries)
        else:
            keys = [Withheld.SEALED if isinstance(one, EventKeys) else one for one in keys]
            opened = [None] * len(entries)
        story = [*_story(entries, keys, opened)]
        return _bundle(id, found, entries, keys, story)


def _bundle(
    id: UUID,
    found: ProvenHistory,
    entries: Sequence[StoredEntry],
    keys: Sequence[EventKeys | Withheld | None],
    story: Sequence[str],
) -> Bundle:
    body = {
        "format": FORMAT,
        "warning": WARNING if any(isinstance(one, EventKeys) for one in keys) else WARNING_SEALED,
        "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "customer": type_id(customer.prefix, id),
        "through": found.through,
        "checkpoint": found.note,
        "story": story,
        "entries": [
            {"leaf": _base64(one.leaf), "proof": [*map(_base64, one.proof)], "personal": _shown(key)}
            for one, key in zip(found.entries, keys, strict=True)
        ],
        "catalogue": {name: _catalogue()[name] for name in sorted({one.topic for one in entries})},
    }
    digest = sha256(_text(body).encode()).hexdigest()
    return Bundle(_text({**body, "sha256": digest}), found.through, found.note, len(entries))


def _story(
    entries: Sequence[StoredEntry],
    keys: Sequence[EventKeys | Withheld | None],
    opened: Sequence[bytes | Withheld | None],
) -> Iterator[str]:
    for entry, key, personal in zip(entries, keys, opened, strict=True):
        # What is not disclosed must not be told either.
        seen = json.loads(personal) if isinstance(key, EventKeys) and isinstance(personal, bytes) else key
        yield told(Told(entry, _catalogue()[entry.topic]["meaning"], json.loads(entry.state), cast("Any", seen)))


def _shown(key: EventKeys | Withheld | None) -> Mapping[str, str] | str | None:
    if isinstance(key, EventKeys):
        return {"event_key": _base64(key.event), "commitment_key": _base64(key.commitment)}
    return None if key is None else key.name.lower()


@cache
def _catalogue() -> Mapping[str, Any]:
    """What every event means."""
    return catalogue.schema()


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
