"""What a row asks of a record that exists already: only the commands whose outcome differs from what stands there.

A row never takes anything away: an empty cell, or a line that the file no longer has, leaves the record as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias, cast

from domain.customer import Customer, RegisterCustomer
from domain.kernel import Command, State, opened
from domain.opportunity import NewOpportunityLine, OpenOpportunity, Opportunity, OpportunityLine
from domain.product import AddProduct, Product
from domain.staff_member import RegisterStaffMember, StaffMember
from domain.team import CreateTeam, Team
from domain.ticket import OpenTicket, Ticket

_TERMS = ("quantity", "price", "discount", "tax")

Change: TypeAlias = tuple[str, dict[str, Any]]
"""A verb, and the raw values of its command."""


def changes(state: State, wanted: Command, given: Mapping[str, object]) -> Iterator[Change]:
    """The commands that bring a record to what the command that begins it would have made of it.

    `given` are the fields that the row fills; `wanted` has them admitted.
    """
    match state, wanted:
        case Customer(), RegisterCustomer():
            yield from _of_customer(state, wanted, given)
        case Opportunity(), OpenOpportunity():
            yield from _of_opportunity(state, wanted, given)
        case Ticket(), OpenTicket():
            yield from _of_ticket(state, wanted, given)
        case Product(), AddProduct():
            priced = ("price", "currency") if wanted.price is not None else ()
            verbs = {"rename": ("name",), "changePrice": priced, "changeCode": ("code",)}
            yield from _differing(state, wanted, verbs)
        case StaffMember(), RegisterStaffMember():
            verbs = {"rename": ("name",), "changeEmail": ("email",), "joinTeam": ("team",)}
            yield from _differing(state, wanted, verbs)
        case Team(), CreateTeam():
            yield from _differing(state, wanted, {"rename": ("name",), "assignLead": ("lead",)})
        case _:
            raise TypeError(f"{type(wanted).__name__} does not begin what {type(state).__name__} is the state of")


def _differing(state: State, wanted: Command, verbs: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    """The verbs of whose fields one is wanted otherwise than it stands, with all their fields that are wanted."""
    for verb, names in verbs.items():
        values = {name: value for name in names if (value := getattr(wanted, name)) is not None}
        if any(getattr(state, name) != value for name, value in values.items()):
            yield verb, values


def _of_customer(state: Customer, wanted: RegisterCustomer, given: Mapping[str, object]) -> Iterator[Change]:
    yield from _differing(
        state, wanted, {"rename": ("name",), "assignOwner": ("owner", "team"), "assignParent": ("parent",)}
    )
    if "relationship" in given and wanted.relationship is not state.relationship:
        yield "changeRelationship", {"relationship": wanted.relationship}
    if wanted.language is not None and wanted.language != state.details.get("language"):
        yield "changeDetails", {"language": wanted.language}
    there = {(point.kind, point.normalised) for point in state.contact_points.values()}
    for point in wanted.contact_points:
        if (point.kind, point.normalised) not in there:
            raw = {"kind": point.kind, "value": point.value, "label": point.label, "primary": point.primary}
            yield "addContactPoint", {"contact_point": raw, "shared_email_reason": wanted.shared_email_reason}


def _of_opportunity(state: Opportunity, wanted: OpenOpportunity, given: Mapping[str, object]) -> Iterator[Change]:
    if wanted.title != opened(state.title):
        yield "rename", {"title": wanted.title}
    if wanted.pipeline != state.pipeline:
        yield "changePipeline", {"pipeline": wanted.pipeline, "stage": wanted.stage}
    elif wanted.stage is not None and wanted.stage != state.stage:
        yield "changeStage", {"stage": wanted.stage}
    yield from _differing(
        state,
        wanted,
        {
            "assignCustomer": ("customer",),
            "moveCloseDate": ("expected_close",),
            "reassign": ("owner", "team"),
            "changeAmount": ("amount", "currency") if wanted.amount is not None else (),
        },
    )
    filled = cast("Sequence[Mapping[str, object]]", given.get("lines") or ())
    for there, (line, terms) in _paired(state.lines.values(), list(zip(wanted.lines, filled, strict=True))):
        yield from _of_line(there, line, terms)


Wanted: TypeAlias = tuple[NewOpportunityLine, Mapping[str, object]]
"""A line, and the fields of it that the row fills."""


def _paired(
    there: Iterable[OpportunityLine], wanted: Sequence[Wanted]
) -> Iterator[tuple[OpportunityLine | None, Wanted]]:
    """Each wanted line with the one of its product; one whose product no line has, with the first that nobody wants."""
    left, others = list(there), list[Wanted]()
    for one in wanted:
        same = next((line for line in left if line.product == one[0].product), None)
        if same is None:
            others.append(one)
        else:
            left.remove(same)
            yield same, one
    yield from zip_longest(left[: len(others)], others)


def _of_line(
    there: OpportunityLine | None, wanted: NewOpportunityLine, filled: Mapping[str, object]
) -> Iterator[Change]:
    terms = {name: value for name in _TERMS if name in filled and (value := getattr(wanted, name)) is not None}
    if there is not None and there.product == wanted.product:
        if any(getattr(there, name) != value for name, value in terms.items()):
            yield "changeLine", {"line": there.line, **terms}
        return
    if there is not None:
        yield "removeLine", {"line": there.line}
    yield "addLine", {"product": wanted.product, **terms}


def _of_ticket(state: Ticket, wanted: OpenTicket, given: Mapping[str, object]) -> Iterator[Change]:
    yield from _differing(
        state,
        wanted,
        {
            "changeSubject": ("subject",),
            "changePriority": ("priority",) if "priority" in given else (),
            "changeKind": ("kind",) if "kind" in given else (),
            "assignCustomer": ("customer",),
            "changeQueue": ("queue",),
            "assign": ("assignee",),
        },
    )
