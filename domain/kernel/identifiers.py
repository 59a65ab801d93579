"""Ids: UUIDs inside, TypeIDs outside (`cus_01h455vb4pex5vsknk084sn02q`), and ids of what is added to a record."""

import hashlib
import re
import time
from functools import lru_cache
from uuid import UUID

from domain.kernel.randomness import random_bytes

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""Two letters at once: read models hold public ids, and a projection makes some twenty for each event."""
_VALUE = {letter: value for value, letter in enumerate(ALPHABET)}
_RANDOM = (1 << 128) - 1 & ~(0xF << 76) & ~(0x3 << 62)
"""The bits of a UUID that tell neither its version nor its variant."""
_TYPE_ID = re.compile(rf"([a-z](?:[a-z_]{{0,61}}[a-z])?)_([0-7][{ALPHABET}]{{25}})")

COMPANY_ID = UUID("00000000-0000-8000-8000-00000000da7b")
"""The one company of this book: a fixed id, so that nobody has to look it up."""


class NotATypeId(ValueError):
    """The text is not a TypeID: a lower-case prefix, an underscore and 26 base32 letters."""


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    return _stamp((time.time_ns() // 1_000_000) << 80 | int.from_bytes(random_bytes(10), "big"), version=7)


def derived_id(record: UUID, verb: str, actor: str, key: UUID, ordinal: int) -> UUID:
    """The id of the ordinal-th thing that a command adds to a record (a UUIDv8): the same whenever it comes again under
    its idempotency key, and never that of another record's or mutation's.
    """
    text = f"{record}\x00{verb}\x00{actor}\x00{key}\x00{ordinal}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return _stamp(int.from_bytes(digest[:16], "big"), version=8)


def type_id(prefix: str, id: UUID) -> str:
    """The public text of an id (TypeID 0.3: 128 bits in 26 base32 letters, most significant first)."""
    return f"{prefix}_{_letters(id.int)}"


@lru_cache(maxsize=4_096)
def _letters(value: int) -> str:
    """Remembered: what happens to an aggregate comes close together, and every read model that it is in names it."""
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def prefix_of(text: str) -> str:
    """The prefix of a TypeID. Raises NotATypeId."""
    if found := _TYPE_ID.fullmatch(text):
        return found[1]
    raise NotATypeId


def parse_type_id(text: str) -> tuple[str, UUID]:
    """Prefix and UUID of a TypeID. Raises NotATypeId."""
    found = _TYPE_ID.fullmatch(text)
    if found is None:
        raise NotATypeId
    prefix, suffix = found.groups()
    value = 0
    for letter in suffix:
        value = value << 5 | _VALUE[letter]
    return prefix, UUID(int=value)


def _stamp(value: int, *, version: int) -> UUID:
    return UUID(int=value & _RANDOM | version << 76 | 0x2 << 62)
