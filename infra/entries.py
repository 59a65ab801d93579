"""Entries as they come back from the store."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification

from domain.customer import CONTACT_LINKS

COLUMNS = (
    "position, originator_id, originator_version, event_id, topic, recorded_at, occurred_at, subject, actor,"
    " on_behalf_of, correlation_id, causation_id, idempotency_key, state, sealed"
)


ENVELOPE: Final = 13
"""So many columns from the first on are the first fields of a Recorded."""


class StoredEntry(NamedTuple):
    """A row of the book, in the order of COLUMNS."""

    position: int
    originator_id: UUID
    originator_version: int
    event_id: UUID
    topic: str
    recorded_at: datetime
    occurred_at: datetime
    subject: UUID
    actor: str
    on_behalf_of: str | None
    correlation_id: UUID
    causation_id: UUID | None
    idempotency_key: UUID | None
    state: bytes
    sealed: bytes | None


ON_A_CONTACT: Final[LiteralString] = "topic IN ('" + "', '".join(CONTACT_LINKS) + "')"
"""SQL: whether an organisation's entry is about one of its contacts."""
THE_CONTACT: Final[LiteralString] = """substring(encode(state, 'escape') from '"person":"([0-9a-f-]{36})"')"""
"""SQL: which one; as text, and NULL where what is stored was altered: it must not end what looks for others."""


class _Link(msgspec.Struct):
    person: UUID


_link = msgspec.json.Decoder(_Link).decode


def contact_of(entry: StoredEntry) -> UUID | None:
    """Where an organisation speaks of a contact under its own key, as it did once: the contact, who takes it along."""
    if entry.topic in CONTACT_LINKS and entry.subject == entry.originator_id and entry.sealed is not None:
        with suppress(msgspec.MsgspecError):  # what does not fit is for whoever decodes it to say
            return _link(entry.state).person
    return None


class Concerned(msgspec.Struct):
    """The records beside the customer that an erasure concerned, as its receipt names them."""

    opportunities: list[UUID] = []
    tickets: list[UUID] = []
    organisations: list[UUID] = []


_concerned = msgspec.json.Decoder(Concerned).decode


def concerned(receipt: bytes) -> Concerned:
    """Those that a receipt names; none where it does not fit, which is for whoever decodes it to say."""
    with suppress(msgspec.MsgspecError):
        return _concerned(receipt)
    return Concerned()


@dataclass(frozen=True)
class EntryNotification(Notification):
    """An entry in the library's words; `id` is its position."""

    entry: StoredEntry


def notification(entry: StoredEntry) -> EntryNotification:
    return EntryNotification(
        originator_id=entry.originator_id,
        originator_version=entry.originator_version,
        topic=entry.topic,
        state=entry.state,
        id=entry.position,
        entry=entry,
    )
