"""Telling clients what became of a record's fields: `diff` and `whyValue`, for the reader."""

import re
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
from api.reading.ids import shortened
from api.reading.moments import moment_of
from api.reading.sight import Sight
from api.reading.statement import Arguments
from api.tracing.story import Step, differences, origin
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
        history, _ = self._mapper.recorded_until([one.entry for one in entries if one.entry.position <= shown])
        names = self._tracer.names(kind)
        told = [
            _without(step, hidden)
            for step in self._tracer.steps(kind, history)
            if not names.is_hidden(step.field, hidden, sight)
        ]
        return _rows(_asked(given, [step for step in told if step.old != step.new], names.fields, reached))


def _asked(given: Arguments, told: Sequence[Step], fields: Sequence[str], reached: int) -> Iterable[Step]:
    if "from" in given:
        until = None if given.get("to") is None else moment_of("to", given["to"], reached)
        return differences(told, moment_of("from", given["from"], reached), until)
    field = given["field"]
    if re.sub(r"\[.*\]", "[…]", field, flags=re.DOTALL) not in fields:
        raise RequestError(
            RequestErrorCode.BAD_USER_INPUT,
            f"`{shortened(field)}` is no field of this record that an entry sets. There are: {', '.join(fields)}.",
        )
    step = origin(told, field, None if given.get("at") is None else moment_of("at", given["at"], reached))
    return () if step is None else (step,)


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
