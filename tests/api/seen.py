"""What somebody sees of sample rows, in plain Python: the oracle of permissions on the side of reading.

It knows the rows and the permissions, and nothing of SQL: rows that are not seen are left out, columns that are hidden
are emptied, and what is left is a world of its own, in which the reference executor answers.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from uuid import UUID

from domain.access import READS, Authority
from domain.kernel import parse_type_id, type_id
from domain.kernel.permissions import Permission, Scope
from domain.ready_roles import READY
from projections.sorting import sort_key
from tests.api.sample import Row, Rows
from tests.api.searched import COLUMNS, search_rows

PERSONAL: Mapping[str, tuple[str, ...]] = {
    "customers": ("name", "legal_name", "salutation", "job_title", "birthday", "description"),
    "customer_contact_points": ("value", "normalised", "label"),
    "customer_links": ("role",),
    "customer_consents": ("proof",),
    "customer_notes": ("text",),
    "opportunities": ("title", "source", "campaign", "competitor", "loss_note"),
    "opportunity_notes": ("text",),
    "tickets": ("subject", "solution_note", "satisfaction_comment"),
    "ticket_messages": ("text",),
    "staff_members": ("name", "email", "normalised_email"),
    "timeline": ("reason",),
    "api_tokens": ("name",),
}
OF_PERSONS_ONLY = ("customer_tags", "customer_legal_holds", "customer_external_ids", "opportunity_external_ids",
                   "ticket_external_ids", "staff_member_external_ids", "team_external_ids")  # fmt: skip
AMOUNTS: Mapping[str, tuple[str, ...]] = {
    "customers": ("annual_revenue", "revenue_currency"),
    "opportunities": ("amount", "currency"),
    "opportunity_lines": ("price", "total"),
    "products": ("price", "currency"),
}
SORTED_BY = {"name": "name_key", "title": "title_key", "subject": "subject_key"}

HIDDEN_PERSONAL: Mapping[str, tuple[str, ...]] = {
    "Customer": (
        "name",
        "legalName",
        "salutation",
        "jobTitle",
        "birthday",
        "description",
        "tags",
        "externalIds",
        "legalHolds",
    ),
    "ContactPoint": ("value", "normalised", "label"),
    "ContactLink": ("role",),
    "Consent": ("proof",),
    "Note": ("text",),
    "Opportunity": ("title", "source", "campaign", "competitor", "lossNote", "externalIds"),
    "Ticket": ("subject", "solutionNote", "satisfaction.comment", "externalIds"),
    "Message": ("text",),
    "StaffMember": ("name", "email", "externalIds"),
    "Team": ("externalIds",),
    "ApiToken": ("name",),
    "HistoryEntry": ("reason",),
    "OpportunityGroup": ("source", "campaign"),
    "CustomerGroup": ("tag",),
}
OF_ORGANISATIONS = ("name", "legalName")
"""Are not hidden of an organisation: it is nobody's name."""
HIDDEN_AMOUNTS: Mapping[str, tuple[str, ...]] = {
    "Customer": ("annualRevenue",),
    "Opportunity": ("amount", "weighted"),
    "OpportunityLine": ("price", "total"),
    "Product": ("price",),
    **dict.fromkeys(
        ("OpportunityTotals", "OpportunityGroup"),
        ("amounts", "openAmounts", "wonAmounts", "averageWonAmounts", "weighted"),
    ),
}


OF_CUSTOMER = {"customers": "id", "customer_contact_points": "customer_id", "customer_consents": "customer_id",
               "customer_notes": "customer_id", "customer_tags": "customer_id", "customer_external_ids": "customer_id",
               "customer_legal_holds": "customer_id",
               "timeline": "aggregate_id"}  # fmt: skip
"""What unmasking a customer shows: by table, the column that names them."""
KINDS_OF_CUSTOMER = {"Customer": "id", "ContactPoint": "customer_id", "Consent": "customer_id", "Note": "customer_id",
                     "HistoryEntry": "aggregate_id"}  # fmt: skip


def _is_of(customer: str, row: Row, column: str) -> bool:
    """Whether a row is that customer's; an entry has to speak of nobody else, too."""
    return bool(row.get(column) == customer == row.get("subject_id", customer))


