"""`daybook import` killed in the middle, at named points, and begun again until it comes to its end."""

import csv
import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.invariants import book_holds, read_models_and_reservations_follow
from tests.faults.processes import Process, stopped_at_the_end, until
from tests.faults.report import FULL, Report, seeds

pytestmark = pytest.mark.campaign

ROWS = 120
POINTS = ("import-row-entered", "before-commit", "committed-unanswered", "one-of-batch-answered")
MAPPING = """
kind = "customers"
external_id = "id"

[[step]]
do = "register"
[step.fields]
kind = { constant = "organisation" }
name = "company"
parent = { column = "mother", find = "customer" }

[[step]]
do = "changeDetails"
[step.fields]
employees = "people"
annual_revenue = "revenue"
revenue_currency = { constant = "EUR" }

[[step]]
do = "classify"
[step.fields]
scheme = { constant = "industry" }
value = "industry"
"""


def made_up(numbers: random.Random, file: Path) -> list[dict[str, str]]:
    """Companies, some of them another's daughter, perhaps one further down in the file."""
    rows = [
        {
            "id": f"c-{number}",
            "company": f"Company {number}",
            "mother": f"c-{numbers.randrange(number + 1, ROWS)}" if number < ROWS - 1 and number % 7 == 0 else "",
            "people": str(numbers.randrange(1, 5000)),
            "revenue": f"{numbers.randrange(1, 10**8)}.{numbers.randrange(100):02}",
            "industry": numbers.choice(["retail", "software", "mining"]),
        }
        for number in range(ROWS)
    ]
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


@pytest.mark.parametrize("seed", seeds(1, 10))
def test_an_import_killed_in_the_middle(database: str, tmp_path: Path, seed: int, report: Report) -> None:
    numbers = random.Random(seed)
    file, mapping = tmp_path / "companies.csv", tmp_path / "mapping.toml"
    rows = made_up(numbers, file)
    mapping.write_text(MAPPING)
    arguments = ("import", "customers", str(file), "--map", str(mapping), "--source", "old-crm", "--json")
    importing = Process(database, tmp_path, *arguments, name="import")
    work = Process(database, tmp_path, "work", name="work")
    kills = 0
    with stopped_at_the_end(importing, work):
        for point in numbers.choices(POINTS, k=20 if FULL else len(POINTS)):
            print(point)  # pytest shows the last one where it went wrong
            importing.start(point, passes=numbers.randrange(1, 12 if "commit" in point else 40))
            kills += importing.wait_done() != 0
        importing.start()
        assert importing.wait_done() == 0, importing.tail()
        assert kills > 1
        work.start()
        with psycopg.connect(database, autocommit=True) as db:
            head = book_holds(db)
            until(lambda: _posted(db) == head, "the read models reach the end of the book")
            the_file_is_in(db, rows)
            read_models_and_reservations_follow(db, database, tmp_path)
            importing.log.unlink()
            importing.start()
            assert importing.wait_done() == 0
            summary: dict[str, Any] = json.loads(importing.tail()[importing.tail().index("{") :])
            assert (summary["unchanged"], summary["created"], summary["changed"]) == (ROWS, 0, 0)
            assert book_holds(db) == head, "the same file again changes something"
        assert work.stop() == 0
    report.add_import(seed=seed, faults=kills, rows=ROWS, events=head)


def the_file_is_in(db: psycopg.Connection[Any], rows: list[dict[str, str]]) -> None:
    """Each row is there once, by the same three or two events that a whole import leaves."""
    found = db.execute(
        "SELECT external_id, c.name, coalesce(mother.name, ''), c.employees, c.annual_revenue"
        " FROM daybook_read.customers AS c JOIN daybook_read.customer_external_ids AS e ON e.customer_id = c.id"
        " LEFT JOIN daybook_read.customers AS mother ON mother.id = c.parent_id"
    ).fetchall()
    expected = [
        (
            row["id"],
            row["company"],
            row["mother"].replace("c-", "Company "),
            int(row["people"]),
            Decimal(row["revenue"]),
        )
        for row in rows
    ]
    assert sorted(found) == sorted(expected)
    industries = db.execute(
        "SELECT value, count(*) FROM daybook_read.customer_classifications WHERE scheme = 'industry' GROUP BY 1"
    ).fetchall()
    assert dict(industries) == Counter(row["industry"] for row in rows)
    [(events,)] = db.execute("SELECT count(*) FROM daybook.events WHERE topic LIKE 'Customer%'")
    assert events == 3 * ROWS


def _posted(db: psycopg.Connection[Any]) -> int:
    [(position,)] = db.execute("SELECT min(position) FROM daybook_projections.models")
    return int(position)
