"""What an auditor takes along."""

import strawberry

from api.reading.declarations import column, rows_of
from api.scalars import Position
from projections.model import Table

BUNDLE = Table(
    name="bundle",
    columns={"file": "text NOT NULL", "position": "bigint NOT NULL", "checkpoint": "text NOT NULL"},
    key=("position",),
    of="position",
)
"""No table of the database: its row is made from entries when it is asked for."""


@rows_of(BUNDLE, order="position")
@strawberry.type(
    description="A customer's history as a file that proves itself, without Daybook. Copies of it outlive an erasure."
)
class AuditBundle:
    file: str = column("file", "The file, JSON; keep it as it is, to the byte.")
    position: Position = column("position", "Up to where it holds the customer's entries.")
    checkpoint: str = column("checkpoint", "The signed checkpoint that they are proven against.")