def seen(rows: Rows, who: Authority, unmasked: str | None = None) -> Rows:
    """The world as it is for somebody; `unmasked`: the customer whose personal data is shown to them."""

    def is_shown(table: str, row: Row) -> bool:
        return unmasked is not None and table in OF_CUSTOMER and _is_of(unmasked, row, OF_CUSTOMER[table])

    world = {table: list(some) for table, some in rows.items()}
    for table, kept in _records(who).items():
        world[table] = [row for row in rows[table] if kept(row)]
    # Who sees all records of a kind sees what belongs to them, also where a record has no row.
    tables = {kind: RECORDS[kind] for kind in RECORDS if RECORDS[kind] in limited(who)}
    left = {kind: {row["id"] for row in world[table]} for kind, table in tables.items()}
    if "customer" in left:
        world["customer_links"] = [row for row in rows["customer_links"] if row["organisation_id"] in left["customer"]]
    world["timeline"] = [
        row for row in rows["timeline"] if row["aggregate_id"] in left.get(row["aggregate_kind"], {row["aggregate_id"]})
    ]
    world["timeline"] = [_entry(row, who, personal=is_shown("timeline", row)) for row in world["timeline"]]
    if Permission.SEE_PERSONAL_DATA not in who.grants:
        for table in OF_PERSONS_ONLY:
            world[table] = [row for row in world[table] if is_shown(table, row)]
        for table, columns in PERSONAL.items():
            world[table] = [row if is_shown(table, row) else _without(row, columns) for row in world[table]]
    if Permission.SEE_AMOUNTS not in who.grants:
        for table, columns in AMOUNTS.items():
            world[table] = [_without(row, columns) for row in world[table]]
    return world


def limited(who: Authority) -> list[str]:
    """The tables of records of which there may be some that they do not see."""
    return [table for kind, table in RECORDS.items() if who.grants.get(READS[kind]) is not Scope.ALL]


def elsewhere(rows: Rows, who: Authority, chance: Random, others: Rows) -> Rows:
    """A world that differs from this one, but not in anything that they see.

    Records that they do not see are gone, or have other contents, out of `others`; what is hidden from them has other
    values.
    """
    kept, world = _records(who), {table: [dict(row) for row in some] for table, some in rows.items()}
    for table, is_seen in kept.items():
        made = list[Row]()
        for row in world[table]:
            if is_seen(row):
                made.append(row)
            elif chance.random() < 0.5:
                made.append({**chance.choice(others[table]), **{name: row[name] for name in _STAYS if name in row}})
        world[table] = made
    if who.grants.get(Permission.READ_CUSTOMERS) is not Scope.ALL:
        customers = {row["id"] for row in rows["customers"] if kept["customers"](row)}
        world["customer_links"] = [
            row for row in world["customer_links"] if row["organisation_id"] in customers or chance.random() < 0.5
        ]
    hidden = [*((PERSONAL,) if Permission.SEE_PERSONAL_DATA not in who.grants else ())]
    hidden += [AMOUNTS] if Permission.SEE_AMOUNTS not in who.grants else []
    for tables in hidden:
        for table, columns in tables.items():
            for row in world[table]:
                exempt = ("name", "legal_name") if row.get("kind") == "organisation" else ()
                for column in columns:
                    if column not in exempt and table != "timeline":
                        row[column] = chance.choice(others[table])[column]
                        if (key := SORTED_BY.get(column)) in row:
                            row[key] = sort_key(row[column])
    if Permission.SEE_PERSONAL_DATA not in who.grants:
        for table in OF_PERSONS_ONLY:
            world[table] = [row for row in world[table] if chance.random() < 0.5]
    return world | {f"{kind}_search": search_rows(world, kind) for kind in COLUMNS}


_STAYS = ("id", "number", "hash", "owner_id", "team_id", "assignee_id", "queue_id", "escalated_to_team_id")

RECORDS = {"customer": "customers", "opportunity": "opportunities", "ticket": "tickets", "api_token": "api_tokens"}


LISTED = {
    Permission.READ_CUSTOMERS: ("customers", "customerTotals", "customerGroups", "subsidiaries"),
    Permission.READ_OPPORTUNITIES: (
        "opportunities",
        "opportunityTotals",
        "opportunityGroups",
        "cards",
        "totals",
        "groups",
    ),
    Permission.READ_TICKETS: ("tickets", "ticketTotals", "ticketGroups", "escalations", "followUps"),
}
"""Lists and sums that say of what one never sees."""


def hidden_fields(who: Authority, kind: str, row: Row, unmasked: str | None = None) -> list[str]:
    """The names that `hiddenFields` gives of an object."""
    shown = unmasked is not None and kind in KINDS_OF_CUSTOMER and _is_of(unmasked, row, KINDS_OF_CUSTOMER[kind])
    found = [name for permission, names in LISTED.items() if permission not in who.grants for name in names]
    if Permission.SEE_PERSONAL_DATA not in who.grants and not shown:
        exempt = OF_ORGANISATIONS if kind == "Customer" and row["kind"] == "organisation" else ()
        found += [name for name in HIDDEN_PERSONAL.get(kind, ()) if name not in exempt]
    if Permission.SEE_AMOUNTS not in who.grants:
        found += HIDDEN_AMOUNTS.get(kind, ())
    return found


