"""What became of a field, held against the plain fold of the book: after which entry its column was another."""

import re
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from api.tracing.elements import why
from api.tracing.naming import NotNamed
from api.tracing.story import Moment, Step, differences, origin
from api.tracing.tracer import Tracer
from domain.catalogue import catalogue
from domain.kernel import Withheld
from domain.kernel.recorded import Recorded
from tests.projections.books import TEXTS, made_up_book
from tests.projections.fold_oracle import PREFIXES, TABLES, public, rows_after_each

WORDS = str.upper
FIELDS: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "customer": {
        "name": ("name", str),
        "relationship": ("relationship", WORDS),
        "owner": ("owner_id", str),
        "legalName": ("legal_name", str),
        "birthday": ("birthday", str),
        "employees": ("employees", int),
        "status": ("status", WORDS),
        "version": ("version", int),
    },
    "opportunity": {
        "title": ("title", str),
        "probability": ("probability", str),
        "stage": ("stage_id", str),
        "status": ("status", WORDS),
        "closedOn": ("closed_on", str),
    },
    "ticket": {
        "subject": ("subject", str),
        "assignee": ("assignee_id", str),
        "priority": ("priority", WORDS),
        "escalated": ("escalation_level", bool),
    },
    "team": {"name": ("name", str), "lead": ("lead_id", str)},
    "company": {"timeZone": ("time_zone", str)},
}
"""Fields, the columns that they are, and how a value is written: by hand, apart from what api/types declares."""
PARTS = {
    "customer": (
        ("customer_contact_points", "contactPoints[{id}].value", "value", "customer_id"),
        ("customer_tags", "tags[{tag_key}]", "tag", "customer_id"),
        ("customer_classifications", "classifications[{scheme_key}].value", "value", "customer_id"),
    ),
    "opportunity": (("opportunity_lines", "lines[{id}].quantity", "quantity", "opportunity_id"),),
    "staff_member": (("staff_member_roles", "roles[{role_id}]", "role_id", "staff_member_id"),),
    "pipeline": (("pipeline_stages", "stages[{id}].place", "ordinal", "pipeline_id"),),
}
LISTS = {
    "customer": {
        "tags": ("customer_tags", "customer_id"),
        "contactPoints": ("customer_contact_points", "customer_id"),
        "classifications": ("customer_classifications", "customer_id"),
        "consents": ("customer_consents", "customer_id"),
        "externalIds": ("customer_external_ids", "customer_id"),
        "legalHolds": ("customer_legal_holds", "customer_id"),
        "contacts": ("customer_links", "organisation_id"),
        "notes": ("customer_notes", "customer_id"),
    },
    "opportunity": {
        "lines": ("opportunity_lines", "opportunity_id"),
        "notes": ("opportunity_notes", "opportunity_id"),
        "stageChanges": ("opportunity_stage_history", "opportunity_id"),
    },
    "ticket": {"messages": ("ticket_messages", "ticket_id")},
    "staff_member": {"roles": ("staff_member_roles", "staff_member_id")},
    "role": {"grants": ("role_grants", "role_id")},
    "pipeline": {"stages": ("pipeline_stages", "pipeline_id")},
}
"""The lists of records, the tables of their elements, and the column there that names the record."""
ELEMENTS = {
    "contactPoints": ("{id}", {"value": "value", "label": "label"}),
    "classifications": ("{scheme_key}", {"scheme": "scheme", "value": "value"}),
    "consents": ("{purpose_key}/{channel}", {"purpose": "purpose", "proof": "proof"}),
    "externalIds": ("{source}/{external_id}", {"source": "source", "id": "external_id"}),
    "notes": ("{id}", {"text": "text"}),
    "lines": ("{id}", {"product": "product_id"}),
    "messages": ("{id}", {"text": "text"}),
    "stages": ("{id}", {"name": "name", "place": "ordinal"}),
    "grants": ("{permission}", {}),
}
"""Of lists whose elements have fields: what an element is called, and columns that some of its fields are."""
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
OBJECTS = {
    "customer": {"annualRevenue": ("annual_revenue", "revenue_currency")},
    "opportunity": {"amount": ("amount", "currency")},
    "product": {"price": ("price", "currency")},
}
"""Money of records: its columns."""


class Value(NamedTuple):
    """A field's value, and the position of the entry that set it."""

    value: Any
    former: Any
    position: int


Told = dict[tuple[UUID, str], list[Value]]


