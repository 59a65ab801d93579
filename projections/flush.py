"""From postings to set-based SQL: what a batch changes, folded to one change a row, as a few statements a table.

What each row was before, and after each event of the batch but the last, goes into the past (`past.py`) beside it, by
statements that read the rows as they were. Where statements run one by one, these come first, or are the one that
changes the row; where all are one statement, it has one snapshot.

The rows of a statement travel as one JSON text, which the server takes apart with the column types of the Table
(`json_to_recordset`). That is as fast as arrays through `unnest`, and it carries what arrays can't: columns that are
arrays themselves (`text[]`), JSON columns, and rows of any shape. So a value is anything that msgspec writes as JSON
and the column's type reads as text: str, int, bool, Decimal, date, datetime, UUID, lists for arrays, dicts and lists
for json; not bytes.
"""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import msgspec
from psycopg.types.json import Json

from infra.times import IN_UTC
from projections.model import Key, Table
from projections.past import UNTIL, UNTIL_OCCURRED, At, Turn
from projections.statements import PATCH, Text, clearing, text_of
from projections.tables import Change, Db

Alike: TypeAlias = dict[tuple[str, frozenset[str]], list[Mapping[str, Any]]]
"""Rows by what one statement does with them: a verb, and the columns that it names."""

LONGEST_IDLE = 30.0
"""Seconds in a transaction without a statement after which it is given up: whoever holds its locks was suspended."""


class Statement(NamedTuple):
    text: Text
    rows: bytes
    """A JSON array of objects, encoded already."""


