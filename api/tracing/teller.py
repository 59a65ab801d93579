"""Telling clients what became of a record's fields: `diff` and `whyValue`, for the reader."""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any, cast
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec
import strawberry

from api.errors import RequestError, RequestErrorCode
from api.reading.entities import Entities
from api.reading.moments import Then, in_future, in_order, moment_of
from api.reading.sight import Sight
from api.reading.statement import Arguments
from api.tracing.elements import why
from api.tracing.naming import NotNamed
from api.tracing.story import Step, differences
from api.tracing.tracer import Tracer
from domain.catalogue import catalogue
from domain.kernel import parse_type_id
from infra.event_store import EventStore
from infra.mapper import SealingMapper
from projections.progress import Progress
from projections.registry import models


class Teller:
    """Reads a record's entries in a thread, and folds them there."""

    def __init__(
        self,
        schema: strawberry.Schema,
        store: EventStore,
        mapper: SealingMapper,
        progress: Progress,
        readers: anyio.CapacityLimiter,
    ) -> None:
        self._schema, self._store, self._mapper = schema, store, mapper
        self._progress, self._readers = progress, readers
        self._kinds = {prefix: kind for kind, prefix in catalogue.prefixes.items()}
        self._models = {kind: model.name for model in models if model.kinds for kind in model.kinds}

    async def __call__(self, given: Arguments, hidden: Sequence[str], sight: Sight) -> str:
        """As the reader's `Tell` says. Raises RequestError."""
        prefix, id = parse_type_id(given["id"])
        kind, reached = self._kinds[prefix], self._progress.position
        # What its rows do not show is not told either: an entry that was not reached yet, or that is parked.
        shown = self._progress.stands_at(self._models[kind], id)
        tell = partial(self._told, kind, id, given, reached, shown, hidden, sight)
        return await anyio.to_thread.run_sync(tell, limiter=self._readers)

    @cached_property
    def _tracer(self) -> Tracer:
        return Tracer(Entities(self._schema))

    def _told(
        self, kind: str, id: UUID, given: Arguments, reached: int, shown: int, hidden: Sequence[str], sight: Sight
    ) -> str:
        entries: Any = self._store.select_events(id)
        # A runner of a newer version may have posted what this one can't read.
        mine = [one.entry for one in entries if 0 < (one.entry.position or 0) <= shown]
        history, _ = self._mapper.recorded_until(mine)
        names = self._tracer.names(kind)
        told = [
            _without(step, hidden)
            for step in self._tracer.steps(kind, history)
            if not names.is_hidden(step.field, hidden, sight)
        ]
        told = [step for step in told if step.old != step.new]
        if "from" in given:
            since, until = self._then("from", given["from"], reached), None
            if given.get("to") is not None:
                until = self._then("to", given["to"], reached)
                in_order(since, until)
            return _rows(differences(told, since.position, None if until is None else until.position))
        at = None if given.get("at") is None else self._then("at", given["at"], reached).position
        try:
            field = names.checked(given["field"])
            step = None if names.is_hidden(field, hidden, sight) else why(told, names, field, at)
        except NotNamed as error:
            raise RequestError(RequestErrorCode.BAD_USER_INPUT, str(error)) from None
        return _rows(() if step is None else (step,))

    def _then(self, argument: str, at: Arguments, reached: int) -> Then:
        """The moment that an argument names, found in the book. Raises RequestError where it is not there yet."""
        moment = moment_of(argument, at, reached)
        if isinstance(moment, int):
            return Then(moment, None)
        position = self._store.position_at(moment)
        if position is None:
            raise in_future(argument, moment)
        return Then(position, moment)


def _without(step: Step, hidden: Sequence[str]) -> Step:
    """A step whose values may be objects of which a part is hidden: `satisfaction.comment`."""
    prefix = f"{step.field}."
    gone = {name.removeprefix(prefix) for name in hidden if name.startswith(prefix)}
    if not gone:
        return step

    def seen(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: None if name in gone else one for name, one in cast("dict[str, Any]", value).items()}

    return step._replace(old=seen(step.old), new=seen(step.new))


def _rows(steps: Iterable[Step]) -> str:
    rows = [
        {
            "field": one.field,
            "before": one.left[0],
            "after": one.left[1],
            "before_erased": one.erased[0],
            "after_erased": one.erased[1],
            "sure": one.sure,
            "position": one.recorded.position,
        }
        for one in steps
    ]
    return msgspec.json.encode(rows).decode()
