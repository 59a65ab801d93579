"""Parts that aggregates of several kinds have: external ids and notes."""

from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from domain.kernel import Withheld, opened, type_id
from domain.kernel.recorded import Recorded
from projections.model import Posting, Table
from projections.searching import forget, found_by

MOST_AT_ONCE = 1_000
"""More parts than any one event adds."""


class ExternalId(Protocol):
    """What another system calls an aggregate."""

    @property
    def source(self) -> str: ...
    @property
    def id(self) -> str: ...


def ordinal(recorded: Recorded[Any], at: int = 0) -> int:
    """The place of the `at`-th part that an event adds among all parts of its aggregate: the order of adding."""
    return recorded.originator_version * MOST_AT_ONCE + at


def external_ids_of(kind: str) -> Table:
    """The table of the external ids of a kind of aggregate: `external_ids_of("team")` is `team_external_ids`."""
    return Table(
        name=f"{kind}_external_ids",
        columns={
            f"{kind}_id": "text NOT NULL",
            "source": "text NOT NULL",  # the other system
            "external_id": "text NOT NULL",
            "ordinal": "bigint NOT NULL",  # the order of adding
        },
        key=(f"{kind}_id", "source", "external_id"),
        of=f"{kind}_id",
        indexes=("source, external_id",),
    )


def add_external_ids(
    posting: Posting,
    table: Table,
    id: str,
    recorded: Recorded[Any],
    added: Iterable[ExternalId],
    search: Table | None = None,
) -> None:
    """Rows for the external ids that an event adds to the aggregate of this public id; `search`: found by them too."""
    for at, one in enumerate(added):
        row = {table.key[0]: id, "source": one.source, "external_id": one.id}
        posting.insert(table, **row, ordinal=ordinal(recorded, at))
        if search is not None:
            found_by(posting, search, id, f"external id {one.source}", one.id, which=one.id)


def remove_external_id(posting: Posting, table: Table, id: str, removed: ExternalId, search: Table) -> None:
    """An external id goes, and with it what the aggregate was found by."""
    posting.remove(table, id, removed.source, removed.id)
    forget(posting, search, id, f"external id {removed.source}", removed.id)


def notes_of(kind: str) -> Table:
    """The table of the notes about a kind of aggregate: `notes_of("customer")` is `customer_notes`."""
    return Table(
        name=f"{kind}_notes",
        columns={
            "id": "text NOT NULL",  # note_...
            f"{kind}_id": "text NOT NULL",
            "text": "text",
            "author": "text NOT NULL",  # the actor who wrote it
            "ordinal": "bigint NOT NULL",  # the order of writing
            "written_at": "timestamptz NOT NULL",
        },
        of=f"{kind}_id",
        indexes=(f"{kind}_id, ordinal",),
        grows=True,
    )


def add_note(
    posting: Posting, table: Table, recorded: Recorded[Any], note: UUID, text: str | Withheld, **owner: str
) -> None:
    """A row for a note; `owner` is the column and public id of what it is about: `customer_id="cus_..."`."""
    posting.insert(
        table,
        id=type_id("note", note),
        **owner,
        text=opened(text),
        author=recorded.actor,
        ordinal=ordinal(recorded),
        written_at=recorded.occurred_at,
    )