class Flush:
    """Writes the changes of postings into the tables of one schema. Keeps the text of every statement it has made."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._texts: dict[tuple[str, str, frozenset[str]], Text] = {}
        self._kinds: dict[tuple[str, str, tuple[str, ...]], tuple[str, frozenset[str]]] = {}
        self._numbers = count()
        """Of the texts. While one thread writes a batch with care, another one prepares the next."""
        self._encode = msgspec.json.Encoder().encode

    def statements(self, postings: Iterable[tuple[At, Iterable[Change]]]) -> list[Statement]:
        """The statements that leave the rows as these changes, one after the other, would have left them.

        Each event's changes come with its place in the book, in the order of the book. Raises whatever a value raises
        that can't be written as JSON.
        """
        made: list[Statement] = []
        for table, turns, cleared in folded(postings):
            if cleared:
                rows = self._encode([{table.of: record} for record in cleared])
                made += [Statement(self._text(table, verb, frozenset()), rows) for verb in clearing(table)]
            made += [
                Statement(self._text(table, verb, given), self._encode(rows))
                for (verb, given), rows in self._alike(table, turns).items()
                if rows
            ]
        return made

    def _alike(self, table: Table, turns: Mapping[Key, Turn]) -> Alike:
        """The rows of each statement. What is read of those in the table stands before what changes them."""
        alike: Alike = {_ENDED: [], _BETWEEN: [], _WHOLE: []}
        names, since, occurred = table.key, table.since, table.since_occurred
        for key, turn in turns.items():
            verb, columns, at = turn.verb, turn.columns, turn.since
            if verb == "change" and turn.first is at and not table.grows:
                verb = "keep and change"
            elif not table.grows:
                self._keep(table, key, turn, alike)
            if verb == "insert" and not (turn.is_new and table.is_keyed_by_record):
                verb = "replace"  # a row may stand there: what removed it was in this batch too, or it is another's
            row = {**columns, since: at.position, occurred: at.occurred_at}
            if verb not in ("insert", "replace"):
                row.update(zip(names, key, strict=True))
            alike.setdefault(self._kind(table, verb, columns), []).append(row)
        return alike

    def _keep(self, table: Table, key: Key, turn: Turn, alike: Alike) -> None:
        """The rows that a turn leaves to the past."""
        if not turn.is_new:
            alike[_ENDED].append(_ending(table, key, turn.first))
        for verb, columns, since, until in turn.former:
            self._kind(table, verb, columns)  # for its objections
            made = {**columns, table.since: since.position, table.since_occurred: since.occurred_at}
            if verb == "change":
                alike[_BETWEEN].append({PATCH: made, **_ending(table, key, until)})
            elif verb == "insert":
                alike[_WHOLE].append({**made, UNTIL: until.position, UNTIL_OCCURRED: until.occurred_at})

    def _kind(self, table: Table, verb: str, columns: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
        """The verb, and the columns that its statement has to name: left out of an insert is NULL, left out of a change
        is unchanged. Raises KeyError where the table has no such column."""
        name = (table.name, verb, (*columns,))
        kind = self._kinds.get(name)
        if kind is None:
            given = _checked(table, verb, columns) - {table.since, table.since_occurred}
            kind = self._kinds[name] = (verb, given if verb in _CHANGES else frozenset())
        return kind

    def write(self, db: Db, statements: Iterable[Statement]) -> None:
        for text, rows in statements:
            db.execute(text.whole, (Json(rows, _as_it_is),), prepare=True)

    def _text(self, table: Table, verb: str, given: frozenset[str]) -> Text:
        name = (table.name, verb, given)
        if name not in self._texts:
            columns = [one for one in table.columns if one in given]
            self._texts[name] = text_of(self._schema, table, verb, columns, next(self._numbers))
        return self._texts[name]


def _as_it_is(encoded: bytes) -> bytes:
    """Not decoded to a str, which psycopg would only encode again."""
    return encoded


def prepare_to_write(db: Db) -> None:
    """Settings for a session that writes read models."""
    db.prepared_max = 1_000
    # A crash that takes back a commit takes rows and position together, and they are posted again: nobody needs to wait
    # for the disk. Rows are few and found by key: a plan made while a table was small must not scan a large one.
    db.execute(
        "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan;"
        " SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )
    db.execute(IN_UTC)
    give_up_when_idle(db, LONGEST_IDLE)


def give_up_when_idle(db: Db, seconds: float) -> None:
    """End the session once it has been idle in a transaction for so long."""
    longest = f"{int(seconds * 1000)}ms"
    db.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (longest,))


_CHANGES = ("change", "keep and change")
_ENDED = ("ended", frozenset[str]())
_BETWEEN = ("between", frozenset[str]())
_WHOLE = ("whole", frozenset[str]())


def _ending(table: Table, key: Key, at: At) -> dict[str, Any]:
    """Of a row that was so until this entry: which one, and until when."""
    row: dict[str, Any] = dict(zip(table.key, key, strict=True))
    row[UNTIL], row[UNTIL_OCCURRED] = at.position, at.occurred_at
    return row


def _checked(table: Table, verb: str, columns: Mapping[str, Any]) -> frozenset[str]:
    """The columns, which are such as the table has. Raises KeyError."""
    if not columns.keys() <= table.columns.keys():
        raise KeyError(f"{min(columns.keys() - table.columns.keys())} is no column of {table.name}")
    if verb in _CHANGES and not columns.keys().isdisjoint(table.key):
        raise KeyError(f"a change of {table.name} sets a column of its key: remove the row and insert another")
    return frozenset(columns)


class Folded(NamedTuple):
    """What becomes of the rows of one table."""

    table: Table
    rows: dict[Key, Turn]
    cleared: set[str]
    """The records whose rows all go first, former ones included."""


def folded(postings: Iterable[tuple[At, Iterable[Change]]]) -> list[Folded]:
    """What becomes of each row that was touched, by table."""
    tables: dict[str, Folded] = {}
    naming: dict[str, dict[Any, list[Key]]] = {}
    """Of the tables of which something was cleared: the rows by whatever they name, their record among it. To look
    through all rows for each record of an erasure, of which there may be thousands, would be quadratic."""
    for at, changes in postings:
        for verb, table, key, columns in changes:
            if table.name not in tables:
                tables[table.name] = Folded(table, {}, set())
            rows = tables[table.name].rows
            if verb == "clear":
                if table.name not in naming:
                    naming[table.name] = _naming(table, rows)
                for one in naming[table.name].pop(key[0], ()):
                    if (turn := rows.get(one)) is not None and key[0] in (turn.columns.get(table.of), *one):
                        del rows[one]
                tables[table.name].cleared.add(str(key[0]))
                continue
            if (turn := rows.get(key)) is not None:
                turn.goes_on(verb, columns, at)
            elif verb != "change" or columns:
                rows[key] = Turn(verb, columns, at)
            if naming and table.name in naming:
                _name(naming[table.name], table, key, columns)
    return list(tables.values())


def _naming(table: Table, rows: Mapping[Key, Turn]) -> dict[Any, list[Key]]:
    naming: dict[Any, list[Key]] = {}
    for key, turn in rows.items():
        _name(naming, table, key, turn.columns)
    return naming


def _name(naming: dict[Any, list[Key]], table: Table, key: Key, columns: Mapping[str, Any]) -> None:
    for one in {columns.get(table.of), *key}:
        naming.setdefault(one, []).append(key)
