"""The main job on real data: Maven's data set, killed in the middle, resumed, and counted against the CSV itself."""

import asyncio
import csv
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from api.composition import Parts
from api.importing.outcomes import Summary
from tests.api.book import serving
from tests.api.filled import MAPPINGS, SHARED, asked, entries, imported, in_plain, opened, posted, raw_dump, url

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason=f"the Maven data set is not at {SHARED}")

PASSES = [
    ("products", "products.csv", "products.toml"),
    ("teams", "sales_teams.csv", "regions.toml"),
    ("staff", "sales_teams.csv", "managers.toml"),
    ("teams", "sales_teams.csv", "teams.toml"),
    ("staff", "sales_teams.csv", "agents.toml"),
    ("customers", "accounts.csv", "accounts.toml"),
    ("opportunities", "sales_pipeline.csv", "sales_pipeline.toml"),
]
MAPS = MAPPINGS / "maven-crm"


@pytest.fixture
def book(database: str, tmp_path: Path) -> Iterator[Parts]:
    with opened(database, tmp_path) as parts:
        yield parts


def load(parts: Parts, folder: Path, passes: list[tuple[str, str, str]]) -> list[Summary]:
    """Import copies, so that rejected rows are never written beside the originals."""
    for _, file, _ in passes:
        (folder / file).write_bytes((SHARED / file).read_bytes())
    return [imported(parts, kind, folder / file, MAPS / mapping, "maven") for kind, file, mapping in passes]


