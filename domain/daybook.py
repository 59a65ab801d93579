"""Daybook: the one door for commands. Load, decide, append; decide again when somebody was faster."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import InfrastructureFactory, Mapper
from eventsourcing.utils import Environment
from msgspec import UNSET
from msgspec.structs import replace

from domain.access import Authority, not_allowed
from domain.appending import (
    AlreadyExists,
    AlreadyHandled,
    Book,
    BookUnavailable,
    ClaimTaken,
    Conditions,
    Draft,
    Entry,
    Fingerprints,
    IdempotencyKeyReused,
    KeptReceipt,
    KeyDestroyed,
    Moved,
    ReasonRequired,
    RecordAltered,
    RecordUnreadable,
    Row,
    SubjectErased,
    TooManyAtOnce,
    VersionConflict,
)
from domain.encoding import NOT_DECODED, AnyDecider, Catalogue, Reading, UnknownEventName, UnreadableEntry
from domain.folds import NOTHING, Fold, Folds, Turns
from domain.kernel import (
    Command,
    Known,
    Path,
    Place,
    Reference,
    Refused,
    Rule,
    Standing,
    State,
    refuse,
    require,
    type_id,
)
from domain.kernel.asked import as_asked
from domain.kernel.fields import UnknownId
from domain.kernel.recorded import Context, Receipt
from domain.references import references
from domain.steps import Look

ATTEMPTS = 25
"""How often a command is decided anew when another process was faster, before it is refused."""


class Unfoldable(UnreadableEntry):
    """An aggregate with an entry that can't be read. `before`: its state until then; without a decider, it has none."""

    def __init__(
        self, id: UUID, decider: AnyDecider | None, before: State, position: int, name: str, why: Exception
    ) -> None:
        super().__init__(position, name, why)
        self.id, self.decider, self.before = id, decider, before


