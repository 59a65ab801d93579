"""What records of several kinds have: external ids, notes, their history in the book, days and months."""

from datetime import datetime
from typing import Any

import msgspec
import strawberry
from strawberry.scalars import JSON

from api.reading.declarations import all_of, column, connection, expression, hidden, rows_of
from api.reading.relay import Connection
from api.reading.sources import Beside
from api.scalars import Position
from api.types.fields_set import fields_told
from api.words import ACTOR
from domain.catalogue import catalogue
from projections.company import COMPANY
from projections.customers import EXTERNAL_IDS, NOTES
from projections.model import Table
from projections.timeline import TIMELINE


@rows_of(EXTERNAL_IDS, order="ordinal")
@strawberry.type(description="What another system calls a record.")
class ExternalId:
    source: str = column("source", "The other system's name.", filtered=True)
    id: str = column("external_id", "The id there, letter for letter.", filtered=True)


def external_ids_in(table: Table, of: str = "it") -> Any:
    """A field: the external ids of a record of the kind that this table is about."""
    return all_of(f"What other systems call {of}.", on={table.key[0]: "id"}, table=table, filtered=True)


@rows_of(NOTES, order="ordinal")
@strawberry.type(description="A note that somebody wrote about a record. Notes are never changed.")
class Note:
    id: strawberry.ID = column("id", "The note's id.", filtered=True)
    text: str | None = column("text", "The note; null where it was erased, or is hidden from you.")
    author: str = column("author", "Who wrote it, such as a user or an import.", filtered=True)
    written_at: datetime = column("written_at", "When it was written.", filtered=True, sort="written_at")
    hidden_fields: list[str] = hidden()


_TOLD = f"'{msgspec.json.encode(fields_told()).decode()}'::jsonb".replace("{", "{{").replace("}", "}}")
_FIELDS = f"""array(
    select name from (
        select 0 as part, at, name from jsonb_array_elements_text({_TOLD} -> {{event}}) with ordinality told (name, at)
        where {{version}} <> 1 or ({{data}} -> name) is null or ({{data}} ->> name) <> '[]' or name = any({{withheld}})
        union all
        select part, at, name from (values (1, 'changes'), (2, 'personalChanges')) changed (part, of),
            json_object_keys(case json_typeof({{data}} -> of) when 'object' then {{data}} -> of end)
            with ordinality detail (name, at)
        union all
        select 3, 1, 'annualRevenue' where {{data}} #> '{{{{changes,revenueCurrency}}}}' is not null
            and {{data}} #> '{{{{changes,annualRevenue}}}}' is null
    ) field order by part, at)"""
"""SQL template: the fields that an entry set; of changed details, each detail. A first entry has set what it names, not
what it leaves empty. Read off what is seen of the entry, so that it tells nothing of what is hidden."""


_ASK_FOR_A_REASON = ", ".join(f"'{name}'" for name, shape in catalogue.shapes.items() if "reason" in shape.personal)
_REASON = f"coalesce({{reason}}, case when {{event}} in ({_ASK_FOR_A_REASON}) then {{data}} ->> 'reason' end)"
"""SQL template: the reason given with the command, or the event's own words. A word of ours is none, as of a loss."""


@rows_of(TIMELINE, order="position")
@strawberry.type(description="An entry of the book: something that happened to a record, who did it, when and why.")
class HistoryEntry:
    position: Position = column("position", "The entry's place in the book.", sort="position", filtered=True)
    type: str = column("event", "What happened, such as `CustomerRenamed`.", filtered=True)
    event_id: strawberry.ID = column("event_id", "The entry's own id.")
    aggregate_kind: str = column(
        "aggregate_kind", "The kind of record that it happened to, such as `customer`.", filtered=True
    )
    aggregate_id: strawberry.ID = column("aggregate_id", "The record that it happened to.", filtered=True)
    version: int = column("version", "The record's version after it.", filtered=True)
    data: JSON = column(
        "data", "The facts, by name: amounts as text, records by id. What was erased, or is hidden from you, is null."
    )
    fields: list[str] = expression(
        _FIELDS,
        "The record's fields that it is about, by their names here: `name` of a rename, `contactPoints` and `primary`"
        " where one was made primary; of changed details each, such as `annualRevenue`, unless hidden from you."
        " Then the names of other facts in `data`.",
        filtered=True,
    )
    withheld: list[str] = column("withheld", "The names in `data` whose values were erased or are hidden from you.")
    erased: bool = column("erased", "Whether its personal part was erased.", filtered=True)
    occurred_at: datetime = column("occurred_at", "When it happened.", filtered=True)
    recorded_at: datetime = column("recorded_at", "When it was entered into the book.", filtered=True)
    actor: str = column("actor", ACTOR, filtered=True)
    on_behalf_of: str | None = column(
        "on_behalf_of", "The staff member on whose behalf it was done, where on somebody's.", filtered=True
    )
    reason: str | None = expression(_REASON, "Why, where somebody said so: with the command, or in it (`data.reason`).")
    subject_id: strawberry.ID = column("subject_id", "The record whose key seals the personal part.", filtered=True)
    correlation_id: strawberry.ID = column("correlation_id", "The request that it came from.", filtered=True)
    causation_id: strawberry.ID | None = column(
        "causation_id", "The event that caused it, where one did.", filtered=True
    )
    hidden_fields: list[str] = hidden()


def history() -> Any:
    """A record's own entries in the book."""
    return connection("Everything that happened to it, from the beginning.", on={"aggregate_id": "id"})


def version() -> Any:
    return column("version", "How many entries it has in the book: name it as `expectedVersion` when you change it.")


def position() -> Any:
    return column("position", "The last entry of the book that changed it.")


def recorded_at() -> Any:
    return column("recorded_at", "When that entry was recorded.")


History = Connection[HistoryEntry]

THE_COMPANY = Beside(COMPANY)
"""Templates that know of days and months need it: `rows_of(..., beside={"company": THE_COMPANY})`."""


def day_of(instant: str) -> str:
    """SQL template: the company's day at an instant, such as `{opened_at}` or `{now}`."""
    return f"({instant} at time zone coalesce({{company[time_zone]}}, 'UTC'))::date"


def month_of(day: str) -> str:
    """SQL template: the first day of a day's month."""
    return f"date_trunc('month', {day}::timestamp)::date"
