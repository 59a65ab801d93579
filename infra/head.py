"""The head of the book, as far as a batch asks: where it ends, and what stands there of what the batch builds on.

It is read under the append lock. A process that was the last to append may instead suppose it: the statement that
inserts then reads the same, and inserts nothing where the book is not as it was supposed to be.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from domain.appending import Conditions, Entry, KeptReceipt
from domain.kernel import Claim
from domain.kernel.recorded import Receipt

# A statement takes a table's rows as one JSON document: a tenth of the client's time for a score of arrays. Each row is
# looked up by itself: joined, by a plan made on an empty table, the whole index may be read, and in another order. An
# entry at NULL, which only a superuser makes room for, would come first of all, and be taken for an empty book.

_HEAD = b"""
    SELECT coalesce(last.position, 0) AS position, greatest(last.at, clock_timestamp()) AS now,
        json_build_array(
            (SELECT json_agg(json_build_array(wanted.id, newest.originator_version%(and_when)b))
                FROM json_array_elements_text(%(ids)b::json) AS wanted (id)
                CROSS JOIN LATERAL (
                    SELECT originator_version, %(occurred_at)b AS at FROM daybook.events
                    WHERE originator_id = wanted.id::uuid ORDER BY originator_version DESC LIMIT 1) AS newest),
            (SELECT json_agg(json_build_array(wanted.actor, wanted.key, encode(kept.fingerprint, 'base64'),
                    json_build_array(kept.aggregate_id, kept.version, kept.position)))
                FROM json_to_recordset(%(keys)b::json) AS wanted (actor text, key uuid)
                CROSS JOIN LATERAL (
                    SELECT fingerprint, aggregate_id, version, position FROM daybook.receipts
                    WHERE (actor, idempotency_key) = (wanted.actor, wanted.key) LIMIT 1) AS kept),
            (SELECT json_agg(json_build_array(wanted.scope, wanted.fingerprint, held.slot, held.holder))
                FROM json_to_recordset(%(claims)b::json) AS wanted (scope text, fingerprint text)
                CROSS JOIN LATERAL (
                    SELECT slot, holder FROM daybook.reservations
                    WHERE (scope, fingerprint) = (wanted.scope, decode(wanted.fingerprint, 'base64'))
                    ORDER BY slot) AS held),
            (SELECT json_agg(json_build_array(wanted.subject, key.generations))
                FROM json_array_elements_text(%(subjects)b::json) AS wanted (subject)
                CROSS JOIN LATERAL (
                    SELECT generations FROM daybook_keys.subjects WHERE subject = wanted.subject::uuid LIMIT 1) AS key),
            (SELECT max(epoch) FROM daybook_keys.epochs)) AS found
    FROM (SELECT) AS always
    LEFT JOIN (
        SELECT position, %(recorded_at)b AS at FROM daybook.events
        WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1) AS last ON true
"""
_WITHIN_REACH = b"CASE WHEN %(time)b >= '0001-01-01' AND %(time)b < '10000-01-01' THEN %(time)b END"
"""Of an entry that was altered, a time that Python can't hold is none: nothing has to come after it."""
_TIMES = {name: _WITHIN_REACH % {b"time": name} for name in (b"recorded_at", b"occurred_at")}
READ = b"SELECT json_build_array(position, now, found) FROM (%b) AS head" % (
    _HEAD % {b"and_when": b", newest.at", b"ids": b"$1", b"keys": b"$2", b"claims": b"$3", b"subjects": b"$4", **_TIMES}
)
"""Reads the head. $1 to $4: what is `asked`."""

NOW_IF_SO = b"SELECT now FROM (%b) AS head WHERE position = $8 AND found::jsonb = $9::jsonb" % (
    _HEAD % {b"and_when": b"", b"ids": b"$4", b"keys": b"$5", b"claims": b"$6", b"subjects": b"$7", **_TIMES}
)
"""The time, where the head is as supposed; else no row. $4 to $7: what is `asked`; $8, $9: what is `supposed_of` it."""


