"""The vault: the keys of each subject, wrapped by the master key, and what is sealed under it (`infra/seals.py`)."""

import threading
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.appending import Row
from domain.encoding import Part, Reading, SealBroken
from domain.kernel import Claim, Withheld
from domain.kernel.randomness import random_bytes
from infra.entries import StoredEntry, contact_of
from infra.epochs import PURPOSES_LOCK, epoch_of_today, master_epoch, purpose_key
from infra.generations import count, key_at, newest, opener_of
from infra.master_key import EpochUnknown, MasterKey, MasterKeyError
from infra.patience import patient
from infra.seals import KEYLESS, Opener, Prf, derive, erased, keyless, seal

SealedRow: TypeAlias = tuple[int, int, str, bytes, bytes | None, bytes, bytes | None]
"""Version, position, stored name, public part, sealed part, event id; the subject, where it is not the aggregate."""

K = TypeVar("K")
R = TypeVar("R")
_SEALED = Withheld.SEALED
_ASK = 0
"""In the place of an epoch: none that there is."""


_HAS_SEALED = "SELECT FROM daybook.events WHERE originator_id = %s AND subject = %s AND sealed IS NOT NULL LIMIT 1"


class Sealed(NamedTuple):
    """A sealed personal part; `new_key` is the subject's wrapped key where this is the first that it seals."""

    ciphertext: bytes
    commitment: bytes
    new_key: bytes | None
    generation: int


class EventKeys(NamedTuple):
    """The keys that are derived for one entry. They can be shown to somebody, and lead to no other entry's."""

    event: bytes
    """Opens its personal part."""
    commitment: bytes
    """Shows that it opens to nothing else."""


