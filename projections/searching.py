"""What records are found by: a row for each name, address or number of a record, and an index over pieces of its text.

Every word of a search must stand in one of a record's texts, anywhere in it. The database has neither pg_trgm nor
unaccent: texts are folded here, once, and a GIN index holds every two and three neighbouring letters of them.
"""

import re
import unicodedata
from functools import lru_cache

from domain.kernel import Withheld
from projections.model import Posting, Table
from projections.sorting import folded

_PLAIN = re.compile(r"[^a-z0-9\s]+")


def search_key(text: str | Withheld | None) -> str:
    """The words of a text as they are searched, one space apart: folded, and without punctuation."""
    letters = folded(text)
    if letters.isascii():
        return " ".join(_PLAIN.sub("", letters).split())
    return " ".join("".join(letter for letter in letters if _counts(letter)).split())


@lru_cache(4_096)
def _counts(letter: str) -> bool:
    """Whether a letter is more than punctuation; signs such as ☎ are, and the marks of Indic and Thai letters."""
    return letter.isspace() or unicodedata.category(letter) in _COUNTING


_COUNTING = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "So"))


def _neighbours(text: str, many: int) -> str:
    """SQL: so many neighbouring letters of a text at a time, each with a slash behind it; what is left over is not cut.

    The pattern has neither groups nor alternatives: with them PostgreSQL takes five times as long.
    """
    return " || ".join(
        f"regexp_replace(substr({text}, {at + 1}, (length({text}) - {at}) / {many} * {many}),"
        f" '{'.' * many}', '\\&/', 'g')"
        for at in range(many)
    )


_DIGITS = "regexp_replace({text}, '[^0-9]+', '', 'g')"
PIECES = f"""(
    array_remove(string_to_array({_neighbours("{text}", 2)} || {_neighbours("{text}", 3)}, '/'), '')
    || string_to_array(regexp_replace({{text}}, '[\\u0001-\\u2E7F]+', '', 'g'), NULL)
    || CASE WHEN {{text}} ~ '[0-9]{{{{4}}}}'
        THEN array_remove(string_to_array({_neighbours(_DIGITS, 4)}, '/'), '') END
)"""
"""SQL, a template of a text's column: every two and three neighbouring letters, each that is a word by itself, and
every four digits, those of two numbers side by side included.

Functions of the server's own and nothing else, so that the index computes them and no row stores them. No key has a
slash: it is punctuation.
"""


def pieces_of(word: str) -> list[str]:
    """The pieces to look a word up by: so many as cover it, or all of a long word but its beginning, which it may share
    with many others, as telephone numbers do. None for a single letter of an alphabet.

    A number is looked up by four digits at a time: every three of them stand in a hundredth of all telephone numbers.
    Overlapping ones would hardly narrow further, but the planner multiplies how rare each is: it would take a word that
    stands in every second address for a rare one.
    """
    if len(word) == 1:
        return [word] if word > "\u2e7f" else []
    many = 4 if _NUMBER.fullmatch(word) else 3
    begin = len(word) % many if len(word) >= _LONG else 0
    return sorted({word[-many:], *(word[at : at + many] for at in range(begin, len(word) - many + 1, many))})


_NUMBER = re.compile("[0-9]{4,}")
_LONG = 9
"""Letters. Three pieces side by side narrow well enough; each further one is another long list to read."""


def searched_by(kind: str) -> Table:
    """The table of what a kind of record is found by: `searched_by("team")` is `team_search`."""
    return Table(
        name=f"{kind}_search",
        columns={
            f"{kind}_id": "text NOT NULL",
            "what": "text NOT NULL",  # name, contact_point, external_id ...
            "which": "text NOT NULL",  # of several: the contact point's id, or source and id; else ""
            # As search_key makes it; compared by its bytes, however the database compares other texts.
            "text": 'text COLLATE "C" NOT NULL',
        },
        key=(f"{kind}_id", "what", "which"),
        of=f"{kind}_id",
        gin=(PIECES.format(text="text"),),
    )


def found_by(
    posting: Posting, table: Table, id: str, what: str, *texts: str | Withheld | None, which: str = ""
) -> None:
    """The record of this public id is found by these texts from now on; by what they are it was not found before."""
    keys = dict.fromkeys(key for text in texts if (key := search_key(text)))
    if keys:
        posting.insert(table, **{table.key[0]: id}, what=what, which=which, text=" ".join(keys))


def now_found_by(posting: Posting, table: Table, id: str, what: str, *texts: str | Withheld | None) -> None:
    """The same, in place of the texts that it was found by before, if there were any."""
    forget(posting, table, id, what)
    found_by(posting, table, id, what, *texts)


def forget(posting: Posting, table: Table, id: str, what: str, which: str = "") -> None:
    """The record is not found by this any more."""
    posting.remove(table, id, what, which)