def told_by_the_oracle(book: list[Recorded[Any]]) -> Told:
    """Of every record and field its values, one after the other."""
    found: Told = defaultdict(list)
    last: dict[tuple[UUID, str], Any] = {}
    for entry, rows in rows_after_each(book):
        now = dict[str, Any]()
        own = public(PREFIXES[entry.kind], entry.originator_id)
        row = rows[TABLES[entry.kind]].get((own,), {})
        for field, (column, write) in FIELDS.get(entry.kind, {}).items():
            now[field] = None if row.get(column) is None else write(row[column])
        for table, name, column, of in PARTS.get(entry.kind, ()):
            for part in rows[table].values():
                if part[of] == own:
                    value = part[column]
                    now[name.format(**part)] = str(value) if column == "quantity" else value
        for id, field in [*last]:
            if id == entry.originator_id and field not in now:
                now[field] = None
        for field, value in now.items():
            at = entry.originator_id, field
            if last.get(at) != value:
                found[at].append(Value(value, last.get(at), entry.position))
                last[at] = deepcopy(value)
    return found


@pytest.fixture(scope="module")
def tracer() -> Tracer:
    return Tracer()


@pytest.fixture(scope="module")
def book() -> list[Recorded[Any]]:
    return made_up_book(7)


def test_every_value_has_the_entry_that_set_it(tracer: Tracer, book: list[Recorded[Any]]) -> None:
    told = told_by_the_oracle(book)
    assert len({field.partition("[")[0] for _, field in told}) > 18
    for (id, field), values in told.items():
        history = [one for one in book if one.originator_id == id]
        steps = list(tracer.steps(history[0].kind, history))
        for at, value in enumerate(values):
            until = values[at + 1].position - 1 if at + 1 < len(values) else None
            step = origin(steps, field, until)
            assert step is not None
            assert Value(step.new, step.old, step.recorded.position) == value
        assert origin(steps, field, values[0].position - 1) is None


def test_a_list_as_a_whole_has_the_last_entry_that_changed_anything_in_it(
    tracer: Tracer, book: list[Recorded[Any]]
) -> None:
    rows_at = dict[tuple[UUID, str], list[dict[str, Any]]]()
    changed: dict[tuple[UUID, str], list[tuple[int, int]]] = defaultdict(list)
    for entry, rows in rows_after_each(book):
        own = public(PREFIXES[entry.kind], entry.originator_id)
        for field, (table, of) in LISTS.get(entry.kind, {}).items():
            now = [{**part} for part in rows[table].values() if part[of] == own]
            at = entry.originator_id, field
            if now != rows_at.get(at, []):
                rows_at[at] = now
                changed[at].append((entry.position, len(now)))
    everything = {field for fields in LISTS.values() for field in fields}
    assert everything - {field for _, field in changed} <= {"contacts"}, "this book links nobody"
    for (id, field), moments in changed.items():
        history = [one for one in book if one.originator_id == id]
        names = tracer.names(history[0].kind)
        steps = list(tracer.steps(history[0].kind, history))
        for position, many in moments:
            step = why(steps, names, field, position)
            assert step is not None
            assert (step.recorded.position, len(step.new or ())) == (position, many)
        assert why(steps, names, field, moments[0][0] - 1) is None
    assert len(changed) > 30


def test_an_element_as_a_whole_has_the_last_entry_that_changed_anything_of_it(
    tracer: Tracer, book: list[Recorded[Any]]
) -> None:
    rows_at = dict[tuple[UUID, str], dict[str, Any]]()
    changed: dict[tuple[UUID, str], list[tuple[int, dict[str, Any] | None]]] = defaultdict(list)
    for entry, rows in rows_after_each(book):
        own = public(PREFIXES[entry.kind], entry.originator_id)
        for of, (table, column) in LISTS.get(entry.kind, {}).items():
            if of not in ELEMENTS:
                continue
            name, _ = ELEMENTS[of]
            now = {f"{of}[{name.format(**row)}]": {**row} for row in rows[table].values() if row[column] == own}
            gone = {field for id, field in rows_at if id == entry.originator_id and field.startswith(f"{of}[")}
            for field in {*now, *gone}:
                at = entry.originator_id, field
                if now.get(field) != rows_at.get(at):
                    changed[at].append((entry.position, now.get(field)))
                    rows_at.pop(at, None)
                    rows_at |= {at: now[field]} if field in now else {}
    assert {field.partition("[")[0] for _, field in changed} == ELEMENTS.keys()
    removed = [field for (_, field), values in changed.items() for _, row in values if row is None]
    assert {"contactPoints", "lines"} <= {field.partition("[")[0] for field in removed}
    assert sum(len(values) > 1 for values in changed.values()) > 20
    for (id, field), moments in changed.items():
        history = [one for one in book if one.originator_id == id]
        names, steps = tracer.names(history[0].kind), list(tracer.steps(history[0].kind, history))
        former = None
        for position, row in moments:
            step = why(steps, names, field, position)
            assert step is not None
            assert (step.field, step.recorded.position) == (field, position)
            for value, there in ((step.new, row), (step.old, former)):
                columns = ELEMENTS[field.partition("[")[0]][1]
                shown = None if value is None else {one: value[one] for one in columns}
                assert shown == (None if there is None else {one: there[column] for one, column in columns.items()})
            former = row
        assert why(steps, names, field, moments[0][0] - 1) is None
        last = why(steps, names, field)
        assert last is not None
        assert last.recorded.position == moments[-1][0]


