"""External ids: what other systems call a record, so that an import finds again what it brought.

One record of its kind at a time has an external id, archived or not. Those of deals and tickets name records and no
person: they are not sealed, and outlast an erasure of their customer.
"""

from typing import Annotated, TypeAlias

import msgspec

from domain.kernel.fields import NAME, Doc, Form, Items, Text
from domain.kernel.rules import Path
from domain.kernel.words import Claim, Command

MOST_EXTERNAL_IDS = 20

Source: TypeAlias = Annotated[
    str,
    Doc("The other system's name, without a colon, e.g. `erp`."),
    Text(60, form=Form("[^:]*", "a system's name without a colon")),
]
IdThere: TypeAlias = Annotated[str, Doc("The record's id there, letter for letter."), NAME]


class ExternalId(msgspec.Struct, frozen=True, kw_only=True):
    """What another system calls a record."""

    source: Source
    id: IdThere

    def claim(self, scope: str) -> Claim:
        """Written `source:id`: no source has a colon, so no two ids meet in one claim."""
        return Claim(scope, f"{self.source}:{self.id}")


ExternalIds: TypeAlias = Annotated[
    tuple[ExternalId, ...], Doc("What other systems call the record."), Items(MOST_EXTERNAL_IDS)
]


def path_of_claim(command: Command, claim: Claim) -> Path:
    """Where the claimed id stands in a command that gives one (`external_id`) or several (`external_ids`)."""
    several: tuple[ExternalId, ...] | None = getattr(command, "external_ids", None)
    if several is None:
        return ("external_id",)
    return ("external_ids", [one.claim(claim.scope) for one in several].index(claim), "id")
