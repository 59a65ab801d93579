"""Imports a file: many rows at once, each row's own commands in order."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple
from unicodedata import normalize
from uuid import UUID, uuid5

import uvloop

from api.composition import Parts
from api.importing.entering import Entered, Entering, Known, StepRefused
from api.importing.finding import Finder, NotFound
from api.importing.mapping import MappingError, RowMapping
from api.importing.outcomes import Outcome, Progress, Summary, Tally
from api.importing.rows import Entry, Rejected, Table
from api.importing.values import BadValue
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.encoding import SealBroken, UnreadableEntry
from domain.kernel import Refused
from domain.kernel.composing import fault_of
from domain.kernel.recorded import Context
from domain.steps import blocking, following
from infra.marks import Erased, entered_by, erased, imported, marks, remember

AT_ONCE = 32
"""Rows in hand at once: their appends share transactions."""

LONGEST_SOURCE = 60
"""Characters of the other system's name."""
BATCH = 512
"""Rows whose external ids are looked up together."""


class Waiting(NamedTuple):
    """A row that refers to a record of its own kind that is not there yet, and how it is rejected if none comes."""

    row: Entry
    rejected: Rejected


class Import:
    """Imports a file of one kind from one source."""

    def __init__(self, parts: Parts, mapping: RowMapping, source: str) -> None:
        """`source` is the other system's name. Raises MappingError where it can't be one."""
        unfit = fault_of(source, LONGEST_SOURCE) is not None
        source = "" if unfit else normalize("NFC", source).strip()  # as the book has it in external ids
        if not source or not source.isprintable() or ":" in source or len(source) > LONGEST_SOURCE:
            said = (
                f"must be a word of your own without a colon, of at most {LONGEST_SOURCE} characters, such as old-crm"
            )
            raise MappingError(f"The source's name {said}.")
        self._parts, self._mapping, self._source = parts, mapping, source
        self._finder = Finder(parts, source)
        self._entering = Entering(parts, mapping, source, self._finder)
        self._fingerprints: dict[str, UUID] = {}
        self._rows: dict[str, int] = {}

    def open(self, file: Path) -> Table:
        """The file, checked against the mapping. Raises MappingError."""
        return Table(file, self._mapping, self._source, self._derived)

    def run(self, table: Table, rejected_file: Path, progress: Progress) -> Summary:
        """Enter the rows; those that can't be entered are written to `rejected_file` with their reasons.

        Raises BookUnavailable where the book stops answering: begin again, and the import goes on where it stopped.
        """
        began, tally = time.monotonic(), Tally(progress)
        self._define_pipelines()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            waiting = self._pass(loop, self._distinct(table, tally), tally)
            # A row may refer to a row below it, as a subsidiary to its parent: it comes again once the others are in.
            while waiting:
                again = self._pass(loop, [one.row for one in waiting], tally)
                if len(again) == len(waiting):
                    for one in again:
                        tally.reject(one.rejected)
                    break
                waiting = again
        return tally.summary(table, rejected_file, time.monotonic() - began)

    def _pass(self, loop: asyncio.Runner, rows: Iterable[Entry], tally: Tally) -> list[Waiting]:
        """Enter the rows; returns those that refer to a record of their own kind that is not there yet."""
        waiting: list[Waiting] = []
        for batch in _batches(rows):
            known = self._known(batch)
            done: dict[UUID, UUID] = {}
            for row, came in zip(batch, loop.run(self._together(batch, known)), strict=True):
                if came is Outcome.ERASED:
                    tally.count(came)
                elif isinstance(came, Entered):
                    tally.count(came.outcome)
                    if came.record is not None:
                        done[came.record] = row.fingerprint
                elif isinstance(came, Rejected):
                    tally.reject(came)
                else:
                    waiting.append(came)
            remember(self._parts.pool, self._source, done)
        return waiting

    async def _together(
        self, batch: Sequence[Entry], known: Mapping[str, Known]
    ) -> Sequence[Entered | Rejected | Waiting | Literal[Outcome.ERASED]]:
        room = asyncio.Semaphore(AT_ONCE)

        async def enter(row: Entry) -> Entered | Rejected | Waiting | Literal[Outcome.ERASED]:
            async with room:
                before = known.get(row.external_id)
                went = before is not None and before.id in self._erased.records
                if (went or before is None) and self._came_before(row, before):
                    return Outcome.ERASED
                return _refused(row) if went else await following(self._enter(row, before))

        return await asyncio.gather(*map(enter, batch))

    def _came_before(self, row: Entry, known: Known | None) -> bool:
        """Whether it is a row of somebody who was erased since, or of what went with them."""
        content = {row.fingerprint, *row.spellings}
        return not self._erased.requests.isdisjoint(content) or (known is not None and known.fingerprint in content)

    async def _enter(self, row: Entry, known: Known | None) -> Entered | Rejected | Waiting:
        met: list[str | NotFound] = list(row.faults)
        if not row.faults:
            try:
                return await self._entering.enter(row, known)
            except NotFound as missing:
                met.append(missing)
            except StepRefused as refused:
                met.extend(refused.reasons)
            except (BadValue, UnreadableEntry, SealBroken) as bad:
                met.append(str(bad))
        met.extend(await self._entering.objections(row, known.id if known else None))
        rejected = Rejected(row.number, row.cells, tuple(dict.fromkeys(map(str, met))))
        own = self._mapping.decider.kind
        waits = any(isinstance(one, NotFound) and one.lookup.kind == own for one in met)
        return Waiting(row, rejected) if waits else rejected

    def _distinct(self, table: Table, tally: Tally) -> Iterator[Entry]:
        """The rows, each external id once."""
        for row in table.entries():
            if isinstance(row, Rejected):
                tally.reject(row)
                continue
            if row.faults:
                yield row  # to be told all that stands against it
                continue
            former = self._fingerprints.setdefault(row.external_id, row.fingerprint)
            above = self._rows.setdefault(row.external_id, row.number)
            if above == row.number:
                yield row
            elif former in (row.fingerprint, *row.spellings):
                tally.count(Outcome.REPEATED)
            else:
                why = f"row {above} says something else of the same external id {row.external_id!r}"
                tally.reject(Rejected(row.number, row.cells, (why,)))

    def _known(self, batch: Sequence[Entry]) -> dict[str, Known]:
        wanted = {row.external_id: row.fingerprint for row in batch if not row.faults}
        found = self._finder.known(self._mapping.decider.kind, wanted)
        lost = self._without_external_id({name: row for name, row in wanted.items() if name not in found})
        found |= lost
        complete = imported(self._parts.pool, self._source, found.values())
        changed = [id for name, id in found.items() if complete.get(id) != wanted[name]]
        left = marks(self._parts.pool, f"import:{self._source}", changed)
        return {name: Known(id, complete.get(id), left.get(id, []), name in lost) for name, id in found.items()}

    def _without_external_id(self, rows: Mapping[str, UUID]) -> dict[str, UUID]:
        """The records that have lost their external id since: their entries say which row they came from."""
        names = {row: name for name, row in rows.items() if row not in self._erased.requests}
        records = entered_by(self._parts.pool, f"import:{self._source}", names) if names else {}
        return {names[row]: record for row, record in records.items()}

    @cached_property
    def _erased(self) -> Erased:
        """Of rows that were entered before: what went with the persons who were erased since."""
        return erased(self._parts.pool, f"import:{self._source}")

    def _define_pipelines(self) -> None:
        pipeline = catalogue.deciders["pipeline"]
        for raw in self._mapping.pipelines:
            name = str(raw.get("name"))
            if self._finder.pipeline(name) is not None:
                continue
            request = self._derived(f"pipeline {name}".encode())
            key = uuid5(request, "define")
            context = Context(actor=f"import:{self._source}", idempotency_key=key, correlation_id=request)
            try:
                blocking(self._parts.commands.submit(pipeline, "define", raw, context, unlimited(context.actor)))
            except Refused as refused:
                raise MappingError(f"The pipeline {name} that the mapping asks for was refused: {refused}") from None
            self._finder.forget("pipeline")

    def _derived(self, content: bytes) -> UUID:
        return UUID(bytes=self._parts.vault.fingerprint(b"import\x00" + content)[:16], version=5)


def _refused(row: Entry) -> Rejected:
    """A row that says something else of a deal or ticket that went with its customer."""
    why = (
        "its customer's personal data was erased, so no row changes it any more;"
        " take it out of the file, and change by hand what else there is to change"
    )
    return Rejected(row.number, row.cells, (why,))


def _batches(rows: Iterable[Entry]) -> Iterator[list[Entry]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        yield batch
