"""Health and metrics: never green while the read models stand still."""

from pathlib import Path
from time import monotonic

import psycopg
import pytest

from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio


async def ready(client: Client, *, status: int) -> dict[str, object]:
    """What /readyz says once it answers with a status."""
    answer = await client.http.get("/readyz")
    for _ in range(200):
        if answer.status_code == status:
            break
        answer = await client.http.get("/readyz")
    assert answer.status_code == status, answer.text
    said: dict[str, object] = answer.json()
    return said


async def test_ready_tells_the_position_and_when_it_last_moved(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        said = await ready(client, status=200)
        assert (said["ready"], said["position"], said["of"], said["parkedLanes"]) == (True, 1, 1, 0)
        assert said["lastMovedAt"]
        assert said["problems"] == []


async def test_it_is_not_ready_while_nobody_posts(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False, patience=0.1) as client:
        await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        said = await ready(client, status=503)
        assert (said["ready"], said["position"], said["of"]) == (False, 0, 1)
        assert said["problems"]
        assert (await client.http.get("/healthz")).status_code == 200


async def test_it_is_not_ready_without_its_tables(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("DELETE FROM daybook_projections.models WHERE name = 'customers'")
        said = await ready(client, status=503)
        assert "customers is missing" in str(said["problems"])


async def test_the_metrics_count_commands_and_positions(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path) as client:
        before = await metrics(client)
        await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        await client.mutate("customerRegister", "position", kind="PERSON", name="x" * 300)
        after = await metrics(client)
        for outcome in ("done", "refused"):
            name = f'daybook_commands_total{{mutation="customerRegister",outcome="{outcome}"}}'
            assert after[name] == before.get(name, 0) + 1
        requests = 'daybook_request_seconds_count{operation="mutation",status="200"}'
        assert after[requests] == before.get(requests, 0) + 2
        assert after["daybook_book_position"] == 1
        assert after['daybook_read_model_position{model="customers"}'] == 1
        assert after['daybook_parked_lanes{model="customers"}'] == 0
        assert after["daybook_ready"] == 1


async def test_a_row_that_is_not_what_the_book_says_is_an_alarm_until_it_is_right_again(
    database: str, tmp_path: Path
) -> None:
    async with serving(database, tmp_path, attested_per_second=1_000) as client:
        await client.mutate("customerRegister", "position", kind="PERSON", name="Ada")
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("UPDATE daybook_read.customers SET name = 'Eve'")
            said = await alarmed(client, 1)
            assert (said["ready"], said["parkedLanes"], said["problems"]) == (True, 0, [])
            assert "daybook rebuild customers" in str(said["alarms"])
            assert "Eve" not in str(said)
            assert said["attestedAt"]
            seen = await metrics(client)
            assert seen['daybook_mismatched_records{model="customers"}'] == 1
            assert seen['daybook_mismatched_records{model="timeline"}'] == 0
            assert seen["daybook_attested_records"] > 0
            assert seen["daybook_attested_timestamp_seconds"] > 0
            db.execute("UPDATE daybook_read.customers SET name = 'Ada'")
        assert (await alarmed(client, 0))["alarms"] == []


async def alarmed(client: Client, many: int) -> dict[str, object]:
    """What /readyz says once it knows of so many records that differ."""
    deadline = monotonic() + 30
    while (said := (await client.http.get("/readyz")).json())["mismatchedRecords"] != many:
        assert monotonic() < deadline, said
    found: dict[str, object] = said
    return found


async def test_the_metrics_count_what_could_not_be_served(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        before = await metrics(client)
        await client.post("{ nobody }")
        await client.post("{ customers(first: 101) { totalCount } }")
        after = await metrics(client)
        for code in ("GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"):
            name = f'daybook_errors_total{{code="{code}"}}'
            assert after[name] == before.get(name, 0) + 1


async def metrics(client: Client) -> dict[str, float]:
    text = (await client.http.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}
