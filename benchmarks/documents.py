"""Documents: the CPU that a bomb costs before it is refused, and that an honest query costs, new and known."""

import statistics
import time
from collections.abc import Callable
from contextlib import suppress

from graphql import GraphQLError

from api.documents import Documents, Faulty, Policy
from api.schema import make_schema
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Goal, Section
from benchmarks.rounds import medians
from tests.api.bombs import BOMBS

_TURNS = 20
_PAGE = """query Page($n: Int!) {
  customers(first: $n) {
    totalCount
    nodes { id name owner { name } opportunities(first: 5) { nodes { id title amount { amount currency } } } }
    pageInfo { hasNextPage endCursor }
  }
}"""


def run(laboratory: Laboratory) -> Section:
    laboratory.say("documents: bombs")
    schema = make_schema()._schema
    policy = Policy(production=True)
    known = Documents(schema, policy)
    known.of(_PAGE, None, {"n": 50})

    def of(documents: Documents, text: str) -> None:
        with suppress(GraphQLError, Faulty):
            document, operation = documents.of(text, None, {"n": 50})
            document.cost(operation, {"n": 50})

    contenders: dict[str, Callable[[], None]] = {
        **{f"a bomb: {name}": lambda text=text: of(known, text) for name, text in BOMBS.items()},  # type: ignore[misc]
        "a page of customers, new": lambda: of(Documents(schema, policy), _PAGE),
        "a page of customers, known": lambda: of(known, _PAGE),
    }
    found = medians(lambda name: _cpu_ms(contenders[name]), contenders, laboratory.scale.rounds)
    figures = [
        Figure(name, ms, "ms", Goal(5, "at most") if name.startswith("a bomb") else None) for name, ms in found.items()
    ]
    said = (
        "CPU of one thread, from the text to the refusal, or to the operation that can be run. A `known` document is"
        " looked up by its text, with its cost for these sizes of pages."
    )
    return Section("Documents", figures, [said])


def _cpu_ms(operation: Callable[[], None]) -> float:
    took = list[float]()
    for _ in range(_TURNS):
        began = time.thread_time()
        operation()
        took.append(time.thread_time() - began)
    return 1000 * statistics.median(took)
