"""Records whose rows are not what their entries say: kept until a later look has found them right."""

from collections.abc import Collection, Iterable

from projections.attestation import Looked, Mismatch, Record
from projections.tables import Db

MOST = 1_000
"""Mismatches that are kept of each model: where there are more, it has to be rebuilt anyway."""


def known(db: Db, most: int) -> list[Record]:
    """Records that were found to differ, those first that were not looked at for longest."""
    return [(model, record) for model, record in db.execute(_KNOWN, (most,), prepare=True)]


def keep(db: Db, looked: Looked) -> None:
    """Keep what a look has found, and forget of its records what it did not find any more."""
    found = {one.record for one in looked.mismatches}
    with db.transaction():
        db.execute(_LOOKED, (len(looked.records),), prepare=True)
        _forget(db, [record for record in looked.records if record not in found])
        _add(db, looked.mismatches)


def passed(db: Db) -> None:
    """Note that every record was looked at once more."""
    db.execute("UPDATE daybook_projections.attestation SET passed_at = now()")


def _forget(db: Db, records: Collection[Record]) -> None:
    db.execute(_FORGET, ([model for model, _ in records], [record for _, record in records]), prepare=True)


def _add(db: Db, mismatches: Iterable[Mismatch]) -> None:
    rows = [(*one.record, one.position, one.what) for one in mismatches]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        db.execute(_ADD, (*columns, MOST))


_KNOWN = "SELECT model, record FROM daybook_projections.mismatches ORDER BY looked_at, model, record LIMIT %s"
_LOOKED = """
    UPDATE daybook_projections.attestation SET records = records + %s, looked_at = clock_timestamp()
"""
_FORGET = """
    DELETE FROM daybook_projections.mismatches USING unnest(%s::text[], %s::text[]) AS right_now (model, record)
    WHERE (mismatches.model, mismatches.record) = (right_now.model, right_now.record)
"""
_ADD = """
    WITH many AS (SELECT model, count(*) FROM daybook_projections.mismatches GROUP BY model)
    INSERT INTO daybook_projections.mismatches AS known (model, record, position, what)
    SELECT model, record, position, what
    FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[]) AS found (model, record, position, what)
    WHERE coalesce((SELECT count FROM many WHERE many.model = found.model), 0) < %s
        OR (model, record) IN (SELECT model, record FROM daybook_projections.mismatches)
    ON CONFLICT (model, record) DO UPDATE
        SET position = excluded.position, what = excluded.what, looked_at = clock_timestamp()
"""
