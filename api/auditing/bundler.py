"""Bundles without keys for clients: `auditBundle`, for the reader."""

from datetime import datetime
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec

from api.auditing.bundle import Bundle, Bundles, NothingToShow
from api.errors import RequestError, RequestErrorCode
from api.reading.moments import moment_of
from api.reading.sight import Sight
from api.reading.statement import Arguments
from domain.kernel import parse_type_id
from domain.kernel.permissions import Permission
from infra.event_store import EventStore
from infra.log.proving import NotYetSigned
from projections.customers import customers
from projections.progress import Progress


class Bundler:
    """Makes bundles in a thread."""

    def __init__(self, bundles: Bundles, store: EventStore, progress: Progress, readers: anyio.CapacityLimiter) -> None:
        self._bundles, self._store, self._progress, self._readers = bundles, store, progress, readers

    async def __call__(self, given: Arguments, sight: Sight) -> str | None:
        """As the reader's `Prove` says. Raises RequestError."""
        # Amounts stand in columns, and how long a sealed part is says something: nothing can be left out of a proof.
        if not (sight.amounts and sight.has(Permission.READ_BOOK)):
            return None
        _, id = parse_type_id(given["id"])
        # What its rows do not show is not shown here either, as in `diff`.
        reached, shown = self._progress.position, self._progress.stands_at(customers.name, id)
        return await anyio.to_thread.run_sync(self._row, id, given.get("asOf"), reached, shown, limiter=self._readers)

    def _row(self, id: UUID, as_of: Arguments | None, reached: int, shown: int) -> str | None:
        through = None if as_of is None else min(self._position(moment_of("asOf", as_of, reached), reached), shown)
        try:
            made = self._bundles.of(id, through=through, at_most=shown)
        except NotYetSigned as error:
            if through is None:
                return None
            message = f"{error} Ask again then, or leave out `asOf` for what one covers."
            raise RequestError(RequestErrorCode.POSITION_NOT_REACHED, message, status=503) from None
        except NothingToShow:
            return None
        return msgspec.json.encode([_shown(made)]).decode()

    def _position(self, moment: int | datetime, reached: int) -> int:
        if isinstance(moment, int):
            return moment
        position = self._store.position_at(moment)
        if position is None:
            raise RequestError(
                RequestErrorCode.BAD_USER_INPUT,
                f"`time` lies in the future: {moment.isoformat()}. Leave out `asOf` to ask about now.",
            )
        return min(position, reached)


def _shown(made: Bundle) -> dict[str, object]:
    return {"file": made.file, "position": made.through, "checkpoint": made.checkpoint}
