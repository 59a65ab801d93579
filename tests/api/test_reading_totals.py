"""Totals: figures computed by hand, months and days by the company's clock, and groups against the reference."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unicodedata import normalize
from uuid import UUID

import psycopg
import pytest
from graphql import GraphQLError, GraphQLObjectType, parse
from psycopg import sql

from domain.kernel import COMPANY_ID, type_id
from projections.model import public_id
from tests.api.desk import Desk, desk
from tests.api.questions import question
from tests.api.reference import Reference, plain
from tests.api.sample import TABLES, load, sample

ADA, BOB = (type_id("stf", UUID(int=n)) for n in (1, 2))
TOMME, BRIE = (type_id("prd", UUID(int=n)) for n in (1, 2))
LEADS, OFFERS = (type_id("stg", UUID(int=n)) for n in (1, 2))
PIPELINE = type_id("pip", UUID(int=1))
STAMP = {"version": 1, "position": 1, "recorded_at": datetime(2026, 1, 1, tzinfo=UTC)}
AT = datetime(2026, 1, 1, tzinfo=UTC)


def deal(n: int, status: str, **columns: Any) -> dict[str, Any]:
    return {
        "id": type_id("opp", UUID(int=n)),
        "title_key": "",
        "status": status,
        "pipeline_id": PIPELINE,
        "stage_id": LEADS,
        "stage_entered_at": AT,
        "probability": {"won": 100, "lost": 0, "open": 25}[status],
        "probability_overridden": False,
        "currency": "CHF" if "amount" in columns else None,
        "opened_at": AT,
        "registered_position": n,
        "last_touched_at": datetime.now(UTC),
        **STAMP,
        **columns,
    }


def ticket(n: int, score: int | None, **columns: Any) -> dict[str, Any]:
    return {
        "id": type_id("tkt", UUID(int=n)),
        "number": n,
        "subject_key": "",
        "status": "solved",
        "kind": "question",
        "priority": "normal",
        "priority_rank": 1,
        "channel": "email",
        "escalation_level": 0,
        "satisfaction_score": score,
        "opened_at": AT,
        "registered_position": n,
        "changed_at": AT,
        **STAMP,
        **columns,
    }


def insert(conninfo: str, table: str, *rows: Mapping[str, Any]) -> None:
    of = TABLES[table]
    since = {of.since: 1, of.since_occurred: AT}
    with psycopg.connect(conninfo) as db:
        for row in ({**since, **row} for row in rows):
            columns = sql.SQL(", ").join(map(sql.Identifier, row))
            values = sql.SQL(", ").join(map(sql.Placeholder, row))
            statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})")
            db.execute(statement.format(sql.Identifier("daybook_read", table), columns, values), row)


@pytest.fixture
def empty(database: str) -> str:
    """Read tables of a company in Zurich that has a pipeline of two stages, and nothing else."""
    load(database, {name: [] for name in TABLES})
    company: dict[str, Any] = {"name": "Käserei", "time_zone": "Europe/Zurich", "currency": "CHF", "language": "de"}
    company |= {"id": public_id("company", COMPANY_ID), "phone_region": "CH", "fiscal_year_start": 1}
    insert(database, "company", {**company, "created_at": AT, "changed_at": AT, **STAMP})
    pipeline = {"id": PIPELINE, "name": "Cheese", "name_key": "cheese", "status": "active"}
    insert(database, "pipelines", {**pipeline, "created_at": AT, "changed_at": AT, **STAMP})
    stage = {"pipeline_id": PIPELINE, "probability": 25, "category": "pipeline", "retired": False}
    insert(database, "pipeline_stages", {**stage, "id": OFFERS, "name": "Offers", "ordinal": 1, "idle_days": None})
    insert(database, "pipeline_stages", {**stage, "id": LEADS, "name": "Leads", "ordinal": 0, "idle_days": 14})
    return database


@pytest.fixture
def at(empty: str) -> Iterator[Desk]:
    with desk(empty) as one:
        yield one


def test_the_figures_of_deals_are_those_of_the_domain_s_page(empty: str, at: Desk) -> None:
    day = date(2026, 1, 11)
    insert(
        empty,
        "opportunities",
        deal(1, "won", amount="100.00", closed_on=day),
        deal(2, "won", amount="101.00", closed_on=day + timedelta(days=5)),
        deal(3, "won", closed_on=day + timedelta(days=6)),
        deal(4, "lost", amount="5000.00", closed_on=day),
        deal(5, "open", amount="10.10"),
        deal(6, "open", amount="10.10", probability="50"),
        deal(7, "open", amount="7", currency="JPY", probability="50"),
        deal(8, "open"),
        deal(9, "won", closed_on=date(1999, 12, 31)),
    )
    found = at.data("""{ opportunityTotals {
        count open won lost winRate averageCycleDays
        amounts { amount currency } openAmounts { amount currency } wonAmounts { amount currency }
        averageWonAmounts { amount currency } weighted { amount currency }
    } }""")
    assert found["opportunityTotals"] == {
        "count": 9,
        "open": 4,
        "won": 4,
        "lost": 1,
        "winRate": "80.00",  # 100 x 4 / (4 + 1)
        "averageCycleDays": "13.67",  # (10 + 15 + 16) / 3: the fourth was closed before it was entered
        "amounts": [{"amount": "5221.20", "currency": "CHF"}, {"amount": "7", "currency": "JPY"}],
        "openAmounts": [{"amount": "20.20", "currency": "CHF"}, {"amount": "7", "currency": "JPY"}],
        "wonAmounts": [{"amount": "201.00", "currency": "CHF"}],
        "averageWonAmounts": [{"amount": "100.50", "currency": "CHF"}],  # 201 / 2: one has no amount
        # 10.10 x 0.25 + 10.10 x 0.5 = 7.575, half-even; 7 x 0.5 = 3.5, half-even.
        "weighted": [{"amount": "7.58", "currency": "CHF"}, {"amount": "4", "currency": "JPY"}],
    }


def test_what_nothing_was_closed_of_has_no_rate(at: Desk) -> None:
    found = at.data("""{ opportunityTotals { count winRate averageCycleDays averageWonAmounts { amount } rotten }
        ticketTotals { count ratings csat } }""")
    nothing: dict[str, Any] = {
        "count": 0,
        "winRate": None,
        "averageCycleDays": None,
        "averageWonAmounts": [],
        "rotten": 0,
    }
    assert found == {"opportunityTotals": nothing, "ticketTotals": {"count": 0, "ratings": 0, "csat": None}}


def test_csat_is_the_share_of_fours_and_fives(empty: str, at: Desk) -> None:
    scores = [5, 4, 4, 3, 1, 1, None, None]
    insert(empty, "tickets", *(ticket(n, score) for n, score in enumerate(scores)))
    found = at.data("{ ticketTotals { count ratings csat unsolved } }")
    assert found == {"ticketTotals": {"count": 8, "ratings": 6, "csat": "50.00", "unsolved": 0}}


def test_a_month_begins_at_the_company_s_midnight_in_summer_and_in_winter(empty: str, at: Desk) -> None:
    """Zurich is an hour before UTC in winter, two in summer; the clocks change on 29 March and 25 October 2026."""
    moments = {
        "2026-02-28T22:59:59Z": "2026-02-01",
        "2026-02-28T23:00:00Z": "2026-03-01",
        "2026-03-31T21:59:59Z": "2026-03-01",
        "2026-03-31T22:00:00Z": "2026-04-01",
        "2026-10-31T22:59:59Z": "2026-10-01",
        "2026-10-31T23:00:00Z": "2026-11-01",
    }
    deals = [deal(n, "open", opened_at=datetime.fromisoformat(moment)) for n, moment in enumerate(moments)]
    insert(empty, "opportunities", *deals)
    found = at.data("{ opportunityGroups(by: [OPENED_MONTH]) { openedMonth count } }")["opportunityGroups"]
    months = list(moments.values())
    assert found == [{"openedMonth": one, "count": months.count(one)} for one in dict.fromkeys(months)]
    with psycopg.connect(empty) as db:
        db.execute("UPDATE daybook_read.company SET time_zone = 'Pacific/Kiritimati'")
    found = at.data("{ opportunityGroups(by: [OPENED_MONTH]) { openedMonth count } }")["opportunityGroups"]
    assert found == [
        {"openedMonth": "2026-03-01", "count": 2},
        {"openedMonth": "2026-04-01", "count": 2},
        {"openedMonth": "2026-11-01", "count": 2},
    ]


def test_rotten_is_open_and_idle_for_as_many_days_as_its_stage_says(empty: str, at: Desk) -> None:
    with psycopg.connect(empty) as db:
        # Noon of the company's today, so that a day less or more is one whatever the clock says.
        row = db.execute("SELECT date_trunc('day', now(), 'Europe/Zurich') + interval '12 hours'").fetchone()
    assert row is not None
    noon = row[0]
    ages = {1: (13, "open"), 2: (14, "open"), 3: (15, "open"), 4: (15, "won"), 5: (99, "open")}
    insert(
        empty,
        "opportunities",
        *(deal(n, status, last_touched_at=noon - timedelta(days=days)) for n, (days, status) in ages.items()),
    )
    with psycopg.connect(empty) as db:
        db.execute("UPDATE daybook_read.opportunities SET stage_id = %s WHERE registered_position = 5", (OFFERS,))
    found = at.data("""{ opportunities(first: 9, orderBy: [{field: LAST_TOUCHED_AT, direction: DESC}]) {
        nodes { id rotten } } opportunityTotals { rotten } }""")
    rotten = {one["id"] for one in found["opportunities"]["nodes"] if one["rotten"]}
    assert rotten == {type_id("opp", UUID(int=n)) for n in (2, 3)}
    assert found["opportunityTotals"] == {"rotten": 2}


BOARD = """query Board($id: ID!, $where: OpportunityWhere) {
  pipeline(id: $id) {
    stages {
      name
      cards(first: 2, where: $where) { totalCount nodes { id } pageInfo { hasNextPage } }
      totals(where: $where) { count openAmounts { amount } weighted { amount } }
    }
    totals(where: $where) { count weighted { amount } }
  }
}"""


def test_a_board_is_one_query_also_of_one_owner(empty: str, at: Desk) -> None:
    insert(
        empty,
        "opportunities",
        *(deal(n, "open", owner_id=ADA, amount="10", opened_at=AT + timedelta(days=n)) for n in (1, 2, 3)),
        deal(4, "open", owner_id=BOB, stage_id=OFFERS, amount="100", probability="50"),
        deal(5, "won", owner_id=BOB, amount="1000"),
    )
    found = at.data(BOARD, {"id": PIPELINE, "where": None})["pipeline"]
    leads, offers = found["stages"]
    assert leads == {
        "name": "Leads",
        "cards": {
            "totalCount": 3,
            "nodes": [{"id": type_id("opp", UUID(int=n))} for n in (3, 2)],
            "pageInfo": {"hasNextPage": True},
        },
        "totals": {"count": 3, "openAmounts": [{"amount": "30.00"}], "weighted": [{"amount": "7.50"}]},
    }
    assert offers["totals"] == {"count": 1, "openAmounts": [{"amount": "100.00"}], "weighted": [{"amount": "50.00"}]}
    assert found["totals"] == {"count": 4, "weighted": [{"amount": "57.50"}]}
    found = at.data(BOARD, {"id": PIPELINE, "where": {"owner": {"id": {"eq": BOB}}}})["pipeline"]
    assert [stage["totals"]["count"] for stage in found["stages"]] == [0, 1]
    assert [stage["cards"]["totalCount"] for stage in found["stages"]] == [0, 1]
    assert found["totals"] == {"count": 1, "weighted": [{"amount": "50.00"}]}


def test_a_forecast_leaves_out_the_deals_in_stages_that_are_omitted(empty: str, at: Desk) -> None:
    with psycopg.connect(empty) as db:
        db.execute("UPDATE daybook_read.pipeline_stages SET category = 'omitted' WHERE id = %s", (OFFERS,))
    insert(
        empty,
        "opportunities",
        deal(1, "open", amount="10"),
        deal(2, "open", amount="100", stage_id=OFFERS, probability="50"),
        deal(3, "open", amount="8", stage_id=type_id("stg", UUID(int=9))),  # a stage that is not there (yet)
    )
    stages = at.data(BOARD, {"id": PIPELINE, "where": None})["pipeline"]
    leads, offers = (stage["totals"] for stage in stages["stages"])
    assert leads == {"count": 1, "openAmounts": [{"amount": "10.00"}], "weighted": [{"amount": "2.50"}]}
    assert offers == {"count": 1, "openAmounts": [{"amount": "100.00"}], "weighted": []}
    assert stages["totals"] == {"count": 3, "weighted": [{"amount": "4.50"}]}
    found = at.data("""{ opportunityTotals { weighted { amount } }
        opportunityGroups(by: [STAGE]) { stage { name } openAmounts { amount } weighted { amount } }
        products: opportunityGroups(by: [PRODUCT]) { weighted { amount } }
        opportunities(first: 1, where: {amount: {eq: {amount: "100", currency: CHF}}}) { nodes { weighted { amount } } }
    }""")
    assert found["opportunityTotals"] == {"weighted": [{"amount": "4.50"}]}
    assert found["opportunityGroups"][1:] == [
        {"stage": {"name": "Offers"}, "openAmounts": [{"amount": "100.00"}], "weighted": []},
        {"stage": None, "openAmounts": [{"amount": "8.00"}], "weighted": [{"amount": "2.00"}]},
    ]
    assert found["products"] == [{"weighted": [{"amount": "4.50"}]}]
    assert found["opportunities"]["nodes"] == [{"weighted": {"amount": "50.00"}}], "a deal's own"


def test_products_add_up_to_all_deals_also_where_a_line_is_unpriced(empty: str, at: Desk) -> None:
    def line(n: int, of: int, product: str, total: str | None) -> dict[str, Any]:
        price = {"price": total, "total": total, "currency": "CHF", "quantity": 1, "discount": 0, "tax": 0}
        ids = {"id": type_id("lin", UUID(int=n)), "opportunity_id": type_id("opp", UUID(int=of))}
        return {**ids, "product_id": product, "ordinal": n, "added_at": AT, **price}

    insert(
        empty,
        "opportunities",
        deal(1, "open", amount="30"),
        deal(2, "open", currency="CHF"),  # it knows its currency, but not yet its amount
        deal(3, "open", amount="5"),
    )
    insert(
        empty,
        "opportunity_lines",
        line(1, 1, TOMME, "10"),
        line(2, 1, BRIE, "20"),
        line(3, 2, TOMME, "100"),
        line(4, 2, BRIE, None),
    )
    insert(
        empty,
        "products",
        *(
            {"id": id, "name": name, "name_key": name, "status": "active", "created_at": AT, "changed_at": AT, **STAMP}
            for id, name in ((TOMME, "tomme"), (BRIE, "brie"))
        ),
    )
    found = at.data("""{ opportunityTotals { amounts { amount } weighted { amount } }
        opportunityGroups(by: [PRODUCT]) { product { name } count amounts { amount } weighted { amount } }
        products(first: 9) { nodes { name opportunityTotals { count openAmounts { amount } } } } }""")
    assert found["opportunityTotals"] == {"amounts": [{"amount": "35.00"}], "weighted": [{"amount": "8.75"}]}
    assert [
        (one["product"] and one["product"]["name"], one["count"], one["amounts"], one["weighted"])
        for one in found["opportunityGroups"]
    ] == [
        ("tomme", 2, [{"amount": "10.00"}], [{"amount": "2.50"}]),
        ("brie", 2, [{"amount": "20.00"}], [{"amount": "5.00"}]),
        (None, 1, [{"amount": "5.00"}], [{"amount": "1.25"}]),
    ]
    assert {one["name"]: one["opportunityTotals"]["openAmounts"] for one in found["products"]["nodes"]} == {
        "tomme": [{"amount": "10.00"}],
        "brie": [{"amount": "20.00"}],
    }


def test_groups_are_bounded(empty: str, at: Desk) -> None:
    insert(empty, "opportunities", *(deal(n, "open", source=f"{n:03}") for n in range(105)))
    query = "query Q($n: Int!) { opportunityGroups(by: [SOURCE], first: $n) { source } }"
    assert [one["source"] for one in at.data(query, {"n": 2})["opportunityGroups"]] == ["000", "001"]
    assert len(at.data("{ opportunityGroups(by: [SOURCE]) { source } }")["opportunityGroups"]) == 100
    assert len(at.data(query, {"n": 1000})["opportunityGroups"]) == 105
    for n in (0, 1001):
        with pytest.raises(GraphQLError, match=f"`first` is {n}; ask for 1 to 1000"):
            at.data(query, {"n": n})


def test_classes_of_a_scheme(database: str) -> None:
    rows = sample(seed=5)
    load(database, rows)
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("UPDATE daybook_read.customer_classifications SET scheme_key = 'büro' WHERE scheme_key = 'industry'")
    query = (
        "query Q($scheme: String!) { customerGroups(by: [CLASSIFICATION], scheme: $scheme) { classification count } }"
    )
    with desk(database) as at:
        found = at.data(query, {"scheme": "BÜRO"})
        assert at.data(query, {"scheme": normalize("NFD", "Büro")}) == found
    active = {row["id"] for row in rows["customers"] if row["status"] == "active"}
    classes = [row for row in rows["customer_classifications"] if row["scheme_key"] == "industry"]
    assert any(row["customer_id"] in active for row in classes)
    counted = {one["classification"]: one["count"] for one in found["customerGroups"]}
    for value in {row["value"] for row in classes if row["customer_id"] in active}:
        assert counted[value] == sum(row["value"] == value and row["customer_id"] in active for row in classes)
    assert sum(counted.values()) == len(active)


def test_random_groups_have_the_reference_s_figures(database: str) -> None:
    """As the differential test, but every question is about totals, with the `where` of the list beside them."""
    rows = sample(seed=2)
    load(database, rows)
    reference = Reference(rows)
    with desk(database) as at:
        query = at.schema.query_type
        assert query is not None
        fields = {name: field for name, field in query.fields.items() if name.endswith(("Totals", "Groups"))}
        fields |= {name: query.fields[name] for name in ("product", "staffMember", "team")}
        only = GraphQLObjectType("Query", fields)
        for seed in range(500):
            asked, variables = question(seed, at.schema, rows, only)
            expected = plain(reference.answer(parse(asked), variables))
            assert at.data(asked, variables) == expected, (seed, asked, variables)


CONDITIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "customers": ({}, {"owner": {"id": {"isNull": False}}}, {"opportunities": {"some": {"rotten": {"eq": True}}}}),
    "opportunities": (
        {},
        {"rotten": {"eq": True}},
        {"not": {"or": [{"rotten": {"eq": True}}, {"owner": {"name": {"isNull": True}}}]}},
        {"lines": {"some": {"product": {"opportunities": {"some": {"status": {"eq": "LOST"}}}}}}},
        {"customer": {"tickets": {"none": {"status": {"in": ["SOLVED", "CLOSED"]}}}}},
    ),
    "tickets": ({}, {"assignee": {"id": {"isNull": False}}}, {"queue": {"team": {"tickets": {"some": {}}}}}),
}


def test_what_is_counted_is_what_the_list_with_the_same_conditions_shows(database: str) -> None:
    rows = sample(seed=2)
    load(database, rows)
    with desk(database) as at:
        for listed, several in CONDITIONS.items():
            name = {"opportunities": "opportunity"}.get(listed, listed.removesuffix("s"))
            counts: set[int] = set()
            for where in several:
                found = at.data(
                    f"query Q($where: {name.capitalize()}Where) {{ {listed}(first: 1, where: $where) {{ totalCount }}"
                    f" totals: {name}Totals(where: $where) {{ count }}"
                    f" groups: {name}Groups(by: [STATUS], where: $where) {{ count }} }}",
                    {"where": where},
                )
                count = found[listed]["totalCount"]
                assert count == found["totals"]["count"] == sum(one["count"] for one in found["groups"]) > 0
                counts.add(count)
            assert len(counts) == len(several), "the sample has nothing to tell these conditions by"


@pytest.mark.parametrize("amounts", [("0.01", "0.02"), ("12345678901234567.12", "12345678901234567.13")])
def test_a_mean_is_rounded_once_however_large(empty: str, at: Desk, amounts: tuple[str, str]) -> None:
    insert(empty, "opportunities", *(deal(n, "won", amount=amount) for n, amount in enumerate(amounts)))
    exact = sum(map(Decimal, amounts)) / 2
    (found,) = at.data("{ opportunityTotals { averageWonAmounts { amount } } }")["opportunityTotals"][
        "averageWonAmounts"
    ]
    assert Decimal(found["amount"]) == round(exact, 2)
