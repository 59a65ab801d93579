"""`search` in SQL: which rows of a list have every word of a text among the texts that they are searched by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from api.errors import RequestError, RequestErrorCode
from api.reading.entities import own_column
from api.reading.sources import Rows
from api.reading.statement import Arguments, Call, Parameter
from projections.searching import PIECES, pieces_of, search_key

if TYPE_CHECKING:
    from api.reading.compiler import Compiler

MOST_CHARACTERS = 100
MOST_WORDS = 10


def searched(compiler: Compiler, call: Call, rows: Rows, alias: str) -> list[str]:
    """SQL conditions on a row of a list, for the call's `search`; none where it is left out or blank.

    How many words there are is not seen in the SQL, so that a statement serves every search. Raises RequestError, when
    it is run, for a text that can't be searched for.
    """
    text: str | None = call.values.get("search")
    if rows.search is None or text is None or not text.strip():
        return []
    statement, source = compiler.statement, compiler.rows(rows.search.table)
    # How many rows meet it depends on the word, and so does the best way to find them.
    statement.planned_anew = True
    reference = own_column(rows.search.table.key[0])
    hit, other, word = (statement.alias() for _ in range(3))
    pieces = statement.parameter(call, _first(pieces_of), "text[]")
    longest = statement.parameter(call, _first(str), "text")
    others = statement.parameter(call, lambda given: words_of(given["search"])[1:], "text[]")
    held = PIECES.format(text=f'{hit}."text"')
    # It is planned with its values. Where there are no pieces, or no others, that leaves the condition out: else it
    # would be met of each row all the same, at the price of its pieces, or take another plan for all.
    return [
        (
            f'{alias}."id" in (select {hit}.{reference} from {source} {hit}'
            f" where ({pieces} = '{{}}' or {held} @> {pieces})"
            f' and strpos({hit}."text", {longest}) > 0)'
        ),
        # The others may stand in other texts of the same record. Not as a join: that would come after the longest word,
        # whose pieces cost ten times as much to make as it takes to look for a word, and everybody may have it.
        (
            f"({others} = '{{}}' or (exists (select from unnest({others}) {word}(word) where not exists (select from"
            f' {source} {other} where {other}.{reference} = {alias}."id" and strpos({other}."text", {word}.word) > 0)'
            ")) is not true)"
        ),
    ]


def words_of(text: str) -> list[str]:
    """The words to look for, the longest first. Raises RequestError."""
    if len(text) > MOST_CHARACTERS:
        raise _refused(f"`search` has {len(text)} characters; at most {MOST_CHARACTERS} are looked for.")
    words = sorted({*search_key(text).split()}, key=lambda word: (-len(word), word))
    if len(words) > MOST_WORDS:
        raise _refused(f"`search` has {len(words)} words; at most {MOST_WORDS} are looked for.")
    if not words:
        raise _refused("`search` holds no letter and no digit to look for; leave it out to see everything.")
    return words


def _first(made: Callable[[str], Parameter]) -> Callable[[Arguments], Parameter]:
    return lambda given: made(words_of(given["search"])[0])


def _refused(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_USER_INPUT, message)
