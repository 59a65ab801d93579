"""The vault: one key for each subject, event keys derived from it, and what is sealed under them.

For an event of a subject with key K and event id I (HKDF-Expand of RFC 5869 with SHA-256, 64 bytes):

    event key  || commitment key = HKDF-Expand(K, "daybook event 1" || I)
    sealed     = AES-256-GCM(event key, nonce 0, personal part, associated data I || originator id || version)
    commitment = HMAC-SHA256(commitment key, personal part)

Each event key seals once, so the nonce may be constant. AES-GCM alone does not commit to its key: the commitment does,
and it stands among the bytes that later proofs hash.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.appending import Row
from domain.encoding import Reading
from domain.kernel import Claim, Withheld
from infra.entries import StoredEntry
from infra.master_key import MasterKey
from infra.patience import patient

SealedRow: TypeAlias = tuple[int, int, str, bytes, bytes | None, bytes, bytes]
"""Version, position, stored name, public part, sealed part, event id, subject."""

_EVENT = b"daybook event 1"
_NONCE = bytes(12)
_SEALED = Withheld.SEALED
_LOCK = 0x6461_7962_6F6F_6B01


class Sealed(NamedTuple):
    """A sealed personal part; `new_key` is the subject's wrapped key where this is the first that it seals."""

    ciphertext: bytes
    commitment: bytes
    new_key: bytes | None


class Prf:
    """HMAC-SHA256 (RFC 2104) under one key, its keyed states computed once: for many messages a third of the time.

    `hmac.digest` lets the GIL go each time, `hashlib` keeps it for what is short: with 32 commands under way, each time
    is a switch of threads.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner, self.outer = sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))

    def __call__(self, message: bytes) -> bytes:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))


class SealBroken(Exception):
    """A sealed part does not open under its own key, or that key is missing: what is stored was altered."""


class Vault:
    """Seals and opens personal parts, and makes blind indexes. Thread-safe."""

    def __init__(
        self, master: MasterKey, pool: ConnectionPool[Connection[tuple[Any, ...]]], *, remember: int = 20_000
    ) -> None:
        """`remember`: how many subjects' keys to keep in memory. Raises MasterKeyError on another book's key."""
        self._master, self._pool, self._remember = master, pool, remember
        self._keys: OrderedDict[UUID, bytes] = OrderedDict()
        self._pending: OrderedDict[UUID, tuple[bytes, bytes]] = OrderedDict()
        self._lock = threading.Lock()
        with pool.connection() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            self._blind_index = Prf(_purpose_key(db, master, "blind index"))
            self._fingerprint = Prf(_purpose_key(db, master, "fingerprint"))

    @patient
    def seal(self, subject: UUID, event_id: UUID, originator: UUID, version: int, personal: bytes) -> Sealed:
        """Seal a personal part. A subject without a key gets one; it exists once the entry is appended."""
        key, new_key = self._key_to_seal(subject, begins=subject == originator and version == 1)
        event_key, commitment_key = derive(key, event_id)
        bound = event_id.bytes + originator.bytes + version.to_bytes(8, "big")
        ciphertext = AESGCM(event_key).encrypt(_NONCE, personal, bound)
        return Sealed(ciphertext, Prf(commitment_key)(personal), new_key)

    def seals_at_once(self, subject: UUID) -> bool:
        """Whether this subject's key is remembered, and need not be fetched."""
        with self._lock:
            return subject in self._keys or subject in self._pending

    def _key_to_seal(self, subject: UUID, *, begins: bool) -> tuple[bytes, bytes | None]:
        """The subject's key; with it its wrapped form, for as long as no append has stored it."""
        with self._lock:
            if pending := self._pending.get(subject):
                return pending
        if not begins and (key := self._keys_of((subject,)).get(subject)):
            return key, None
        # A destroyed key gets here too; it is refused under the append lock, where nobody can destroy it meanwhile.
        key = os.urandom(32)
        made = (key, self._master.wrap(key, subject.bytes))
        with self._lock:
            pending = self._pending.setdefault(subject, made)  # two at once must seal under one key
            if len(self._pending) > self._remember:
                self._pending.popitem(last=False)
        return pending

    def opened(self, originator: UUID, rows: Sequence[SealedRow], reading: Reading) -> list[Row]:
        """The entries that a reading wants, with their personal parts: opened, left SEALED, ERASED or None.

        Raises SealBroken where a part does not open, or its key is missing.
        """
        subjects = {UUID(bytes=one) for one in {row[6] for row in rows if row[4] is not None}}
        openers = {subject.bytes: opens for subject, opens in self._openers(subjects).items()}
        last = {row[2]: row[0] for row in rows}
        bound, left_sealed, only_last = originator.bytes, reading.left_sealed, reading.only_last
        return [
            (
                version,
                position,
                name,
                state,
                part
                and (_SEALED if name in left_sealed else openers[subject](event_id, bound, version, part, position)),
            )
            for version, position, name, state, part, event_id, subject in rows
            if name not in only_last or version == last[name]
        ]

    def open_entries(self, entries: Sequence[StoredEntry]) -> list[bytes | Withheld | None]:
        """The personal parts of entries of any aggregates; like `opened`."""
        openers = self._openers({entry.subject for entry in entries if entry.sealed is not None})
        return [
            entry.sealed
            and openers[entry.subject](
                entry.event_id.bytes,
                entry.originator_id.bytes,
                entry.originator_version,
                entry.sealed,
                entry.position,
            )
            for entry in entries
        ]

    def _openers(self, subjects: set[UUID]) -> dict[UUID, "Opener"]:
        """By subject; where its key was destroyed a tombstone stands in its place, and everything is ERASED."""
        keys = self._keys_of(subjects)
        for subject in subjects - keys.keys():
            raise SealBroken(
                f"The key of subject {subject} is missing from daybook_keys.subjects, and was not destroyed by an"
                " erasure: restore that table."
            )
        return {subject: _opener(key) if key else _erased for subject, key in keys.items()}

    def blind_index(self, claim: Claim) -> bytes:
        """The keyed HMAC under which a claim is reserved: equal values give equal bytes, nothing leads back."""
        return self._blind_index(f"{claim.scope}\x00{claim.value}".encode())

    def fingerprint(self, command: bytes) -> bytes:
        """A keyed HMAC of a command's bytes, to tell a retry from another command under the same key."""
        return self._fingerprint(command)

    def learned(self, subject: UUID, wrapped: bytes) -> None:
        """A new key was appended with its first entry: ours, or another's that was first in the same batch."""
        with self._lock:
            key, made = self._pending.pop(subject, (b"", b""))
        self._put(subject, key if made == wrapped else self._master.unwrap(wrapped, subject.bytes))

    def forget(self, subject: UUID) -> None:
        """Another process was first to make this subject's key, or it was destroyed."""
        with self._lock:
            self._keys.pop(subject, None)
            self._pending.pop(subject, None)

    def _keys_of(self, subjects: Collection[UUID]) -> dict[UUID, bytes]:
        """The keys that exist; a destroyed one is b""."""
        with self._lock:
            found = {subject: key for subject in subjects if (key := self._keys.get(subject))}
        missing = [subject for subject in subjects if subject not in found]
        if missing:
            with self._pool.connection() as db:
                rows = db.execute(
                    "SELECT subject, wrapped FROM daybook_keys.subjects WHERE subject = ANY(%s)",
                    (missing,),
                    binary=True,
                    prepare=True,
                ).fetchall()
            for subject, wrapped in rows:
                found[subject] = self._put(subject, self._master.unwrap(wrapped, subject.bytes)) if wrapped else b""
        return found

    def _put(self, subject: UUID, key: bytes) -> bytes:
        with self._lock:
            self._keys[subject] = key
            if len(self._keys) > self._remember:
                self._keys.popitem(last=False)
        return key


