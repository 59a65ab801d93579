"""JSON text in SQL: what a statement selects is put together as text, keys and brackets between the values.

PostgreSQL makes a page of rows a third faster so than by json_agg, which finds out how to write each value of each row
and reads each level's text again: docs/adr/0009. What stands between the values is constant, and joined once, here.
"""

from collections.abc import Iterable, Mapping

import msgspec

_AT_ONCE = 100
"""Texts that are joined side by side. PostgreSQL reads a longer row of them as a tree of that depth."""


class Json(msgspec.Struct, frozen=True):
    """The SQL of one JSON value's text, which is never NULL: one NULL would make all that it is joined to NULL."""

    pieces: tuple[str, ...]
    """Constant text and SQL in turns; constant text, maybe empty, stands first and last."""

    @property
    def sql(self) -> str:
        """SQL of type text; in brackets where it is to be cast."""
        terms = [
            piece if at % 2 else f"'{piece}'"
            for at, piece in enumerate(self.pieces)
            if at % 2 or piece or len(self.pieces) == 1
        ]
        while len(terms) > _AT_ONCE:
            terms = [f"({' || '.join(terms[at : at + _AT_ONCE])})" for at in range(0, len(terms), _AT_ONCE)]
        return " || ".join(terms)


def constant(text: str) -> Json:
    """JSON text that is known now: of ours, or out of names, so that no quote in it would have to be escaped in SQL."""
    return Json((text,))


def computed(sql: str) -> Json:
    """SQL that gives JSON text, never NULL."""
    return Json(("", sql, ""))


def escaped(sql: str, *, nullable: bool) -> Json:
    """Whatever PostgreSQL can write as JSON: texts that people write, days, lists."""
    return _or_null("", f"to_json({sql})::text", nullable=nullable)


def bare(sql: str, *, nullable: bool) -> Json:
    """A number or a truth value."""
    return _or_null("", f"({sql})::text", nullable=nullable)


def plain(sql: str, *, nullable: bool) -> Json:
    """A text in which no character is one that JSON escapes, whatever the row holds."""
    return _or_null('"', sql, nullable=nullable)


def as_object(fields: Mapping[str, Json]) -> Json:
    """An object. Its keys are names of GraphQL."""
    return _joined(
        (
            constant("{"),
            *(each for at, (key, value) in enumerate(fields.items()) for each in (_key(key, at), value)),
            constant("}"),
        )
    )


def as_array(joined: str) -> Json:
    """An array, out of the SQL of its elements' texts with commas between; NULL where there is none."""
    return Json(("[", f"coalesce({joined}, '')", "]"))


def _key(name: str, at: int) -> Json:
    return constant(f'{"," if at else ""}"{name}":')


def _joined(values: Iterable[Json]) -> Json:
    pieces = [""]
    for value in values:
        first, *others = value.pieces
        pieces[-1] += first
        pieces += others
    return Json(tuple(pieces))


def _or_null(quote: str, sql: str, *, nullable: bool) -> Json:
    if not nullable:
        return Json((quote, sql, quote))
    around = f"'{quote}' || {sql} || '{quote}'" if quote else sql
    return computed(f"coalesce({around}, 'null')")