def test_a_part_of_a_value_has_the_last_entry_that_changed_that_part(tracer: Tracer, book: list[Recorded[Any]]) -> None:
    told: Told = defaultdict(list)
    for entry, rows in rows_after_each(book):
        own = public(PREFIXES[entry.kind], entry.originator_id)
        row = rows[TABLES[entry.kind]].get((own,), {})
        now = dict[str, Any]()
        for field, (amount, currency) in OBJECTS.get(entry.kind, {}).items():
            now |= money_in(field, row, amount, currency)
        if entry.kind == "ticket" and row.get("satisfaction_score") is not None:
            now["satisfaction.score"] = row["satisfaction_score"]
            now["satisfaction.comment"] = row["satisfaction_comment"]
        for line in rows["opportunity_lines"].values():
            if line["opportunity_id"] == own:
                now |= money_in(f"lines[{line['id']}].price", line, "price", "currency")
        for field in {*now, *(field for id, field in told if id == entry.originator_id)}:
            values, value = told[entry.originator_id, field], now.get(field)
            if value != (values[-1].value if values else None):
                values.append(Value(value, values[-1].value if values else None, entry.position))
    parts = {re.sub(r"\[.*\]", "", field) for (_, field), values in told.items() if values}
    assert parts >= {"amount.amount", "amount.currency", "lines.price.amount", "satisfaction.score", "price.amount"}
    apart = 0
    for (id, field), values in told.items():
        history = [one for one in book if one.originator_id == id]
        names, steps = tracer.names(history[0].kind), list(tracer.steps(history[0].kind, history))
        for at, value in enumerate(values):
            step = why(steps, names, field, values[at + 1].position - 1 if at + 1 < len(values) else None)
            assert step is not None
            assert (step.field, Value(step.new, step.old, step.recorded.position)) == (field, value)
        assert why(steps, names, field, values[0].position - 1 if values else None) is None
        if values and field.endswith(".currency"):
            whole = why(steps, names, field.removesuffix(".currency"))
            assert whole is not None
            apart += whole.recorded.position > values[-1].position
    assert apart, "an amount was changed and its currency was not"


def money_in(field: str, row: dict[str, Any], amount: str, currency: str) -> dict[str, Any]:
    if row.get(amount) is None:
        return {}
    code = row[currency]
    return {f"{field}.amount": f"{row[amount]:.{DECIMALS[code]}f}", f"{field}.currency": code}


@pytest.mark.parametrize("by_time", [False, True])
def test_what_differs_between_two_moments_is_what_the_two_folds_differ_in(
    tracer: Tracer, book: list[Recorded[Any]], by_time: bool
) -> None:
    told = told_by_the_oracle(book)
    histories = defaultdict[UUID, list[Recorded[Any]]](list)
    for one in book:
        histories[one.originator_id].append(one)
    many = 0
    for id, history in histories.items():
        kind = history[0].kind
        mine = {field for one, field in told if one == id}
        steps = list(tracer.steps(kind, history))
        for since, until in ((0, 400), (200, 600), (550, 560), (600, len(book))):
            at = partial(_at, told, id)
            expected = {
                field: (at(field, since), at(field, until)) for field in mine if at(field, since) != at(field, until)
            }
            moments: list[Moment] = [since, until]
            if by_time:
                times = [one.recorded_at for one in book]
                moments = [times[at - 1] if at else times[0] - timedelta(seconds=1) for at in (since, until)]
                if times[since : since + 1] == [moments[0]] or times[until : until + 1] == [moments[1]]:
                    continue  # the next entry was recorded at the same time: by then it stood there too
            found = {step.field: (step.old, step.new) for step in differences(steps, *moments) if step.field in mine}
            assert found == expected
            many += len(found)
    assert many > 100