class Left(NamedTuple):
    """The book as a process left it with its last append."""

    position: int
    epoch: int


class Head(NamedTuple):
    """What stands in the book when the lock is taken; accepted commands are added to it."""

    position: int
    now: datetime | None
    """The time of this batch, from the database's clock; never before the last entry's. None: not known yet."""
    versions: dict[UUID, tuple[int, datetime | None]]
    receipts: dict[tuple[str, UUID], KeptReceipt]
    slots: dict[tuple[str, bytes], dict[int, UUID]]
    keys: dict[UUID, int | None]
    """How many generations there are of each; None: destroyed. The keys themselves this role may not read."""
    epoch: int
    """Of the master key under which new keys are wrapped."""


_Answer: TypeAlias = tuple[
    int,
    datetime,
    tuple[
        list[tuple[UUID, int, datetime | None]] | None,
        list[tuple[str, UUID, bytes, tuple[UUID, int, int]]] | None,
        list[tuple[str, bytes, int, UUID]] | None,
        list[tuple[UUID, int | None]] | None,
        int,
    ],
]
"""What `READ` answers: the last position, the time, and what was found of each kind that was asked for; the epoch."""
_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def asked(entries: Iterable[Entry], conditions: Sequence[Conditions], indexes: Mapping[Claim, bytes]) -> list[bytes]:
    """What a batch asks of the head, as parameters. `indexes`: the blind index of every claim."""
    return [
        _encode(each)
        for each in (
            [
                *dict.fromkeys(
                    (*(id for one in conditions for id in one.expects), *(one.originator_id for one in entries))
                )
            ],
            [{"actor": one.actor, "key": one.idempotency_key} for one in conditions],
            [{"scope": claim.scope, "fingerprint": indexes[claim]} for one in conditions for claim in one.takes],
            [*dict.fromkeys(one.subject for one in entries if one.sealed is not None)],
        )
    ]


def read(answer: bytes) -> Head:
    """The head that `READ` answers."""
    position, now, (versions, receipts, slots, keys, epoch) = _decode(answer)
    held: dict[tuple[str, bytes], dict[int, UUID]] = {}
    for scope, index, slot, holder in slots or ():
        held.setdefault((scope, index), {})[slot] = holder
    return Head(
        position=position,
        now=now,
        versions={id: (version, occurred) for id, version, occurred in versions or ()},
        receipts={
            (actor, key): KeptReceipt(Receipt(*kept), fingerprint) for actor, key, fingerprint, kept in receipts or ()
        },
        slots=held,
        keys=dict(keys or ()),
        epoch=epoch,
    )


def supposed(entries: Iterable[Entry], conditions: Iterable[Conditions], left: Left) -> Head:
    """The head where nobody else has written, every command is new, nothing that one claims is reserved, and each was
    decided on what stands there."""
    versions: dict[UUID, int] = {}
    for one in conditions:
        for id, version in one.expects.items():  # of two, the newer: versions only grow
            versions[id] = max(version, versions.get(id, 0))
    for entry in entries:
        versions.setdefault(entry.originator_id, entry.originator_version - 1)
    keys: dict[UUID, int | None] = {}
    for entry in entries:
        if entry.sealed is not None:
            keys.setdefault(entry.subject, entry.generation if entry.new_key is None else 0)
    return Head(
        position=left.position,
        now=None,
        versions={id: (version, None) for id, version in versions.items() if version},
        receipts={},
        slots={},
        keys={subject: generations for subject, generations in keys.items() if generations},
        epoch=left.epoch,
    )


def supposed_of(head: Head) -> list[bytes]:
    """What `NOW_IF_SO` compares the book with."""
    versions = [(id, version) for id, (version, _) in head.versions.items()]
    return [b"%d" % head.position, _encode((versions or None, None, None, [*head.keys.items()] or None, head.epoch))]
