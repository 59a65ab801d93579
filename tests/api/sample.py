"""Sample rows of every read table, made from a seed: with NULLs, ties, several currencies and odd letters."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from domain.kernel import COMPANY_ID, rounded, type_id
from projections.model import Table, public_id
from projections.past import stored
from projections.registry import models
from projections.sorting import sort_key
from projections.tables import READ
from tests.api.searched import COLUMNS, search_rows

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Mapping[str, list[Row]]
"""Rows by table."""

TABLES: Mapping[str, Table] = {table.name: table for model in models for table in model.tables}
WORDS = {
    ("customers", "kind"): ("person", "organisation"),
    ("customers", "relationship"): ("prospect", "active", "dormant", "former"),
    ("customers", "status"): ("active", "active", "archived", "erased"),
    ("customers", "erasure"): ("requested", "approved", "erased"),
    ("customer_contact_points", "kind"): ("email", "phone", "address", "web", "social"),
    ("customer_consents", "channel"): ("email", "phone", "post", "sms", "any"),
    ("customer_consents", "state"): ("granted", "withdrawn"),
    ("customer_consents", "basis"): ("consent", "contract", "legitimate_interest"),
    ("opportunities", "status"): ("open", "won", "lost"),
    ("opportunities", "loss_reason"): ("price", "competitor", "no_budget", "other"),
    ("pipeline_stages", "category"): ("pipeline", "best_case", "commit", "omitted"),
    ("products", "status"): ("active", "discontinued"),
    ("roles", "status"): ("active", "retired"),
    ("role_grants", "permission"): ("read_customers", "work_tickets", "see_amounts"),
    ("role_grants", "scope"): ("own", "queue", "team", "all"),
    ("api_tokens", "status"): ("active", "revoked"),
    ("api_token_grants", "permission"): ("read_customers", "read_book"),
    ("api_token_grants", "scope"): ("all",),
    ("staff_members", "status"): ("active", "deactivated"),
    ("tickets", "status"): ("new", "open", "pending", "on_hold", "solved", "closed"),
    ("tickets", "kind"): ("question", "incident", "problem", "complaint"),
    ("tickets", "priority"): ("low", "normal", "high", "urgent"),
    ("tickets", "channel"): ("email", "phone", "in_person"),
    ("tickets", "solution"): ("answered", "not_reproducible"),
    ("tickets", "severity"): ("minor", "major", "critical"),
    ("tickets", "satisfaction_score"): (1, 2, 3, 4, 5),
    ("customer_contact_points", "normalised"): ("ada@example.com", "bob@example.com"),
    ("timeline", "aggregate_kind"): ("customer", "customer", "opportunity", "team"),
    ("timeline", "event"): (
        "CustomerRegistered",
        "OpportunityAmountChanged",
        "TeamRenamed",
        "CustomerUnmasked",
        "OpportunityLost",
    ),
    ("ticket_messages", "kind"): ("customer_reply", "agent_reply", "note"),
    ("ticket_messages", "channel"): ("email", "web"),
}
REFERENCES = {
    "customer_id": "customers",
    "parent_id": "customers",
    "person_id": "customers",
    "organisation_id": "customers",
    "owner_id": "staff_members",
    "lead_id": "staff_members",
    "assignee_id": "staff_members",
    "escalated_to_staff_id": "staff_members",
    "staff_member_id": "staff_members",
    "role_id": "roles",
    "api_token_id": "api_tokens",
    "team_id": "teams",
    "escalated_to_team_id": "teams",
    "queue_id": "queues",
    "pipeline_id": "pipelines",
    "stage_id": "pipeline_stages",
    "from_stage_id": "pipeline_stages",
    "product_id": "products",
    "opportunity_id": "opportunities",
    "ticket_id": "tickets",
    "follows_id": "tickets",
    "aggregate_id": "customers",
    "subject_id": "customers",
}
KINDS = {
    "customers": "customer",
    "opportunities": "opportunity",
    "tickets": "ticket",
    "pipelines": "pipeline",
    "products": "product",
    "staff_members": "staff_member",
    "teams": "team",
    "queues": "queue",
    "roles": "role",
    "api_tokens": "api_token",
}
SIZES = {
    "role_grants": 30,
    "staff_member_roles": 30,
    "opportunities": 60,
    "opportunity_lines": 70,
    "timeline": 80,
    "tickets": 40,
    "customers": 30,
}
CURRENCIES = ("EUR", "USD", "JPY", "KWD")
ZONE = "America/New_York"
MIDNIGHTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    # In the company's zone half an hour before a month begins, or, in summer time, after it.
    datetime(2025, 3, 1, 4, 30, tzinfo=UTC),
    datetime(2025, 4, 1, 4, 30, tzinfo=UTC),
    datetime(2025, 11, 1, 4, 30, tzinfo=UTC),
)
TEXTS = (
    "", "a", "A", "Ärger", "arger", "Zoë", "zoë", "ZOË", "Łódź", "Straße", "STRASSE", "李", "李小龍",
    "\uff21\uff22", "x" * 30, 'quote " and \\ and \n line', "50%_", "𝄞", "q\u0301",
)  # fmt: skip
KEYS: Mapping[str, Callable[[str], str]] = {
    "name": sort_key, "title": sort_key, "subject": sort_key,
    "tag": str.casefold, "matter": str.casefold, "scheme": str.casefold, "purpose": str.casefold,
}  # fmt: skip
"""What the models make of a text for its column `..._key`."""


def sample(seed: int) -> Rows:
    """Rows of every table."""
    chance = random.Random(seed)
    ids = {
        table: [public_id(kind, UUID(int=chance.getrandbits(128))) for _ in range(SIZES.get(table, 12))]
        for table, kind in KINDS.items()
    }
    ids["pipeline_stages"] = [type_id("stg", UUID(int=chance.getrandbits(128))) for _ in range(12)]
    rows: dict[str, list[Row]] = {}
    for name, table in TABLES.items():
        if name.endswith("_search"):
            continue
        made: dict[tuple[Any, ...], Row] = {}
        for at in range(1 if name == "company" else SIZES.get(name, 12)):
            row = {
                column: _value(chance, name, column, declared, at, ids) for column, declared in table.columns.items()
            }
            for column, key in KEYS.items():
                if f"{column}_key" in row:
                    row[f"{column}_key"] = key(row[column] or "")
            if name in ids:
                row["id"] = ids[name][at]
            if name == "company":
                row["id"], row["currency"] = public_id("company", COMPANY_ID), "EUR"
                row["time_zone"] = ZONE
            made[tuple(row[column] for column in table.key)] = row
        rows[name] = list(made.values())
    deals = {row["id"]: row for row in rows["opportunities"]}
    for row in rows["opportunity_lines"]:
        # A deal with lines has a currency, which is theirs.
        deal = deals.get(row["opportunity_id"], {})
        row["currency"] = deal["currency"] = deal.get("currency") or "EUR"
        for column in ("price", "total"):
            _keep_minor_units(row, column, row["currency"])
    for row in (*rows["opportunities"], *rows["products"]):
        _keep_minor_units(row, "amount" if "amount" in row else "price", row["currency"])
    for row in rows["timeline"][::2]:
        # Nearly all entries speak of the record that they are of.
        row["subject_id"] = row["aggregate_id"]
    for row in rows["customers"]:
        row["revenue_currency"] = row["revenue_currency"] or "EUR"
        _keep_minor_units(row, "annual_revenue", row["revenue_currency"])
    return rows | {f"{kind}_search": search_rows(rows, kind) for kind in COLUMNS}


def _keep_minor_units(row: Row, column: str, currency: str | None) -> None:
    row[column] = None if currency is None or row[column] is None else rounded(row[column], currency)


def _value(chance: random.Random, table: str, column: str, declared: str, at: int, ids: Mapping[str, list[str]]) -> Any:
    if "NOT NULL" not in declared and chance.random() < 0.3:
        return None
    if column in REFERENCES:
        # One in ten names a record that is not there: its own lane may be parked.
        return chance.choice(ids[REFERENCES[column]]) if chance.random() < 0.9 else "nowhere_00000000000000000000000000"
    if (table, column) in WORDS:
        return chance.choice(WORDS[table, column])
    if column == "status":
        return chance.choice(("active", "active", "archived"))
    if "currency" in column:
        return chance.choice(CURRENCIES)
    if table.endswith("_external_ids") and column in ("source", "external_id"):
        return chance.choice(("old", "shop") if column == "source" else ("1", "2", "3"))
    if column == "scheme":
        return chance.choice(("industry", "Industry", "größe", "GRÖSSE", "tier"))
    if column in ("number", "ordinal") or (table, column) == ("timeline", "position"):
        return at + 1
    kind = declared.split(" ")[0]
    instant = chance.choice(MIDNIGHTS) + timedelta(microseconds=chance.randrange(5) * 86_400_000_001)
    makers: dict[str, Any] = {
        "text": f"{chance.choice(TEXTS)}{'' if chance.random() < 0.5 else at}",
        "text[]": [chance.choice(TEXTS) for _ in range(chance.randrange(3))],
        "json": {
            "name": chance.choice(TEXTS),
            "list": [1, None, {"deep": "1.50"}],
            "changes": {"annualRevenue": ["1.50", None], "website": [None, "x"]},
            "personalChanges": {},
            "owner": None,
            "reason": "price",
            "externalIds": [],
        },
        "numeric": Decimal(chance.choice(("10.00", "33.335", "0.5", "100", "12345678901234567.125"))),
        "bigint": chance.randrange(5),
        "integer": chance.randrange(3),
        "smallint": chance.randrange(3),
        "boolean": chance.random() < 0.5,
        "date": date(2026, 1, 29) + timedelta(days=chance.randrange(5)),
        "timestamptz": instant,
        "uuid": UUID(int=chance.getrandbits(128)),
    }
    if column in ("probability", "discount", "tax", "quantity"):
        return Decimal(chance.choice(("0", "12.5", "33.33", "50", "100")))
    return makers[kind]


def load(conninfo: str, rows: Rows) -> None:
    """Put the rows into the read tables of a book."""
    with psycopg.connect(conninfo) as db:
        for name, table in TABLES.items():
            columns = stored(table).columns
            statement = sql.SQL("INSERT INTO {} VALUES ({})").format(
                sql.Identifier(READ, name), sql.SQL(", ").join(sql.Placeholder() * len(columns))
            )
            since = {table.since: 1, table.since_occurred: datetime(2026, 1, 1, tzinfo=UTC)}
            values = [[_adapted({**since, **row}[column]) for column in columns] for row in rows[name]]
            with db.cursor() as cursor:
                cursor.executemany(statement, values)


def _adapted(value: Any) -> Any:
    return Json(value) if isinstance(value, dict) else value