def _at(told: Told, id: UUID, field: str, position: int) -> Any:
    values = [one.value for one in told[id, field] if one.position <= position]
    return values[-1] if values else None


def test_the_last_entry_between_the_moments_is_told(tracer: Tracer, book: list[Recorded[Any]]) -> None:
    for (id, field), values in told_by_the_oracle(book).items():
        history = [one for one in book if one.originator_id == id]
        for step in differences(tracer.steps(history[0].kind, history), 0):
            if step.field == field:
                assert step.recorded.position == values[-1].position


def test_money_has_the_decimals_of_its_currency_and_computed_values_are_nobodys(
    tracer: Tracer, book: list[Recorded[Any]]
) -> None:
    fields = tracer.names("opportunity").fields
    assert "amount" in fields
    assert not {"weighted", "rotten", "history", "hiddenFields"} & set(fields)
    amounts = set[tuple[str, int]]()
    for id in {one.originator_id for one in book if one.kind == "opportunity"}:
        for step in tracer.steps("opportunity", [one for one in book if one.originator_id == id]):
            if step.field == "amount" and step.new:
                amounts.add((step.new["currency"], len(step.new["amount"].partition(".")[2])))
    assert amounts
    assert amounts <= {("USD", 2), ("JPY", 0), ("KWD", 3)}


def test_what_was_erased_has_no_values_any_more_and_keeps_the_entry_that_set_it(
    tracer: Tracer, book: list[Recorded[Any]]
) -> None:
    fields = set[str]()
    told = told_by_the_oracle(book)
    left = dict[UUID, list[Step]]()
    for id in {one.originator_id for one in book}:
        history = [erased(one) for one in book if one.originator_id == id]
        left[id] = list(tracer.steps(history[0].kind, history))
        if history[0].kind in ("customer", "opportunity", "ticket"):
            shown = repr([one.left for one in left[id] if one.field.partition("[")[0] in PERSONAL])
            assert not any(text in shown for text in TEXTS)
    for (id, field), values in told.items():
        steps = left[id]
        step = origin(steps, field) or origin(steps, field.partition("[")[0])
        assert step is not None, "an entry set it, whatever was erased since"
        last = values[-1]
        assert step.recorded.position >= last.position
        if "[" not in field and not step.erased[1]:
            assert (step.new, step.recorded.position) == (last.value, last.position)
        elif "[" not in field and step.sure:
            fields.add(field)
            assert step.recorded.position == last.position
    assert fields >= {"name", "title", "subject"}


PERSONAL = {"name", "title", "subject", "legalName", "description", "tags", "contactPoints"}


def erased(entry: Recorded[Any]) -> Recorded[Any]:
    """The entry as it is read when the key of its personal part is destroyed."""
    said = catalogue.encode(entry.event, entry.reason)
    if said.personal is None:
        return entry
    event = catalogue.decode(said.name, said.public, Withheld.ERASED)
    return msgspec.structs.replace(entry, event=event, reason=None, erased=True)


@pytest.mark.parametrize(
    ("field", "why_not"),
    [
        (
            "name" + "[" * 10_000,
            r"`name\[{36}…` is no field: The text has 10004 characters; at most 1000 are allowed\.$",
        ),
        ("tags[a" + "\u0301" * 31 + "]", r"`tags\[a\u0301{31}\]` is no field: More than 30 combining marks"),
        ("name" + "[" * 3_000, r"`name\[{36}…` is no field of this record"),
        ("tags" + "[]" * 1_000 + "x", "is no field of this record"),
        ("tags" + "]" * 1_000, "is no field of this record"),
        ("tags[VIP].x", "is no field of this record"),
        ("[VIP]", "is no field of this record"),
    ],
)
def test_what_names_no_field_is_refused_whatever_it_is_made_of(tracer: Tracer, field: str, why_not: str) -> None:
    with pytest.raises(NotNamed, match=why_not):
        tracer.names("customer").checked(field)


def test_an_element_is_named_by_whatever_stands_between_the_brackets(tracer: Tracer) -> None:
    names = tracer.names("customer")
    for field in ("name", "tags", "tags[VIP]", "tags[[a] b]]", "tags[\n]", "contactPoints[x].value", "tags[]"):
        assert names.checked(field) == field
    assert tracer.names("pipeline").checked("retiredStages[a[0]].name") == "stages[a[0]].name"