def rows(file: str) -> list[dict[str, str]]:
    with (SHARED / file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def won_by(column: str, deals: list[dict[str, str]]) -> dict[str, tuple[int, Decimal]]:
    sums: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for deal in deals:
        if deal["deal_stage"] == "Won":
            name = "GTX Pro" if deal[column] == "GTXPro" else deal[column]
            count, amount = sums[name]
            sums[name] = count + 1, amount + Decimal(deal["close_value"])
    return dict(sums)


def test_the_maven_data_is_entered_once_through_a_kill_and_a_second_time(
    book: Parts, database: str, tmp_path: Path
) -> None:
    load(book, tmp_path, PASSES[:-1])
    _kill_in_the_middle(database, tmp_path)
    partly = _opened(book)
    assert 0 < partly < 8800

    [summary] = load(book, tmp_path, PASSES[-1:])
    assert (summary.rows, summary.rejected) == (8800, 0)
    assert summary.created == 8800 - partly

    # One event for each fact of the file, and not one twice.
    deals = rows("sales_pipeline.csv")
    won = [deal for deal in deals if deal["deal_stage"] == "Won"]
    lost = [deal for deal in deals if deal["deal_stage"] == "Lost"]
    facts = dict(asked(book, "SELECT topic, count(*)::int FROM daybook.events WHERE topic LIKE 'Opp%%' GROUP BY topic"))
    assert facts == {
        "OpportunityOpened": len(deals),
        "OpportunityLineChanged": len(won),
        "OpportunityWon": len(won),
        "OpportunityLost": len(lost),
    }
    assert (len(won), sum(Decimal(deal["close_value"]) for deal in won), len(lost)) == (4238, 10_005_534, 2473)
    _check_sums(book, deals)
    _check_dates(book, deals)
    _check_accounts_and_people(book)

    _check_nothing_personal_in_plain(database)
    asyncio.run(_check_answers_of_graphql(database, tmp_path, str(entries(book)), deals))

    before = entries(book)
    again = load(book, tmp_path, PASSES)
    assert entries(book) == before
    assert [(one.created, one.changed, one.rejected) for one in again] == [(0, 0, 0)] * len(PASSES)
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("DELETE FROM daybook.receipts; DELETE FROM daybook.imported")
    assert {one.changed for one in load(book, tmp_path, PASSES)} == {0}, "the entries alone tell what is done"
    assert entries(book) == before


def _kill_in_the_middle(database: str, folder: Path) -> None:
    file = folder / "sales_pipeline.csv"
    file.write_bytes((SHARED / "sales_pipeline.csv").read_bytes())
    environment = {
        **os.environ,
        "DATABASE_URL": url(database),
        "DAYBOOK_DATA": str(folder),
        "DAYBOOK_MASTER_KEY_FILE": str(folder / "master.key"),
    }
    command = ["import", "opportunities", str(file), "--map", str(MAPS / "sales_pipeline.toml"), "--source", "maven"]
    with (
        psycopg.connect(database, autocommit=True) as db,
        subprocess.Popen([sys.executable, "-m", "api.command_line", *command], env=environment) as importing,
    ):
        while importing.poll() is None:
            opened_now = db.execute("SELECT count(*) FROM daybook.events WHERE topic = 'OpportunityOpened'").fetchone()
            if opened_now is not None and opened_now[0] > 2000:
                importing.send_signal(signal.SIGKILL)
                break
        assert importing.wait(60) == -signal.SIGKILL


def _opened(book: Parts) -> int:
    [(count,)] = asked(book, "SELECT count(*)::int FROM daybook.events WHERE topic = 'OpportunityOpened'")
    return int(count)


def _check_sums(book: Parts, deals: list[dict[str, str]]) -> None:
    posted(book, "opportunities", "customers", "products", "staff_members", "pipelines", "teams")
    by_status = asked(
        book,
        """
        SELECT status, s.name, count(*)::int, sum(amount) FROM daybook_read.opportunities AS o
        JOIN daybook_read.pipeline_stages AS s ON s.id = o.stage_id GROUP BY status, s.name ORDER BY status, s.name
        """,
    )
    assert by_status == [
        ("lost", "Engaging", 2473, None),
        ("open", "Engaging", 1589, None),
        ("open", "Prospecting", 500, None),
        ("won", "Engaging", 4238, Decimal(10_005_534)),
    ]
    per_product = asked(
        book,
        """
        SELECT p.name, count(*)::int, sum(l.total) FROM daybook_read.opportunities AS o
        JOIN daybook_read.opportunity_lines AS l ON l.opportunity_id = o.id
        JOIN daybook_read.products AS p ON p.id = l.product_id WHERE o.status = 'won' GROUP BY p.name
        """,
    )
    per_agent = asked(
        book,
        """
        SELECT s.name, count(*)::int, sum(o.amount) FROM daybook_read.opportunities AS o
        JOIN daybook_read.staff_members AS s ON s.id = o.owner_id WHERE o.status = 'won' GROUP BY s.name
        """,
    )
    per_account = asked(
        book,
        """
        SELECT c.name, count(*)::int, sum(o.amount) FROM daybook_read.opportunities AS o
        JOIN daybook_read.customers AS c ON c.id = o.customer_id WHERE o.status = 'won' GROUP BY c.name
        """,
    )
    for column, found in (("product", per_product), ("sales_agent", per_agent), ("account", per_account)):
        assert {name: (count, amount) for name, count, amount in found} == won_by(column, deals)
    nobody = asked(book, "SELECT count(*)::int FROM daybook_read.opportunities WHERE customer_id IS NULL")
    assert nobody == [(sum(deal["account"] == "" for deal in deals),)] == [(1425,)]


def _check_dates(book: Parts, deals: list[dict[str, str]]) -> None:
    days = asked(
        book,
        """
        SELECT x.external_id, o.opened_at::date::text, o.closed_on::text FROM daybook_read.opportunities AS o
        JOIN daybook_read.opportunity_external_ids AS x ON x.opportunity_id = o.id
        """,
    )
    found = {id: (began, ended) for id, began, ended in days}
    engaged = [deal for deal in deals if deal["engage_date"]]
    assert {deal["opportunity_id"]: found[deal["opportunity_id"]] for deal in engaged} == {
        deal["opportunity_id"]: (deal["engage_date"], deal["close_date"] or None) for deal in engaged
    }


def _check_accounts_and_people(book: Parts) -> None:
    accounts = rows("accounts.csv")
    customers = asked(
        book,
        """
        SELECT c.name, c.founded_year, c.employees, c.annual_revenue, mother.name
        FROM daybook_read.customers AS c LEFT JOIN daybook_read.customers AS mother ON mother.id = c.parent_id
        """,
    )
    assert {name: tuple(rest) for name, *rest in customers} == {
        account["account"]: (
            int(account["year_established"]),
            int(account["employees"]),
            Decimal(account["revenue"]) * 1_000_000,
            account["subsidiary_of"] or None,
        )
        for account in accounts
    }
    industries = {value for (value,) in asked(book, "SELECT DISTINCT value FROM daybook_read.customer_classifications")}
    assert {"technology", "Philippines"} <= industries
    assert not {"technolgy", "Philipines"} & industries
    agents = asked(
        book,
        """
        SELECT agent.name, lead.name, region.name FROM daybook_read.staff_members AS agent
        JOIN daybook_read.teams AS team ON team.id = agent.team_id
        JOIN daybook_read.staff_members AS lead ON lead.id = team.lead_id
        JOIN daybook_read.teams AS region ON region.id = team.parent_id
        """,
    )
    assert {tuple(agent) for agent in agents} == {
        (row["sales_agent"], row["manager"], f"Sales {row['regional_office']}") for row in rows("sales_teams.csv")
    }
    assert len(agents) == 35


def _check_nothing_personal_in_plain(database: str) -> None:
    people = {row[who] for row in rows("sales_teams.csv") for who in ("sales_agent", "manager")}
    accounts = {row["account"] for row in rows("accounts.csv")}
    titles = {f"{deal['product']} for {deal['account']}" for deal in rows("sales_pipeline.csv") if deal["account"]}
    dump = raw_dump(database)
    assert b"OpportunityWon" in dump
    assert in_plain(people | accounts | titles, dump) == []


async def _check_answers_of_graphql(database: str, folder: Path, position: str, deals: list[dict[str, str]]) -> None:
    query = """
        {
          statuses: opportunityGroups(by: [STATUS]) { status count amounts { amount currency } }
          stages: opportunityGroups(by: [STAGE], where: {status: {eq: OPEN}}) { stage { name } count }
          product: opportunityGroups(by: [PRODUCT], where: {status: {eq: WON}}) {
            product { name } count amounts { amount }
          }
          sales_agent: opportunityGroups(by: [OWNER], where: {status: {eq: WON}}) {
            owner { name } count amounts { amount }
          }
          account: opportunityGroups(by: [CUSTOMER], where: {status: {eq: WON}}) {
            customer { name } count amounts { amount }
          }
          all: opportunityTotals { winRate averageWonAmounts { amount currency } }
          customers(first: 1) { totalCount }
          products(first: 1) { totalCount }
        }
    """
    async with serving(database, folder) as client:
        data = await client.data(query, Daybook_At_Least=position)
    statuses = {one["status"]: (one["count"], one["amounts"]) for one in data["statuses"]}
    assert statuses == {
        "WON": (4238, [{"amount": "10005534.00", "currency": "USD"}]),
        "LOST": (2473, []),
        "OPEN": (2089, []),
    }
    # 100 x 4,238 / (4,238 + 2,473), and 10,005,534 / 4,238.
    assert data["all"] == {"winRate": "63.15", "averageWonAmounts": [{"amount": "2360.91", "currency": "USD"}]}
    assert {one["stage"]["name"]: one["count"] for one in data["stages"]} == {"Engaging": 1589, "Prospecting": 500}
    assert (data["customers"]["totalCount"], data["products"]["totalCount"]) == (85, 7)
    for column, named in (("product", "product"), ("sales_agent", "owner"), ("account", "customer")):
        found = {one[named]["name"]: (one["count"], Decimal(one["amounts"][0]["amount"])) for one in data[column]}
        assert found == won_by(column, deals)
