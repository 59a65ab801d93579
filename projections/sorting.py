"""Sort keys, made here and compared by their bytes, the same on every server: what is alike for people sorts alike."""

import re
import unicodedata

from domain.kernel import Withheld, opened

TEXT_KEY = 'text COLLATE "C" NOT NULL'
"""A column of texts to sort, search or tell apart by. An operator's own database may compare other texts otherwise."""

_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
_ACCENTS = re.compile("[\u0300-\u036f]+")
"""The combining marks of Latin, Greek and Cyrillic; those of other scripts are letters, not ornaments."""


LONGEST_KEY = 2_000
"""Bytes of a sort key: an index's entry has room for 2,704, an id's included. What is longer sorts by its beginning.

200 letters of any script fit; there are signs, though, that stand for as many as 18 letters each.
"""


def sort_key(text: str | Withheld | None) -> str:
    """The text as it sorts: `folded`, of which no more than LONGEST_KEY bytes count. "" where there is none, so that
    keyset pages meet no NULL.
    """
    key = folded(text)
    return key if len(key) <= LONGEST_KEY // 4 else key.encode()[:LONGEST_KEY].decode(errors="ignore")


def folded(text: str | Withheld | None) -> str:
    """The text without case, accents and width; "" where there is none."""
    found = opened(text)
    if not found:
        return ""
    if found.isascii():
        return found.lower()
    letters = unicodedata.normalize("NFKD", found.casefold())
    plain = _ACCENTS.sub("", letters).casefold()
    # One by one: a table of letters, or a look at each in Python, takes ten times as long, and all else waits for it.
    for letter, spelled in _LETTERS.items():
        plain = plain.replace(letter, spelled)
    return unicodedata.normalize("NFC", plain)
