"""The page that is read: customers with their deals and tickets, put straight into the tables of the read models."""

from typing import Any

import psycopg
from psycopg import sql

from domain.kernel import new_id, type_id
from infra.migrations import migrate
from projections.customers import CUSTOMERS
from projections.model import Table, public_id
from projections.opportunities import OPPORTUNITIES
from projections.registry import models
from projections.tables import READ, install
from projections.tickets import TICKETS

CUSTOMERS_IN_ALL = 1_000
OPPORTUNITIES_EACH, TICKETS_EACH = 5, 3
ON_PAGE = 50

_CUSTOMER = f"""{{ id name status version createdAt
  opportunities(first: {OPPORTUNITIES_EACH}) {{
    nodes {{ id title status amount {{ amount currency }} expectedClose }} }}
  tickets(first: {TICKETS_EACH}) {{ nodes {{ id subject status priority openedAt }} }} }}"""
PAGE = f"query Page($first: Int!) {{ customers(first: $first) {{ nodes {_CUSTOMER} }} }}"
ONE = f"query One($id: ID!) {{ customer(id: $id) {_CUSTOMER} }}"

_FOR_POSTGRAPHILE = f"""{{ id: rowId name status version createdAt
  opportunities: opportunitiesByCustomerId(first: {OPPORTUNITIES_EACH}, orderBy: [OPENED_AT_DESC, ROW_ID_ASC]) {{
    nodes {{ id: rowId title status amount {{ amount currency }} expectedClose }} }}
  tickets: ticketsByCustomerId(first: {TICKETS_EACH}, orderBy: [OPENED_AT_DESC, ROW_ID_ASC]) {{
    nodes {{ id: rowId subject status priority openedAt }} }} }}"""
POSTGRAPHILE_PAGE = (
    "query Page($first: Int!) { customers: allCustomers(first: $first, orderBy: [CREATED_AT_DESC, ROW_ID_ASC]) {"
    f" nodes {_FOR_POSTGRAPHILE} }} }}"
)
POSTGRAPHILE_ONE = f"query One($id: String!) {{ customer: customerByRowId(rowId: $id) {_FOR_POSTGRAPHILE} }}"


def fill(conninfo: str) -> str:
    """Make the read models of an empty database and put the customers into them; returns the id of the latest one."""
    migrate(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as db:
        install(db, models)
        pipeline, stage = public_id("pipeline", new_id()), type_id("stg", new_id())
        ids = [public_id("customer", new_id()) for _ in range(CUSTOMERS_IN_ALL)]
        stamp = {"version": 7, "position": 1, "recorded_at": "2026-03-01T10:00:00Z",
                 "since_occurred_at": "2026-03-01T10:00:00Z"}  # fmt: skip
        for at, id in enumerate(ids):
            _put(
                db, CUSTOMERS, id=id, kind="organisation", name=f"Müller & Söhne {at} GmbH", name_key=f"muller {at}",
                status="active", relationship="active", created_at=_time(at, 0), changed_at=_time(at, 9),
                registered_position=at, **stamp,
            )  # fmt: skip
            for n in range(OPPORTUNITIES_EACH):
                _put(
                    db, OPPORTUNITIES, id=public_id("opportunity", new_id()), title=f"Renewal {n} of contract {at}",
                    title_key=f"renewal {n}", status="open", customer_id=id, pipeline_id=pipeline, stage_id=stage,
                    stage_entered_at=_time(at, n), probability=50, probability_overridden=False,
                    amount=f"{1000 + at}.50", currency="EUR", expected_close="2026-09-30", opened_at=_time(at, n),
                    registered_position=at, last_touched_at=_time(at, n), **stamp,
                )  # fmt: skip
            for n in range(TICKETS_EACH):
                _put(
                    db, TICKETS, id=public_id("ticket", new_id()), number=TICKETS_EACH * at + n + 1,
                    subject=f"Invoice {n} can't be opened", subject_key=f"invoice {n}", status="open", kind="question",
                    priority="normal", priority_rank=1, channel="email", customer_id=id, escalation_level=0,
                    opened_at=_time(at, n), registered_position=at, changed_at=_time(at, n), **stamp,
                )  # fmt: skip
        db.execute("VACUUM ANALYZE")
    return ids[-1]


def _time(at: int, minute: int) -> str:
    return f"2026-0{1 + at // 672}-{1 + at // 24 % 28:02}T{at % 24:02}:{minute:02}:00Z"


def _put(db: psycopg.Connection[Any], table: Table, **row: Any) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(READ, table.name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    db.execute(statement, list(row.values()))
