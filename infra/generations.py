"""Generations of a subject's key: the newest seals, each opens what it sealed. All are wrapped together.

    keys = key || position || key || position || key ...      a key is 32 bytes, a position 8, most significant first

Entries up to a position are sealed under the key before it, entries after the last one under the newest. So an entry's
own place in the book says which key is its, and the list is under the seal of the master key. Most have one key.
"""

from bisect import bisect_left

from domain.encoding import Part
from infra.seals import Opener, opener

KEY = 32
_STEP = 8 + KEY


def newest(keys: bytes) -> bytes:
    return keys[-KEY:]


def count(keys: bytes) -> int:
    """How many generations there are."""
    return 1 + (len(keys) - KEY) // _STEP


def key_at(keys: bytes, position: int) -> bytes:
    """The key that sealed the entry at a position."""
    start = bisect_left(_lasts(keys), position) * _STEP
    return keys[start : start + KEY]


def with_another(keys: bytes, last: int, key: bytes) -> bytes:
    """With a new key for the entries after a position, which is the last in the book."""
    return keys + last.to_bytes(8, "big") + key


def opener_of(keys: bytes) -> Opener:
    """Opens each entry under the key of its place."""
    if len(keys) == KEY:
        return opener(keys)
    lasts = _lasts(keys)
    openers = [opener(keys[start : start + KEY]) for start in range(0, len(keys), _STEP)]

    def opened(event_id: bytes, originator: bytes, version: int, sealed: bytes, position: int) -> Part:
        return openers[bisect_left(lasts, position)](event_id, originator, version, sealed, position)

    return opened


def _lasts(keys: bytes) -> list[int]:
    return [int.from_bytes(keys[at : at + 8], "big") for at in range(KEY, len(keys), _STEP)]
