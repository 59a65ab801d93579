"""Sort keys, made here and compared by their bytes, the same on every server: what is alike for people sorts alike."""

import unicodedata

from domain.kernel import Withheld, opened

TEXT_KEY = 'text COLLATE "C" NOT NULL'
"""A column of texts to sort, search or tell apart by. An operator's own database may compare other texts otherwise."""

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"})
_ACCENTS = range(0x0300, 0x0370)
"""The combining marks of Latin, Greek and Cyrillic; those of other scripts are letters, not ornaments."""


def sort_key(text: str | Withheld | None) -> str:
    """The text without case, accents and width; "" where there is none, so that keyset pages meet no NULL."""
    found = opened(text)
    if not found:
        return ""
    if found.isascii():
        return found.lower()
    letters = unicodedata.normalize("NFKD", found.casefold())
    plain = "".join(letter for letter in letters if ord(letter) not in _ACCENTS)
    return unicodedata.normalize("NFC", plain.casefold().translate(_LETTERS))
