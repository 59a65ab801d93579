"""Folding: a customer's history from the store to its state, and a command on a very long history."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias
from uuid import UUID, uuid4

from api.composition import Parts
from benchmarks import customers
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import Operation, medians_of, timed
from benchmarks.stock import ACTOR, NOTE, StockCrm, StockCustomer, enter_stock, environment, stock_customer
from benchmarks.watch import Window
from domain.access import unlimited
from domain.customer import AddCustomerNote, Customer
from domain.daybook import Daybook
from domain.kernel import new_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from infra.factory import BookFactory

LONG, VERY_LONG = 1_000, 10_000
STOCK, SEALED, OPENED = "stock repository.get", "ours, left sealed", "ours, opened"
STOCK_COMMAND, COLD, REMEMBERED = "stock get and save", "cold", "remembered"


Names: TypeAlias = tuple[str, ...]
FOLDS: Names = (STOCK, SEALED, OPENED)
COMMANDS: Names = (STOCK_COMMAND, COLD, REMEMBERED)
EACH = 12
Several: TypeAlias = list[dict[str, float]]
"""Seconds of each call, in turns."""


class Pair(NamedTuple):
    """The same history in the stock library and in the book."""

    crm: StockCrm
    parts: Parts
    stock: UUID
    ours: UUID


def run(laboratory: Laboratory) -> Section:
    rounds, watch = laboratory.scale.rounds, laboratory.watch()
    with laboratory.database() as conninfo, laboratory.book() as parts, StockCrm(env=environment(conninfo)) as crm:
        laboratory.say(f"fold: a customer with {LONG:,} events")
        long = _enter(crm, parts, LONG)
        _check(long)
        folds = watch.rounds(partial(_several, lambda name: timed(_fold(name, long))), [FOLDS], rounds)
        laboratory.say(f"fold: a customer with {VERY_LONG:,} events")
        very_long = _enter(crm, parts, VERY_LONG)
        _check(very_long)
        remembering = Remembering(very_long)
        commands = watch.rounds(partial(_several, remembering.seconds), [COMMANDS], rounds)
    return Section(
        "Folding",
        [*folds.figures(_fold_figures), *commands.figures(_command_figures)],
        [
            (
                "Nothing is remembered between two folds. Every one of our events has a sealed part, the stock ones"
                " have none. `Left sealed` is what a decision about another aggregate needs: its standing, for which"
                " only the events that bear on it are read. `Opened` is what a decision on this one needs: the whole"
                " state, for which notes are left sealed and of the renamings only the last is folded."
            ),
            watch.said() + f" One is {EACH} calls of each of three, in turns.",
        ],
    )


def _several(seconds: Callable[[str], float], names: Names, window: Window) -> Several:
    # Calls are short, and looks are not: many calls between two looks.
    with window:
        return [{name: seconds(name) for name in names} for _ in range(EACH)]


def _fold_figures(found: Mapping[Names, Sequence[Several]]) -> list[Figure]:
    took = _medians(found)
    return [
        Figure(f"{LONG:,} events: {STOCK}", 1000 * took[STOCK], "ms"),
        Figure(f"{LONG:,} events: {SEALED}, against it", took[STOCK] / took[SEALED], "x", Goal(15, "at least")),
        Figure(f"{LONG:,} events: {OPENED}, against it", took[STOCK] / took[OPENED], "x", Goal(6, "at least")),
    ]


def _command_figures(found: Mapping[Names, Sequence[Several]]) -> list[Figure]:
    took, what = _medians(found), f"a command on {VERY_LONG:,} events"
    return [
        Figure(f"{what}: {STOCK_COMMAND}", 1000 * took[STOCK_COMMAND], "ms"),
        Figure(f"{what}: ours, {COLD}", 1000 * took[COLD], "ms"),
        Figure(f"{what}: ours, {REMEMBERED}", 1000 * took[REMEMBERED], "ms"),
        Figure("the remembered one, against the stock one", took[STOCK_COMMAND] / took[REMEMBERED], "x"),
    ]


def _medians(found: Mapping[Names, Sequence[Several]]) -> dict[str, float]:
    ((names, several),) = found.items()
    return medians_of({name: [turn[name] for one in several for turn in one] for name in names})


def _enter(crm: StockCrm, parts: Parts, events: int) -> Pair:
    stock, ours = stock_customer(1, events), new_id()
    enter_stock(crm, stock.collect_events())
    customers.enter(parts, customers.drafts(ours, customers.history(1, events)))
    return Pair(crm, parts, stock.id, ours)


def _fold(name: str, pair: Pair) -> Operation:
    if name == STOCK:
        return partial(pair.crm.repository.get, pair.stock)
    return partial(fresh(pair.parts).fold, pair.ours, opened=name == OPENED)


def fresh(parts: Parts) -> Daybook:
    """A door that remembers nothing yet."""
    return Daybook(BookFactory(parts.store), parts.mapper, parts.mapper.catalogue, parts.store, parts.vault)


def _check(pair: Pair) -> None:
    """Both tell the same story."""
    stock: StockCustomer = pair.crm.repository.get(pair.stock)
    fold = fresh(pair.parts).fold(pair.ours)
    ours = fold.state
    if not isinstance(ours, Customer):
        raise TypeError(f"the fold gave {type(ours)}")
    found = (fold.version, ours.name, len(ours.parts) - 1, ours.details["annual_revenue"])
    if found != (stock.version, stock.name, len(stock.notes), str(stock.revenue)):
        raise ValueError("the two customers differ")


class Remembering:
    """One note after another on the same customer."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._warm = pair, fresh(pair.parts)
        self._warm.fold(pair.ours)

    def seconds(self, how: str) -> float:
        if how == STOCK_COMMAND:
            return timed(self._stock)
        daybook = self._warm if how == REMEMBERED else fresh(self._pair.parts)
        command = AddCustomerNote(id=self._pair.ours, note=new_id(), text=NOTE)
        context = Context(actor=ACTOR, idempotency_key=uuid4(), correlation_id=uuid4())
        return timed(lambda: blocking(daybook.handle(command, context, unlimited(ACTOR))))

    def _stock(self) -> None:
        customer: StockCustomer = self._pair.crm.repository.get(self._pair.stock)
        customer.add_note(uuid4(), NOTE, ACTOR)
        self._pair.crm.save(customer)
