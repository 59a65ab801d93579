"""The same types executed by Strawberry, with a dataloader and a statement for each level.

This is how a GraphQL server is usually written in Python: `python -m benchmarks.contenders.reference postgresql://...`
"""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

import strawberry
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader

from benchmarks.contenders.uvicorn_like_ours import serve

T = TypeVar("T")

CUSTOMERS = "SELECT id, name, upper(status) AS status, version, created_at FROM daybook_read.customers"
OPPORTUNITIES = """
SELECT c.n, o.* FROM unnest(%s::text[]) WITH ORDINALITY c(id, n) CROSS JOIN LATERAL (
  SELECT id, title, upper(status) AS status, amount, currency, expected_close FROM daybook_read.opportunities
  WHERE customer_id = c.id ORDER BY opened_at DESC, id LIMIT %s
) o
"""
TICKETS = """
SELECT c.n, t.* FROM unnest(%s::text[]) WITH ORDINALITY c(id, n) CROSS JOIN LATERAL (
  SELECT id, subject, upper(status) AS status, upper(priority) AS priority, opened_at FROM daybook_read.tickets
  WHERE customer_id = c.id ORDER BY opened_at DESC, id LIMIT %s
) t
"""


@strawberry.type
class Money:
    amount: Decimal
    currency: str


@strawberry.type
class Opportunity:
    id: strawberry.ID
    title: str | None
    status: str
    amount: Money | None
    expected_close: date | None


@strawberry.type
class Ticket:
    id: strawberry.ID
    subject: str | None
    status: str
    priority: str
    opened_at: datetime


@strawberry.type
class Page(Generic[T]):
    nodes: list[T]


@strawberry.type
class Customer:
    id: strawberry.ID
    name: str | None
    status: str
    version: int
    created_at: datetime

    @strawberry.field
    async def opportunities(self, info: strawberry.Info[Any, None], first: int) -> Page[Opportunity]:
        return Page(nodes=await info.context["opportunities"].load((self.id, first)))

    @strawberry.field
    async def tickets(self, info: strawberry.Info[Any, None], first: int) -> Page[Ticket]:
        return Page(nodes=await info.context["tickets"].load((self.id, first)))


@strawberry.type
class Query:
    @strawberry.field
    async def customers(self, info: strawberry.Info[Any, None], first: int) -> Page[Customer]:
        rows = await info.context["rows"](
            f"{CUSTOMERS} WHERE status = 'active' ORDER BY created_at DESC, id LIMIT %s", first
        )
        return Page(nodes=[Customer(**row) for row in rows])

    @strawberry.field
    async def customer(self, info: strawberry.Info[Any, None], id: strawberry.ID) -> Customer | None:
        rows = await info.context["rows"](f"{CUSTOMERS} WHERE id = %s", id)
        return Customer(**rows[0]) if rows else None


class Database:
    def __init__(self, conninfo: str) -> None:
        self.pool = AsyncConnectionPool(
            conninfo, min_size=1, max_size=8, open=False, kwargs={"autocommit": True, "row_factory": dict_row}
        )

    async def rows(self, statement: str, *values: object) -> list[DictRow]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(cast("Any", statement), values)
            return cast("list[DictRow]", await cursor.fetchall())

    def context(self) -> dict[str, Any]:
        """What one request's resolvers work with."""

        async def opportunities(keys: Sequence[tuple[str, int]]) -> list[list[Opportunity]]:
            return await self._by_customer(OPPORTUNITIES, keys, _opportunity)

        async def tickets(keys: Sequence[tuple[str, int]]) -> list[list[Ticket]]:
            return await self._by_customer(TICKETS, keys, lambda row: Ticket(**row))

        return {
            "rows": self.rows,
            "opportunities": DataLoader(load_fn=cast("Any", opportunities)),
            "tickets": DataLoader(load_fn=cast("Any", tickets)),
        }

    async def _by_customer(self, statement: str, keys: Sequence[tuple[str, int]], made: Any) -> list[list[Any]]:
        found: list[list[Any]] = [[] for _ in keys]
        for row in await self.rows(statement, [id for id, _ in keys], keys[0][1]):
            found[row.pop("n") - 1].append(made(row))
        return found


def _opportunity(row: DictRow) -> Opportunity:
    amount, currency = row.pop("amount"), row.pop("currency")
    return Opportunity(**row, amount=None if amount is None else Money(amount=amount, currency=currency))


class View(GraphQL[Any, None]):
    def __init__(self, database: Database) -> None:
        super().__init__(strawberry.Schema(Query))
        self._database = database

    async def get_context(self, request: HTTPConnection, response: object) -> Any:  # noqa: ARG002 - the library's names
        return self._database.context()


def application(conninfo: str) -> Starlette:
    database = Database(conninfo)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with database.pool:
            yield

    return Starlette(routes=[Route("/graphql", cast("Any", View(database)))], lifespan=lifespan)


if __name__ == "__main__":
    serve(application(sys.argv[1]))
