"""The vault: one key for each subject, event keys derived from it, and what is sealed under them.

For an event of a subject with key K and event id I (HKDF-Expand of RFC 5869 with SHA-256, 64 bytes):

    event key  || commitment key = HKDF-Expand(K, "daybook event 1" || I)
    sealed     = AES-256-GCM(event key, nonce 0, personal part, associated data I || originator id || version)
    commitment = HMAC-SHA256(commitment key, personal part)

Each event key seals once, so the nonce may be constant. AES-GCM alone does not commit to its key: the commitment does,
and it stands among the bytes that later proofs hash.
"""

import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.appending import Row
from domain.kernel import Claim, Withheld
from infra.entries import StoredEntry
from infra.master_key import MasterKey

SealedRow: TypeAlias = tuple[int, int, str, bytes, bytes | None, bytes, UUID]
"""Version, position, stored name, public part, sealed part, event id, subject."""

_EVENT = b"daybook event 1"
_NONCE = bytes(12)
_LOCK = 0x6461_7962_6F6F_6B01


class Sealed(NamedTuple):
    """A sealed personal part; `new_key` is the subject's wrapped key where this is the first that it seals."""

    ciphertext: bytes
    commitment: bytes
    new_key: bytes | None


class Prf:
    """HMAC-SHA256 (RFC 2104) under one key, its keyed states computed once: for many messages a third of the time."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class SealBroken(Exception):
    """A sealed part does not open under its own key: the stored bytes were altered."""


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
            self._blind_index = _purpose_key(db, master, "blind index")
            self._fingerprint = _purpose_key(db, master, "fingerprint")

    def seal(self, subject: UUID, event_id: UUID, originator: UUID, version: int, personal: bytes) -> Sealed:
        """Seal a personal part. A subject without a key gets one; it exists once the entry is appended."""
        key, new_key = self._key_to_seal(subject, begins=subject == originator and version == 1)
        event_key, commitment_key = derive(key, event_id)
        bound = event_id.bytes + originator.bytes + version.to_bytes(8, "big")
        ciphertext = AESGCM(event_key).encrypt(_NONCE, personal, bound)
        return Sealed(ciphertext, hmac.digest(commitment_key, personal, "sha256"), new_key)

    def _key_to_seal(self, subject: UUID, *, begins: bool) -> tuple[bytes, bytes | None]:
        """The subject's key; with it its wrapped form, for as long as no append has stored it."""
        with self._lock:
            if pending := self._pending.get(subject):
                return pending
        if not begins and (key := self._keys_of((subject,)).get(subject)):
            return key, None
        # A destroyed key gets here too; it is refused under the append lock, where nobody can destroy it meanwhile.
        key = os.urandom(32)
        pending = (key, self._master.wrap(key, subject.bytes))
        with self._lock:
            self._pending[subject] = pending
            if len(self._pending) > self._remember:
                self._pending.popitem(last=False)
        return pending

    def opened(self, originator: UUID, rows: Iterable[SealedRow]) -> list[Row]:
        """The entries of an aggregate with their personal parts: opened, ERASED where the key was destroyed, or None.

        Raises SealBroken where a part does not open.
        """
        rows, bound = list(rows), originator.bytes
        prfs = self._prfs({row[6] for row in rows})
        return [
            (version, position, name, state, part and _open(prfs[subject], event_id, bound, version, part, position))
            for version, position, name, state, part, event_id, subject in rows
        ]

    def open_entries(self, entries: Sequence[StoredEntry]) -> list[bytes | Withheld | None]:
        """The personal parts of entries of any aggregates; like `opened`."""
        prfs = self._prfs({entry.subject for entry in entries})
        return [
            entry.sealed
            and _open(
                prfs[entry.subject],
                entry.event_id.bytes,
                entry.originator_id.bytes,
                entry.originator_version,
                entry.sealed,
                entry.position,
            )
            for entry in entries
        ]

    def _prfs(self, subjects: set[UUID]) -> "dict[UUID, Prf | None]":
        keys = self._keys_of(subjects)
        return {subject: Prf(key) if (key := keys.get(subject)) else None for subject in subjects}

    def blind_index(self, claim: Claim) -> bytes:
        """The keyed HMAC under which a claim is reserved: equal values give equal bytes, nothing leads back."""
        return hmac.digest(self._blind_index, f"{claim.scope}\x00{claim.value}".encode(), "sha256")

    def fingerprint(self, command: bytes) -> bytes:
        """A keyed HMAC of a command's bytes, to tell a retry from another command under the same key."""
        return hmac.digest(self._fingerprint, command, "sha256")

    def learned(self, subject: UUID, wrapped: bytes) -> None:
        """A new key was appended with its first entry."""
        with self._lock:
            pending = self._pending.pop(subject, None)
        self._put(subject, pending[0] if pending else self._master.unwrap(wrapped, subject.bytes))

    def forget(self, subject: UUID) -> None:
        """Another process was first to make this subject's key, or it was destroyed."""
        with self._lock:
            self._keys.pop(subject, None)
            self._pending.pop(subject, None)

    def _keys_of(self, subjects: Iterable[UUID]) -> dict[UUID, bytes]:
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
    first = hmac.digest(key, info + b"\x01", "sha256")
    return first, hmac.digest(key, first + info + b"\x02", "sha256")


def _open(
    prf: Prf | None, event_id: bytes, originator: bytes, version: int, sealed: bytes, position: int
) -> bytes | Withheld:
    if prf is None:
        return Withheld.ERASED
    try:
        bound = event_id + originator + version.to_bytes(8, "big")
        return AESGCM(prf(_EVENT + event_id + b"\x01")).decrypt(_NONCE, sealed, bound)
    except InvalidTag:
        raise SealBroken(f"Entry {position} does not open under its subject's key: it was altered.") from None


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
