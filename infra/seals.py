"""Seals: how the personal part of an event is sealed and opened under its subject's key.

For an event of a subject with key K and event id I (HKDF-Expand of RFC 5869 with SHA-256, 64 bytes):

    event key  || commitment key = HKDF-Expand(K, "daybook event 1" || I)
    sealed     = AES-256-GCM(event key, nonce 0, personal part, associated data I || originator id || version)
    commitment = HMAC-SHA256(commitment key, personal part)

Each event key seals once, so the nonce may be constant. AES-GCM alone does not commit to its key: the commitment does,
and it stands among the bytes that later proofs hash.
"""

from collections.abc import Callable
from hashlib import sha256
from struct import Struct
from typing import TypeAlias
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.encoding import Part, SealBroken
from domain.kernel import Withheld

_EVENT = b"daybook event 1"
_NONCE = bytes(12)
_bound = Struct(">16s16sQ").pack
"""Event id, originator and version: what a sealed part is bound to."""
_ALTERED = (
    "does not open under its subject's key: it or the key was altered. `daybook verify` says what else was; a backup"
    " from before has what it said."
)
KEYLESS = (
    "does not open: its subject's key is missing from daybook_keys.subjects, or was altered there, and no erasure has"
    " destroyed it. Restore that table."
)


def seal(key: bytes, event_id: UUID, originator: UUID, version: int, personal: bytes) -> tuple[bytes, bytes]:
    """The sealed personal part of an event, and the commitment to it, under its subject's key."""
    event_key, commitment_key = derive(key, event_id)
    bound = _bound(event_id.bytes, originator.bytes, version)
    return AESGCM(event_key).encrypt(_NONCE, personal, bound), Prf(commitment_key)(personal)


def derive(key: bytes, event_id: UUID) -> tuple[bytes, bytes]:
    """Event key and commitment key of one event: HKDF-Expand over 64 bytes."""
    info = _EVENT + event_id.bytes
    prf = Prf(key)
    first = prf(info + b"\x01")
    return first, prf(first + info + b"\x02")


Opener: TypeAlias = Callable[[bytes, bytes, int, bytes, int], Part]
"""Opens a sealed part, of: event id, originator, version, the part, position. Raises SealBroken."""


def opener(key: bytes) -> Opener:
    """Opens under a subject's key: the first block of `derive`, with what all events have in common hashed once."""
    prf = Prf(key, _EVENT)
    begun, outer_begun = prf.inner, prf.outer

    def opened(event_id: bytes, originator: bytes, version: int, sealed: bytes, _position: int) -> bytes:
        inner, outer = begun.copy(), outer_begun.copy()
        inner.update(event_id + b"\x01")
        outer.update(inner.digest())
        try:
            return AESGCM(outer.digest()).decrypt(_NONCE, sealed, _bound(event_id, originator, version))
        except InvalidTag:
            raise SealBroken(_ALTERED) from None

    return opened


def erased(_event_id: bytes, _originator: bytes, _version: int, _sealed: bytes, _position: int) -> Withheld:
    return Withheld.ERASED


def keyless(_event_id: bytes, _originator: bytes, _version: int, _sealed: bytes, _position: int) -> Withheld:
    """Half a restore must not look like an erasure."""
    raise SealBroken(KEYLESS)


class Prf:
    """HMAC-SHA256 (RFC 2104) under one key, its keyed states computed once: for many messages a third of the time.

    `hmac.digest` lets the GIL go each time, `hashlib` keeps it for what is short: with 32 commands under way, each time
    is a switch of threads.
    """

    def __init__(self, key: bytes, beginning: bytes = b"") -> None:
        """`beginning`: what all messages begin with, which is then not said again."""
        block = key.ljust(64, b"\0")
        self.inner, self.outer = sha256(block.translate(_INNER) + beginning), sha256(block.translate(_OUTER))

    def __call__(self, message: bytes) -> bytes:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))