class Daybook(Application[UUID]):
    """Commands in, events out. Thread-safe; one for each process."""

    def __init__(
        self,
        factory: InfrastructureFactory[Any],
        mapper: Mapper[UUID],
        catalogue: Catalogue,
        book: Book,
        fingerprints: Fingerprints,
        *,
        remember: int = 100_000,
    ) -> None:
        """`remember`: about how many events' worth of folded aggregates to keep in memory."""
        self._factory, self._mapper = factory, mapper
        super().__init__()
        self.catalogue, self._book, self._fingerprints = catalogue, book, fingerprints
        self._folds, self._turns = Folds(remember), Turns()
        self._lineage = book.lineage
        self._encode = msgspec.json.Encoder().encode

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:  # noqa: ARG002 - as the library calls it
        return self._factory

    def construct_mapper(self) -> Mapper[UUID]:
        return self._mapper

    async def handle(self, command: Command, context: Context, authority: Authority) -> Receipt:
        """Do what the command asks, once for each idempotency key; a command that changes nothing gets a receipt too.

        `authority`: of who asks; what it does not see does not exist. A coroutine of steps: `blocking` and `following`
        run it. Raises Refused with every rule broken, or BookUnavailable when the outcome is unknown.
        """
        decider = self.catalogue.by_command[type(command)]
        require(not_allowed(authority, command))
        await self._turns.take(command.id)
        try:
            return await self._attempts(decider, command, context, authority)
        finally:
            self._turns.give_back(command.id)

    def fold(self, id: UUID, *, opened: bool = True) -> Fold:
        """The aggregate as it stands now, by a look at the store; not `opened`, only what its standing depends on.

        Raises Unfoldable where it has an entry that can't be read: how it stands then, nobody knows.
        """
        self._lineage_now()
        return self._load({id: opened})[id]

    def fold_sealed(self, id: UUID) -> Fold:
        """The same, of all its entries with nothing opened: an entry whose sealed part was altered does not stop it."""
        rows = self._book.histories({id: 0}, Reading()).get(id)
        return self._further(id, NOTHING._replace(opened=False), rows) if rows else NOTHING

    def recall(self, id: UUID, *, opened: bool = True) -> Fold:
        """The aggregate as this process saw it last: perhaps older than it stands, and NOTHING where it saw none."""
        return self._folds.get(id, opened=opened)

    def forget(self) -> None:
        """Remember no aggregate as it was read: something in it was erased, or it stands in the book no more."""
        self._folds.clear()

    @property
    def forgotten(self) -> int:
        """How often `forget` was called: who keeps what was opened compares it with what it was before."""
        return self._folds.cleared

    async def _attempts(self, decider: AnyDecider, command: Command, context: Context, authority: Authority) -> Receipt:
        begun_in = self._book.lineage
        for attempt in range(ATTEMPTS):
            # What is remembered is good enough to succeed on, because the append checks every version that was read;
            # to refuse, or after somebody was faster, the store is asked.
            trusting = attempt == 0
            try:
                return await self._decide_and_append(decider, command, context, authority, trusting=trusting)
            except Moved:
                continue
            except AlreadyHandled as already:
                return self._again(decider, command, context, already.kept)
            except ClaimTaken as taken:
                raise Refused(decider.taken(command, taken.claim)) from None
            except Refused:
                if trusting:
                    continue
                receipt = partial(self._book.receipt, context.actor, context.idempotency_key)
                if kept := await Look(receipt):
                    return self._again(decider, command, context, kept)
                raise
        if self._book.lineage != begun_in:
            raise BookUnavailable("The book's connection was lost again and again; send it again with the same key.")
        raise Refused(TooManyAtOnce())

    async def _decide_and_append(
        self, decider: AnyDecider, command: Command, context: Context, authority: Authority, *, trusting: bool
    ) -> Receipt:
        lineage = self._lineage_now()
        cleared = self._folds.cleared
        try:
            own, known, expects = await self._read(decider, command, authority, trusting=trusting)
            expected = context.expected_version
            if expected is not None and expected != own.version:
                refuse(VersionConflict(expected=expected, actual=own.version, path=("expected_version",)))
            if context.reason is None and type(command) in decider.reasoned:
                refuse(ReasonRequired(path=("reason",)))
            fingerprint = self._fingerprint(decider, command, context)
            while (onward := decider.hands_on(before := _state(decider, own), command)) is not None:
                command = onward
                own, known, more = await self._read_onward(decider, command, known, trusting=trusting)
                expects |= more
        except Unfoldable as stopped:
            raise Refused(self._unfoldable(stopped, command, authority)) from None
        after = before
        drafts: list[Draft] = []
        for event in decider.decide(before, command, known):
            after = decider.evolve(after, event)
            drafts.append(
                Draft(
                    originator_id=command.id,
                    originator_version=own.version + len(drafts) + 1,
                    subject=decider.sealed_for(command.id, after, event),
                    event=event,
                    context=context,
                )
            )
        if type(command) in decider.creates:
            require(not_allowed(authority, command, decider.standing(after).place))
        held, holds = decider.claims(before), decider.claims(after)
        version = own.version + len(drafts)
        conditions = Conditions(
            actor=context.actor,
            idempotency_key=context.idempotency_key,
            fingerprint=fingerprint,
            receipt=Receipt(command.id, version, own.position),
            expects=expects,
            takes=sorted(holds - held),
            gives_back=sorted(held - holds),
            subject=decider.subject(after) or command.id,
            lineage=lineage,
        )
        try:
            positions = await self._book.append(await self._sealed(drafts), conditions)
        except KeyDestroyed as gone:
            raise Refused(self._erased(gone.subject, decider, command, drafts)) from None
        position = positions[-1] if positions else own.position
        self._folds.put(command.id, Fold(version, position, decider.kind, after, opened=True), cleared)
        return Receipt(command.id, version, position)

    def _lineage_now(self) -> int:
        """The book's; what is remembered of a former one is forgotten before anybody takes it for this one's."""
        lineage = self._book.lineage
        if lineage != self._lineage:
            self.forget()
            self._lineage = lineage
        return lineage

    def _erased(self, subject: UUID, decider: AnyDecider, command: Command, drafts: Sequence[Draft]) -> SubjectErased:
        """Why nothing can be sealed; at the reason, where there is nothing else to be sealed."""
        # What is not sealed under the record's own key is sealed under that of the customer whom it is about.
        prefix = decider.prefix if subject == command.id else self.catalogue.prefixes["customer"]
        own = any(self.catalogue.shape_of(one.event).personal for one in drafts if one.subject == subject)
        return SubjectErased(subject=type_id(prefix, subject), path=() if own else ("reason",))

    async def _sealed(self, drafts: Sequence[Draft]) -> list[Entry]:
        """The entries of drafts; their subjects' keys may have to be fetched."""

        def seal() -> list[Entry]:
            return [
                cast("Entry", self._mapper.to_stored_event(cast("DomainEventProtocol[UUID]", each))) for each in drafts
            ]

        # A record that begins gets its own key with its first entry.
        begun = drafts[0].originator_id if drafts and drafts[0].originator_version == 1 else None
        at_once = all(each.subject == begun or self._book.seals_at_once(each.subject) for each in drafts)
        return seal() if at_once else await Look(seal)

    def _again(self, decider: AnyDecider, command: Command, context: Context, kept: KeptReceipt) -> Receipt:
        """The first receipt, where this is the same command under the same key."""
        if kept.fingerprint != self._fingerprint(decider, command, context):
            refuse(IdempotencyKeyReused(path=("idempotency_key",)))
        return kept.receipt

    def _fingerprint(self, decider: AnyDecider, command: Command, context: Context) -> bytes:
        asked = as_asked(command)
        if type(command) in decider.creates:
            asked = replace(asked, id=UNSET)  # made anew for each attempt
        said = (type(command).__name__, asked, context.reason, context.on_behalf_of, context.occurred_at)
        return self._fingerprints.fingerprint(self._encode(said))

    async def _read(
        self, decider: AnyDecider, command: Command, authority: Authority, *, trusting: bool
    ) -> tuple[Fold, Known, dict[UUID, int]]:
        """The aggregate itself, what is known of others, and the versions that both were read at."""
        wanted = list(references(command))
        # What begins under a new id needs no look at the store: the append finds out if the id was not new.
        begins = trusting and type(command) in decider.creates
        own_id = {} if begins else {command.id: True}
        folds = await self._looked_up({one.id: False for one in wanted} | own_id, trusting=trusting)
        own = folds.get(command.id, NOTHING)
        if type(command) in decider.creates:
            require(AlreadyExists() if own.version else None)
        elif own.kind != decider.kind:
            refuse(decider.absent() if decider.absent else UnknownId(kind=decider.kind, path=("id",)))
        else:
            place = decider.standing(own.state).place
            require(None if authority.sees(decider.kind, place) else UnknownId(kind=decider.kind, path=("id",)))
            require(not_allowed(authority, command, place))
        before = _state(decider, own)
        standings = self._standings(wanted, folds, authority)
        number = await self._number(decider, command, own)
        known = Known(
            now=datetime.now(UTC),
            number=number,
            standings=standings,
            actor=authority.actor,
            on_behalf=authority.acting_for is not None,
        )
        while more := [one for one in decider.consults(before, command, known) if one.id not in folds]:
            folds |= await self._looked_up({one.id: False for one in more}, trusting=trusting)
            known = replace(known, standings={**known.standings, **self._standings(more, folds)})
        expects = {id: fold.version for id, fold in folds.items()} | {command.id: own.version}
        return own, known, expects

    async def _read_onward(
        self, decider: AnyDecider, command: Command, known: Known, *, trusting: bool
    ) -> tuple[Fold, Known, dict[UUID, int]]:
        """The record that a command was handed on to, begun or not, what is known of others, and their versions.

        Nobody's permissions are asked: they were, of the record that the command was sent to.
        """
        wanted = list(references(command))
        folds = await self._looked_up({one.id: False for one in wanted} | {command.id: True}, trusting=trusting)
        own = folds[command.id]
        standings = {**known.standings, **self._standings(wanted, folds)}
        number = await self._number(decider, command, own)
        return own, replace(known, standings=standings, number=number), {id: each.version for id, each in folds.items()}

    async def _number(self, decider: AnyDecider, command: Command, own: Fold) -> int | None:
        begins = type(command) in decider.numbered and not own.version
        return await Look(self._book.next_number) if begins else None

    def _standings(
        self, wanted: Sequence[Reference], folds: Mapping[UUID, Fold], authority: Authority | None = None
    ) -> dict[UUID, Standing]:
        """The standings of references, where they exist.

        What an authority does not see is refused together with what is not there: one without the other would tell
        which is which.
        """
        found: dict[UUID, Standing] = {}
        unknown: list[Rule] = []
        for one in wanted:
            fold = folds[one.id]
            if fold.kind == one.kind:
                found[one.id] = self.catalogue.deciders[one.kind].standing(fold.state)
                is_known = authority is None or authority.sees(one.kind, found[one.id].place)
            else:
                is_known = one.optional and not fold.version
            if not is_known:
                unknown.append(UnknownId(kind=one.kind, path=one.path))
        require(unknown)
        return found

    async def _looked_up(self, wanted: Mapping[UUID, bool], *, trusting: bool) -> dict[UUID, Fold]:
        """The folds of aggregates; `trusting`: what is remembered may be out of date, it is not read on."""
        folds: dict[UUID, Fold] = {}
        missing: dict[UUID, bool] = {}
        for id, opened in wanted.items():
            fold = self._folds.get(id, opened=opened) if trusting else NOTHING
            if fold.version:
                folds[id] = fold
            else:
                missing[id] = opened
        return folds | await Look(partial(self._load, missing)) if missing else folds

    def _load(self, wanted: Mapping[UUID, bool]) -> dict[UUID, Fold]:
        """Fold what is not remembered yet; a fold read sealed is begun anew where the opened one is needed."""
        cleared = self._folds.cleared
        folds = {id: self._folds.get(id, opened=opened) for id, opened in wanted.items()}
        for opened in (True, False):
            after = {id: fold.version for id, fold in folds.items() if fold.opened is opened}
            reading = self.catalogue.opened if opened else self.catalogue.sealed
            for id, rows in self._book.histories(after, reading).items() if after else ():
                folds[id] = self._further(id, folds[id], rows)
                self._folds.put(id, folds[id], cleared)
        return folds

    def _further(self, id: UUID, fold: Fold, rows: Sequence[Row]) -> Fold:
        """The fold with these entries on top."""
        kind = fold.kind or self._kind(id, rows[0])
        decider = self.catalogue.deciders[kind]
        decode, evolve = self.catalogue.decode, decider.evolve
        state: State = decider.initial if fold.state is None else fold.state
        for _, position, name, public, personal in rows:
            try:
                event = decode(name, public, personal)
            except NOT_DECODED as error:
                raise Unfoldable(id, decider, state, position, name, error) from None
            state = evolve(state, event)
        version, position, *_ = rows[-1]
        return Fold(version, position, kind, state, fold.opened)

    def _kind(self, id: UUID, first: Row) -> str:
        _, position, name, *_ = first
        try:
            return self.catalogue.kind(name)
        except UnknownEventName as error:
            raise Unfoldable(id, None, State(), position, name, error) from None

    def _unfoldable(self, stopped: Unfoldable, command: Command, authority: Authority) -> Rule:
        """Why nothing is decided: told to whom sees the record as it stood before the entry that can't be read."""
        decider = stopped.decider or self.catalogue.by_command[type(command)]
        place = decider.standing(stopped.before).place if stopped.decider else Place()
        if authority.sees(decider.kind, place):
            rule = RecordAltered if stopped.altered else RecordUnreadable
            return rule(event=stopped.name, position=stopped.position)
        paths: dict[UUID, Path] = {one.id: one.path for one in references(command)} | {command.id: ("id",)}
        return UnknownId(kind=decider.kind, path=paths.get(stopped.id, ()))


def _state(decider: AnyDecider, own: Fold) -> State:
    state: State = decider.initial if own.state is None else own.state
    return state
