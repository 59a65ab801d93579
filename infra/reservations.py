"""Who holds what must be unique: looked up by blind index, without a read model and without waiting for one."""

from collections.abc import Collection
from uuid import UUID

from domain.kernel import Claim
from infra.event_store import Pool
from infra.vault import Vault

_HOLDERS = """
    SELECT wanted.at, held.holder
    FROM unnest(%s::integer[], %s::text[], %s::bytea[]) AS wanted (at, scope, fingerprint)
    JOIN daybook.reservations AS held USING (scope, fingerprint)
    ORDER BY wanted.at, held.slot DESC
"""


class Reservations:
    """Reads of the reservations that appends take."""

    def __init__(self, pool: Pool, vault: Vault) -> None:
        self._pool, self._vault = pool, vault

    def holders(self, claims: Collection[Claim]) -> dict[Claim, UUID]:
        """The aggregate that holds each claim; the first holder where a claim is shared. Unheld ones are left out."""
        wanted = list(claims)
        with self._pool.connection() as db:
            rows = db.execute(
                _HOLDERS,
                (list(range(len(wanted))), [c.scope for c in wanted], [self._vault.blind_index(c) for c in wanted]),
                binary=True,
                prepare=True,
            ).fetchall()
        return {wanted[at]: holder for at, holder in rows}
