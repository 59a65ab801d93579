"""What became of a record's fields."""

import strawberry
from strawberry.scalars import JSON

from api.reading.declarations import column, relation, rows_of
from api.types.parts import HistoryEntry
from projections.model import Table

TOLD = Table(
    name="told",
    columns={"field": "text NOT NULL", "before": "json", "after": "json", "position": "bigint NOT NULL"},
    key=("field",),
    of="field",
)
"""No table of the database: its rows are told from entries when they are asked for."""


@rows_of(TOLD, order="position")
@strawberry.type(description="A field of a record that got another value, and the entry that gave it.")
class FieldChange:
    field: str = column("field", "Which field, as GraphQL names it; an element of a list by its id: `tags[vip]`.")
    before: JSON | None = column("before", "Its former value; amounts as text, records by id. Null: none.")
    after: JSON | None = column("after", "Its value then. Null: none.")
    entry: HistoryEntry | None = relation(
        "position", "The entry that gave it: who, when, why, caused by what, in which request.", key="position"
    )
