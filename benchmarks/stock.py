"""What Daybook is held against: the eventsourcing library as its documentation shows it, with the same facts."""
# ruff: noqa: ARG002 - the library makes events of the arguments

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, CanMutateAggregate, event
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

_AT_ONCE = 1_000

warnings.filterwarnings("ignore", category=DeprecationWarning, module="eventsourcing")


class StockCustomer(Aggregate):
    """A customer in the library's own style: decorated methods, mutable state, nothing sealed."""

    class Registered(Aggregate.Created):
        name: str
        email: str

    class Renamed(Aggregate.Event):
        name: str
        actor: str

    class NoteAdded(Aggregate.Event):
        note: UUID
        text: str
        actor: str

    class RevenueChanged(Aggregate.Event):
        revenue: Decimal
        actor: str

    @event(Registered)
    def __init__(self, name: str, email: str) -> None:
        self.name, self.email = name, email
        self.notes: set[UUID] = set()
        self.revenue = Decimal(0)

    @event(Renamed)
    def rename(self, name: str, actor: str) -> None:
        self.name = name

    @event(NoteAdded)
    def add_note(self, note: UUID, text: str, actor: str) -> None:
        self.notes.add(note)

    @event(RevenueChanged)
    def change_revenue(self, revenue: Decimal, actor: str) -> None:
        self.revenue = revenue


class StockCrm(Application[UUID]):
    """The library's application, on PostgreSQL."""


def environment(conninfo: str) -> dict[str, str]:
    """What the library reads its settings from."""
    named = _parameters(conninfo)
    return {"PERSISTENCE_MODULE": "eventsourcing.postgres"} | {
        f"POSTGRES_{name.upper()}": value for name, value in named.items()
    }


@contextmanager
def datastore(conninfo: str, connections: int) -> Iterator[PostgresDatastore]:
    at = _parameters(conninfo)
    store = PostgresDatastore(
        at["dbname"], at["host"], at["port"], at["user"], at["password"], pool_size=connections, max_overflow=0
    )
    try:
        yield store
    finally:
        store.close()


def stock_customer(number: int, events: int) -> StockCustomer:
    """A customer with this many events, the same as `customers.history` tells."""
    customer = StockCustomer(f"Ada Lovelace {number}", f"ada.{number}@example.com")
    for n in range(events - 1):
        match n % 3:
            case 0:
                customer.rename(f"Ada Lovelace {number}.{n}", ACTOR)
            case 1:
                customer.add_note(uuid4(), NOTE, ACTOR)
            case _:
                customer.change_revenue(Decimal("12345.67") + n, ACTOR)
    return customer


def enter_stock(crm: StockCrm, events: Iterable[CanMutateAggregate[UUID]]) -> None:
    """Append new events, many at once: a batch of 10,000 is more than the library's pipeline takes."""
    rest = iter(events)
    while some := list(islice(rest, _AT_ONCE)):
        crm.events.put(some)


NOTE = "called back, asked for a revised quote by Friday"
ACTOR = "user-000042"


def _parameters(conninfo: str) -> dict[str, str]:
    given = conninfo_to_dict(conninfo)
    return {name: str(given[name]) for name in ("dbname", "host", "port", "user", "password")}