class Vault:
    """Seals and opens personal parts, makes blind indexes and API tokens. Thread-safe."""

    def __init__(
        self, master: MasterKey, pool: ConnectionPool[Connection[tuple[Any, ...]]], *, remember: int = 20_000
    ) -> None:
        """`remember`: how many subjects' keys to keep in memory. Raises MasterKeyError on another book's key."""
        self._master, self._pool, self._remember = master, pool, remember
        self._keys: OrderedDict[UUID, bytes] = OrderedDict()
        self._openers: dict[int, Opener] = {}
        """Of remembered keys. By number: a UUID's own hash and comparison are Python."""
        self._pending: OrderedDict[UUID, tuple[bytes, bytes]] = OrderedDict()
        self._destroyed: set[UUID] = set()
        self._forgotten = 0
        """How often all was."""
        self._lock = threading.Lock()
        with pool.connection() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (PURPOSES_LOCK,))
            self._epoch = epoch = master_epoch(db)
            self._blind_index = Prf(purpose_key(db, master, epoch, "blind index"))
            self._fingerprint = Prf(purpose_key(db, master, epoch, "fingerprint"))
            self._api_token = Prf(purpose_key(db, master, epoch, "API token"))

    @patient
    def seal(self, subject: UUID, event_id: UUID, originator: UUID, version: int, personal: bytes) -> Sealed:
        """Seal a personal part. A subject without a key gets one; it exists once the entry is appended."""
        keys, new_key = self._keys_to_seal(subject, begins=subject == originator and version == 1)
        return Sealed(*seal(newest(keys), event_id, originator, version, personal), new_key, count(keys))

    def seals_at_once(self, subject: UUID) -> bool:
        """Whether this subject's key is remembered, and need not be fetched."""
        with self._lock:
            return subject in self._keys or subject in self._pending

    def _keys_to_seal(self, subject: UUID, *, begins: bool) -> tuple[bytes, bytes | None]:
        """The subject's keys; with the first its wrapped form, for as long as no append has stored it."""
        with self._lock:
            if pending := self._pending.get(subject):
                return pending
        if not begins and (keys := self._begun(subject)):
            return keys, None
        # A destroyed key gets here too; it is refused under the append lock, where nobody can destroy it meanwhile.
        key = random_bytes(32)
        made = (key, self._wrap(key, subject))
        with self._lock:
            pending = self._pending.setdefault(subject, made)  # two at once must seal under one key
            if len(self._pending) > self._remember:
                self._pending.popitem(last=False)
        return pending

    def _begun(self, subject: UUID) -> bytes | None:
        """The keys of a subject that may have some. Raises SealBroken where they are missing: beside another one, made
        in their place, they could never be put back.
        """
        keys = self._keys_of((subject,)).get(subject)
        if keys is None and self._has_sealed(subject):
            keys = self._stored((subject,)).get(subject)  # another process may just have made the first one
            if keys is None:
                raise SealBroken(f"What subject {subject} has sealed {KEYLESS}")
        return keys

    def _has_sealed(self, subject: UUID) -> bool:
        """Whether the subject's own entries have a personal part."""
        with self._pool.connection() as db:
            return db.execute(_HAS_SEALED, (subject, subject), binary=True, prepare=True).fetchone() is not None

    def opened(self, originator: UUID, rows: Sequence[SealedRow], reading: Reading) -> list[Row]:
        """The entries that a reading wants, with their personal parts: opened, left SEALED, ERASED, broken or None."""
        named = {row[6] for row in rows if row[4] is not None}
        subjects = {one: originator if one is None else UUID(bytes=one) for one in named}
        last = {row[2]: row[0] for row in rows}
        bound, left_sealed, only_last = originator.bytes, reading.left_sealed, reading.only_last

        def opened(openers: Mapping[bytes | None, Opener]) -> list[Row]:
            return [
                (
                    version,
                    position,
                    name,
                    state,
                    part
                    and (
                        _SEALED if name in left_sealed else openers[subject](event_id, bound, version, part, position)
                    ),
                )
                for version, position, name, state, part, event_id, subject in rows
                if name not in only_last or version == last[name]
            ]

        return self._with_openers(subjects, opened)

    def open_entries(self, entries: Sequence[StoredEntry]) -> list[Part]:
        """The personal parts of entries of any aggregates; like `opened`."""

        def opened(openers: Mapping[int, Opener]) -> list[Part]:
            return [
                entry.sealed
                and openers[entry.subject.int](
                    entry.event_id.bytes,
                    entry.originator_id.bytes,
                    entry.originator_version,
                    entry.sealed,
                    entry.position,
                )
                for entry in entries
            ]

        # By numbers here too, for every entry of every projection passes here.
        subjects = {entry.subject.int: entry.subject for entry in entries if entry.sealed is not None}
        parts = self._with_openers(subjects, opened)
        for at in self._gone_with_contacts(entries):
            parts[at] = Withheld.ERASED
        return parts

    def event_keys(self, entries: Sequence[StoredEntry]) -> list[EventKeys | Withheld | None]:
        """The keys of each entry. ERASED where its subject's key was destroyed, SEALED where it is missing or altered;
        None where nothing is sealed.
        """
        subjects = {entry.subject for entry in entries if entry.sealed is not None}
        # Of keys that were rotated since they were remembered, a wrong one would be derived from: they are read anew.
        found, gone = self._sound([*subjects]), self._gone_with_contacts(entries)

        def key_of(at: int, entry: StoredEntry) -> EventKeys | Withheld | None:
            if entry.sealed is None:
                return None
            keys = found.get(entry.subject)
            if keys == b"" or at in gone:
                return Withheld.ERASED
            return EventKeys(*derive(key_at(keys, entry.position), entry.event_id)) if keys else _SEALED

        return [key_of(at, entry) for at, entry in enumerate(entries)]

    def _gone_with_contacts(self, entries: Sequence[StoredEntry]) -> Collection[int]:
        """Which of these entries speak, under an organisation's key, of a contact whose key was destroyed."""
        contacts = {at: contact for at, entry in enumerate(entries) if (contact := contact_of(entry))}
        if not contacts:
            return ()
        subjects = [*{*contacts.values()}]
        try:
            keys = self._keys_of(subjects)
        except SealBroken:  # one of them was altered, and none was destroyed for that
            keys = self._sound(subjects)
        return {at for at, contact in contacts.items() if keys.get(contact) == b""}

    def _with_openers(self, subjects: Mapping[K, UUID], opened: Callable[[Mapping[K, Opener]], R]) -> R:
        """`subjects`: by what `opened` calls them."""
        try:
            return opened(self._openers_of(subjects))
        except SealBroken:
            # Perhaps a key was rotated since it was remembered. What does not open then either keeps no other shut.
            openers = _openers(subjects, self._sound([*subjects.values()]))
            return opened({name: _or_broken(opens) for name, opens in openers.items()})

    def _openers_of(self, subjects: Mapping[K, UUID]) -> Mapping[K, Opener]:
        openers = {name: known for name, one in subjects.items() if (known := self._openers.get(one.int)) is not None}
        if len(openers) < len(subjects):
            missing = {name: subject for name, subject in subjects.items() if name not in openers}
            keys = self._keys_of(missing.values())
            made = _openers(missing, keys)
            with self._lock:
                for name, subject in missing.items():
                    if subject in self._keys and self._keys[subject] == keys.get(subject):
                        self._openers[subject.int] = made[name]
            openers |= made
        return openers

    def _sound(self, subjects: Sequence[UUID]) -> dict[UUID, bytes]:
        """The stored keys, without those that were altered."""
        try:
            return self._stored(subjects)
        except SealBroken:
            if len(subjects) == 1:
                return {}
            half = len(subjects) // 2
            return self._sound(subjects[:half]) | self._sound(subjects[half:])

    def blind_index(self, claim: Claim) -> bytes:
        """The keyed HMAC under which a claim is reserved: equal values give equal bytes, nothing leads back."""
        return self._blind_index(f"{claim.scope}\x00{claim.value}".encode())

    def fingerprint(self, command: bytes) -> bytes:
        """A keyed HMAC of a command's bytes, to tell a retry from another command under the same key."""
        return self._fingerprint(command)

    def api_token(self, actor: str, idempotency_key: UUID) -> str:
        """The API token that a command issues, such as `daybook_...`: for a retry the same, and stored nowhere."""
        drawn = self._api_token(f"{actor}\x00{idempotency_key}".encode("utf-8", "surrogatepass"))
        return "daybook_" + urlsafe_b64encode(drawn).rstrip(b"=").decode()

    def learned(self, appended: Mapping[UUID, bytes]) -> None:
        """New keys were appended with their first entries. Where one is not the one pending here, forget that."""
        with self._lock:
            for subject, wrapped in appended.items():
                key, made = self._pending.pop(subject, (b"", b""))
                if made == wrapped:
                    self._put(subject, key)

    def forget(self, subject: UUID) -> None:
        """Another process was first to make this subject's key, or it was destroyed."""
        with self._lock:
            self._drop(subject)

    def forget_all(self) -> None:
        """What is remembered may not be what is stored: a server may have taken over without the last entries."""
        with self._lock:
            for each in (self._keys, self._openers, self._pending):
                each.clear()
            self._forgotten += 1

    def turn(self) -> None:
        """The master key is rotated: from now on wrap new keys under the one of today, and forget those before it."""
        with self._lock:
            self._epoch = _ASK
            self._pending.clear()

    def _wrap(self, key: bytes, subject: UUID) -> bytes:
        try:
            return self._master.wrap(key, subject.bytes, self._epoch)
        except EpochUnknown:  # we turn, or whoever reads has met the key of today first, and the former one is gone
            self._epoch = self._epoch_of_today()
            return self._master.wrap(key, subject.bytes, self._epoch)

    def _epoch_of_today(self) -> int:
        """Raises MasterKeyError where our key of that epoch is not the book's."""
        with self._pool.connection() as db:
            return epoch_of_today(db, self._master)

    def destroyed(self, subjects: Iterable[UUID]) -> None:
        """These keys were destroyed: they are forgotten, and never remembered again."""
        with self._lock:
            for subject in subjects:
                self._destroyed.add(subject)
                self._drop(subject)

    def look_for_destroyed(self, subjects: Collection[UUID]) -> None:
        """Forget those of these keys that were destroyed, perhaps by another process just now."""
        with self._pool.connection() as db:
            gone = db.execute(
                "SELECT subject FROM daybook_keys.subjects WHERE subject = ANY(%s) AND wrapped IS NULL",
                ([*subjects],),
                binary=True,
            ).fetchall()
        self.destroyed(subject for (subject,) in gone)

    def _keys_of(self, subjects: Collection[UUID]) -> dict[UUID, bytes]:
        """The keys of each subject that has any, all generations; destroyed ones are b""."""
        found, missing = dict[UUID, bytes](), list[UUID]()
        with self._lock:
            for subject in subjects:
                if self._destroyed and subject in self._destroyed:
                    found[subject] = b""
                elif key := self._keys.get(subject):
                    found[subject] = key
                else:
                    missing.append(subject)
        if missing:
            found.update(self._stored(missing))
        return found

    def _stored(self, subjects: Collection[UUID]) -> dict[UUID, bytes]:
        """The same, as they stand in the database."""
        try:
            return self._fetched([*subjects])
        except EpochUnknown:
            # Since a key was read it was wrapped anew, and the master key that it was wrapped under destroyed.
            return self._fetched([*subjects])

    def _fetched(self, subjects: Sequence[UUID]) -> dict[UUID, bytes]:
        forgotten = self._forgotten
        with self._pool.connection() as db:
            rows = db.execute(
                "SELECT subject, wrapped FROM daybook_keys.subjects WHERE subject = ANY(%s)",
                (subjects,),
                binary=True,
                prepare=True,
            ).fetchall()
        fetched = {subject: self._unwrapped(subject, wrapped) if wrapped else b"" for subject, wrapped in rows}
        with self._lock:
            for subject in fetched:
                if subject in self._destroyed:
                    fetched[subject] = b""  # read just before it was destroyed
                elif fetched[subject] and forgotten == self._forgotten:
                    self._put(subject, fetched[subject])
        return fetched

    def _unwrapped(self, subject: UUID, wrapped: bytes) -> bytes:
        try:
            return self._master.unwrap(wrapped, subject.bytes)
        except EpochUnknown:
            raise
        except MasterKeyError:
            self._epoch_of_today()  # or it is our master key that is not the book's
            raise SealBroken(
                f"The key of subject {subject} in daybook_keys.subjects does not open under the master key, as others"
                " do: it was altered. Restore that row."
            ) from None

    def _put(self, subject: UUID, keys: bytes) -> None:
        """Remember a subject's keys, unless more are remembered: they were rotated meanwhile. The lock is held."""
        if len(keys) >= len(self._keys.get(subject, b"")):
            self._keys[subject] = keys
            self._openers.pop(subject.int, None)
        if len(self._keys) > self._remember:
            first, _ = self._keys.popitem(last=False)
            self._openers.pop(first.int, None)

    def _drop(self, subject: UUID) -> None:
        """Forget a subject's keys. The lock is held."""
        self._keys.pop(subject, None)
        self._openers.pop(subject.int, None)
        self._pending.pop(subject, None)


def _openers(subjects: Mapping[K, UUID], keys: Mapping[UUID, bytes]) -> dict[K, Opener]:
    """For each subject; where its keys were destroyed a tombstone stands in their place, and everything is ERASED."""

    def opener(each: bytes | None) -> Opener:
        return opener_of(each) if each else erased if each is not None else keyless

    return {name: opener(keys.get(subject)) for name, subject in subjects.items()}


def _or_broken(opens: Opener) -> Opener:
    """Gives why a part does not open, in place of raising it."""

    def opened(event_id: bytes, originator: bytes, version: int, sealed: bytes, position: int) -> Part:
        try:
            return opens(event_id, originator, version, sealed, position)
        except SealBroken as broken:
            return broken

    return opened


def token_hash(token: str) -> bytes:
    """What is kept of an API token: SHA-256, for 256 random bits are not guessed, however fast one tries."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
