"""The catalogue: every aggregate, stored event name and older shape. Nothing outside it is ever read or written."""

from domain.api_token import api_token
from domain.company import company
from domain.customer import customer, personal_data_erased_from_1
from domain.encoding import AnyDecider, Catalogue, Older
from domain.opportunity import opportunity
from domain.pipeline import pipeline
from domain.product import product
from domain.queue import queue
from domain.role import role
from domain.staff_member import staff_member
from domain.team import team
from domain.ticket import note_added_from_1, ticket

catalogue = Catalogue(
    deciders=(
        customer,
        opportunity,
        ticket,
        pipeline,
        company,
        staff_member,
        team,
        queue,
        product,
        role,
        api_token,
    ),
    older={
        "CustomerPersonalDataErased": Older(
            into="CustomerPersonalDataErased.2",
            public=("ground", "opportunities", "tickets", "keys", "entries"),
            personal=(),
            upcast=personal_data_erased_from_1,
        ),
        "TicketNoteAdded": Older(
            into="TicketNoteAdded.2", public=("note",), personal=("text",), upcast=note_added_from_1
        ),
    },
)
"""Everything that this version of Daybook can write and read."""


def mutation_name(decider: AnyDecider, verb: str) -> str:
    """The GraphQL mutation of a command: noun first, `customer` and `changeDetails` give `customerChangeDetails`."""
    return camel(decider.kind) + verb[0].upper() + verb[1:]


def camel(name: str) -> str:
    """`contact_points` -> `contactPoints`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


__all__ = ["AnyDecider", "Catalogue", "Older", "camel", "catalogue", "mutation_name"]
