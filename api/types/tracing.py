"""What became of a record's fields."""

import strawberry
from strawberry.scalars import JSON

from api.reading.declarations import column, relation, rows_of
from api.types.parts import HistoryEntry
from projections.model import Table

TOLD = Table(
    name="told",
    columns={
        "field": "text NOT NULL",
        "before": "json",
        "after": "json",
        "before_erased": "boolean NOT NULL",
        "after_erased": "boolean NOT NULL",
        "sure": "boolean NOT NULL",
        "position": "bigint NOT NULL",
    },
    key=("field",),
    of="field",
)
"""No table of the database: its rows are told from entries when they are asked for."""


@rows_of(TOLD, order="position")
@strawberry.type(description="A field of a record that got another value, and the entry that gave it.")
class FieldChange:
    field: str = column(
        "field",
        "Which field, as GraphQL names it; an element of a list by its id: `tags[vip]`; a list; or a part of a value:"
        " `amount.currency`.",
    )
    before: JSON | None = column("before", "Its former value; amounts as text, records by id. Null: none, or erased.")
    after: JSON | None = column("after", "Its value then. Null: none, or erased.")
    before_erased: bool = column("before_erased", "Whether `before`, or a part of it, is null because it was erased.")
    after_erased: bool = column("after_erased", "Whether `after`, or a part of it, is null because it was erased.")
    sure: bool = column(
        "sure",
        "Whether it is sure that the entry set the field. Not, where what it set was erased and may have been nothing:"
        " it is then the last entry that may have set it.",
    )
    entry: HistoryEntry | None = relation(
        "position", "The entry that gave it: who, when, why, caused by what, in which request.", key="position"
    )