def somebody(chance: Random, rows: Rows) -> Authority:
    """One of the sample's people, in some teams and queues, with ready or random grants."""
    grants = (
        {one.permission: one.scope for one in chance.choice(READY).grants}
        if chance.random() < 0.6
        else {each: chance.choice(list(Scope)) for each in Permission if chance.random() < 0.6}
    )
    return Authority(
        actor="user:somebody",
        staff_member=_id(chance.choice(rows["staff_members"])),
        teams=frozenset(_id(row) for row in chance.sample(rows["teams"], chance.choice((0, 1, 2, 6)))),
        queues=frozenset(_id(row) for row in chance.sample(rows["queues"], chance.choice((0, 1, 3, 7)))),
        grants=grants,
    )


def is_seen(who: Authority, kind: str, place: Mapping[str, UUID | None]) -> bool:
    """Whether a record of this kind is seen where it stands there, by the names of its first command's fields."""
    columns = ("owner", "team", "assignee", "queue", "escalated_to_team")
    row = {f"{name}_id": None if (id := place.get(name)) is None else type_id("any", id) for name in columns}
    return _records(who)[RECORDS[kind]](row)


def _records(who: Authority) -> Mapping[str, Callable[[Row], bool]]:
    def own(row: Row, column: str) -> bool:
        return row[column] is not None and _uuid(row[column]) == who.staff_member

    def looked_after(permission: Permission) -> Callable[[Row], bool]:
        scope = who.grants.get(permission)
        return lambda row: (
            scope is not None
            and (
                scope is Scope.ALL
                or own(row, "owner_id")
                or (scope is Scope.TEAM and row["team_id"] is not None and _uuid(row["team_id"]) in who.teams)
            )
        )

    def ticket(row: Row) -> bool:
        scope = who.grants.get(Permission.READ_TICKETS)
        if scope is None or scope is Scope.ALL:
            return scope is Scope.ALL
        in_queue = row["queue_id"] is not None and _uuid(row["queue_id"]) in who.queues
        to_team = row["escalated_to_team_id"] is not None and _uuid(row["escalated_to_team_id"]) in who.teams
        return own(row, "assignee_id") or (scope is not Scope.OWN and in_queue) or (scope is Scope.TEAM and to_team)

    nothing, manages = not who.grants, Permission.MANAGE_ACCESS in who.grants
    return {
        "customers": looked_after(Permission.READ_CUSTOMERS),
        "opportunities": looked_after(Permission.READ_OPPORTUNITIES),
        "tickets": ticket,
        "api_tokens": lambda _: manages,
        **({table: lambda _: False for table in EVERYBODY_S} if nothing else {}),
    }


EVERYBODY_S = ("roles", "staff_members", "teams", "queues", "pipelines", "pipeline_stages", "products", "company")


PERSONAL_FACTS = {
    "CustomerRegistered": ("contactPoints", "externalIds", "name", "sharedEmailReason"),
    "CustomerUnmasked": ("reason",),
    "OpportunityLost": ("competitor", "note"),
}
MONEY_FACTS = {
    "OpportunityAmountChanged": ("newAmount", "newCurrency", "oldAmount", "oldCurrency"),
    "OpportunityLost": ("amount", "currency"),
}
"""Of the events that the sample rows are of, by name: what is hidden."""


def _entry(row: Row, who: Authority, *, personal: bool) -> Row:
    """An entry as it is seen: its hidden fields are null, and named."""
    hidden = list[str]()
    if not personal and Permission.SEE_PERSONAL_DATA not in who.grants:
        hidden += PERSONAL_FACTS.get(row["event"], ())
    if Permission.SEE_AMOUNTS not in who.grants:
        hidden += MONEY_FACTS.get(row["event"], ())
    hidden.sort()
    data = {name: None if name in hidden else value for name, value in row["data"].items()}
    return {**row, "data": data, "withheld": [*row["withheld"], *hidden]}


def _without(row: Row, columns: tuple[str, ...]) -> Row:
    if "legal_name" in row and row["kind"] == "organisation":
        columns = tuple(column for column in columns if column not in ("name", "legal_name"))
    keys = {SORTED_BY[column]: "" for column in columns if column in SORTED_BY}
    return {**row, **dict.fromkeys(columns), **{key: "" for key in keys if key in row}}


def _id(row: Mapping[str, Any]) -> UUID:
    return _uuid(row["id"])


def _uuid(id: str) -> UUID:
    return UUID(int=0) if id.startswith("nowhere") else parse_type_id(id)[1]