def derive(key: bytes, event_id: UUID) -> tuple[bytes, bytes]:
    """Event key and commitment key of one event: HKDF-Expand over 64 bytes."""
    info = _EVENT + event_id.bytes
    prf = Prf(key)
    first = prf(info + b"\x01")
    return first, prf(first + info + b"\x02")


Opener: TypeAlias = Callable[[bytes, bytes, int, bytes, int], bytes | Withheld]
"""Opens a sealed part, of: event id, originator, version, the part, position."""


def _opener(key: bytes) -> Opener:
    """Opens under a subject's key: the first block of `derive`, with what all events have in common hashed once."""
    prf = Prf(key)
    begun, outer_begun = prf.inner.copy(), prf.outer
    begun.update(_EVENT)

    def opened(event_id: bytes, originator: bytes, version: int, sealed: bytes, position: int) -> bytes:
        inner, outer = begun.copy(), outer_begun.copy()
        inner.update(event_id + b"\x01")
        outer.update(inner.digest())
        try:
            return AESGCM(outer.digest()).decrypt(_NONCE, sealed, event_id + originator + version.to_bytes(8, "big"))
        except InvalidTag:
            raise SealBroken(f"Entry {position} does not open under its subject's key: it was altered.") from None

    return opened


def _erased(_event_id: bytes, _originator: bytes, _version: int, _sealed: bytes, _position: int) -> Withheld:
    return Withheld.ERASED


def holds_keys(db: Connection[Any]) -> bool:
    """Whether this book was begun under some master key already."""
    return db.execute("SELECT EXISTS (SELECT FROM daybook_keys.purposes)").fetchone() == (True,)


def _purpose_key(db: Connection[Any], master: MasterKey, purpose: str) -> bytes:
    row = db.execute(
        "SELECT wrapped FROM daybook_keys.purposes WHERE purpose = %s ORDER BY epoch DESC LIMIT 1", (purpose,)
    ).fetchone()
    if row is not None:
        return master.unwrap(row[0], purpose.encode())
    key = os.urandom(32)
    db.execute(
        "INSERT INTO daybook_keys.purposes (purpose, epoch, wrapped) VALUES (%s, 1, %s)",
        (purpose, master.wrap(key, purpose.encode())),
    )
    return key
