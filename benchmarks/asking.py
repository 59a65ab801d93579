"""Somebody who asks a running `daybook serve`, and sees that every answer is the right one."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import msgspec
import psycopg

from benchmarks import seen
from benchmarks.growth import TIMES, in_the_middle
from benchmarks.load import Connection, Post, post
from benchmarks.people import Person
from benchmarks.questions import Question, Taken

FIRST_ONES = 3
"""So many answers to each question are compared with what plain SQL says, which may look through all customers."""
_FIRST_PAGE = "{ customers(first: 1) { pageInfo { endCursor } } }"


class Asking:
    """Over one connection that stays open. Times are from the sending of a request to the last byte of its answer."""

    def __init__(self, port: int, conninfo: str, size: int, person: Person) -> None:
        self.taken = Taken()
        self.size, self._port, self._person = size, port, person
        self._connection, self._db = Connection(port), psycopg.connect(conninfo, autocommit=True)
        first = self._data(self._connection.ask(self._post(_FIRST_PAGE, {})))
        self._cursor = in_the_middle(first["customers"]["pageInfo"]["endCursor"], conninfo, size)
        self._right: dict[tuple[str, int], int] = {}

    def close(self) -> None:
        self._connection.close()
        self._db.close()

    def ask(self, question: Question, turn: int) -> None:
        """Ask so many times, each time with other values. Raises RuntimeError where an answer is wrong."""
        for n in range(turn * TIMES, (turn + 1) * TIMES):
            variables = {"cursor": self._cursor, **question.variables(self.size, n)}
            sent = self._post(question.text, {name: variables[name] for name in question.asks_with})
            begin = perf_counter()
            answer = self._connection.ask(sent)
            self.taken.add(question, [perf_counter() - begin])
            if (question.what, n) not in self._right and n < FIRST_ONES:
                self._compare(question, variables, answer)
            # What was right once is right again: nobody enters anything meanwhile.
            if self._right.setdefault((question.what, n), hash(answer)) != hash(answer):
                raise RuntimeError(f"another answer than before: {answer[:1000]!r}")

    def _compare(self, question: Question, variables: Mapping[str, Any], answer: bytes) -> None:
        right = seen.page(self._db, self.size, self._person, question, variables)
        if seen.shown(self._data(answer)) != right or not (right.customers or question.arguments):
            raise RuntimeError(f"{question.what} with {variables}: not {right}, but {answer[:1000]!r}")

    def _post(self, query: str, variables: Mapping[str, Any]) -> Post:
        return post(self._port, "/graphql", {"query": query, "variables": variables}, self._person.headers, bool)

    def _data(self, answer: bytes) -> Any:
        answered = msgspec.json.decode(answer)
        if "errors" in answered:
            raise RuntimeError(f"not an answer: {answer[:1000]!r}")
        return answered["data"]
