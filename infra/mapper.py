"""The mapper: a decided event becomes a sealed entry, a stored entry becomes a recorded event."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from domain.appending import Draft, Entry
from domain.encoding import NOT_DECODED, Catalogue, NoSuchTime, Part, UnreadableEntry, reason_of
from domain.kernel import Withheld, new_id
from domain.kernel.recorded import Recorded
from infra.entries import ENVELOPE, EntryNotification, StoredEntry
from infra.times import is_out_of_reach
from infra.vault import Vault


class Unread(NamedTuple):
    """An entry that can't be read as it is stored."""

    entry: StoredEntry
    why: UnreadableEntry


class SealingMapper(Mapper[UUID]):
    """The library's mapper, closed: only the catalogue's names are written or read, and nothing is ever imported."""

    def __init__(self, catalogue: Catalogue, vault: Vault) -> None:
        super().__init__(JSONTranscoder())
        self.catalogue, self._vault = catalogue, vault

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> Entry:
        """The sealed entry of a Draft."""
        draft = cast("Draft", domain_event)
        context, event_id = draft.context, new_id()
        name, public, personal = self.catalogue.encode(draft.event, context.reason)
        sealed = commitment = new_key = None
        generation = 1
        if personal is not None:
            sealed, commitment, new_key, generation = self._vault.seal(
                draft.subject, event_id, draft.originator_id, draft.originator_version, personal
            )
        return Entry(
            originator_id=draft.originator_id,
            originator_version=draft.originator_version,
            topic=name,
            state=public,
            event_id=event_id,
            occurred_at=context.occurred_at,
            subject=draft.subject,
            actor=context.actor,
            on_behalf_of=context.on_behalf_of,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            idempotency_key=context.idempotency_key,
            sealed=sealed,
            commitment=commitment,
            new_key=new_key,
            generation=generation,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """The recorded event of an EntryNotification."""
        return cast("DomainEventProtocol[UUID]", self.recorded([cast("EntryNotification", stored_event).entry])[0])

    def recorded(self, entries: Sequence[StoredEntry]) -> list[Recorded[Any]]:
        """The recorded events of stored entries, opened; keys are fetched for all of them at once.

        Raises UnreadableEntry.
        """
        read, stopped = self.recorded_until(entries)
        if stopped is not None:
            raise stopped.why
        return read

    def recorded_until(self, entries: Sequence[StoredEntry]) -> tuple[list[Recorded[Any]], Unread | None]:
        """The recorded events before the first entry that can't be read, and that one: nobody knows what it changed."""
        recorded: list[Recorded[Any]] = []
        for one in self.read(entries):
            if isinstance(one, Unread):
                return recorded, one
            recorded.append(one)
        return recorded, None

    def read(self, entries: Sequence[StoredEntry]) -> Iterator[Recorded[Any] | Unread]:
        """The recorded events, and in its place each entry that can't be read as it is stored."""
        for entry, personal in zip(entries, self.open(entries), strict=True):
            try:
                yield self.decode(entry, personal)
            except NOT_DECODED as error:
                yield Unread(entry, UnreadableEntry(entry.position, entry.topic, error))

    def look_for_destroyed(self, subjects: Collection[UUID]) -> None:
        """Do not open any more what was sealed under those of these keys that were destroyed."""
        self._vault.look_for_destroyed(subjects)

    def open(self, entries: Sequence[StoredEntry]) -> list[Part]:
        """The personal part of each entry."""
        return self._vault.open_entries(entries)

    def decode(self, entry: StoredEntry, personal: Part) -> Recorded[Any]:
        """One recorded event, its personal part given. Raises where today's code can't read it: a poison event."""
        if is_out_of_reach(entry.recorded_at) or is_out_of_reach(entry.occurred_at):
            raise NoSuchTime
        # By place, for every entry of every projection passes here: seventeen names cost several times as much.
        return Recorded(
            *entry[:ENVELOPE],
            self.catalogue.kind(entry.topic),
            reason_of(personal) if isinstance(personal, bytes) else None,
            personal is Withheld.ERASED,
            self.catalogue.decode(entry.topic, entry.state, personal),
        )
