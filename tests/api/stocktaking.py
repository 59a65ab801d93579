"""What became of the open deals of pipelines, told by their events in plain Python: the oracle of the waterfall.

Each event says itself what it did: nothing here compares rows.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from domain.kernel.recorded import Recorded
from domain.opportunity import (
    OpportunityAmountChanged,
    OpportunityCloseDateMoved,
    OpportunityLineAdded,
    OpportunityLineChanged,
    OpportunityLineRemoved,
    OpportunityLost,
    OpportunityOpened,
    OpportunityPipelineChanged,
    OpportunityReassigned,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
)
from domain.pipeline import PipelineDefined, PipelineStageAdded, PipelineStageRetired, PipelineStagesReordered

Clock: TypeAlias = str
"""The name of an entry's attribute: position, recorded_at, occurred_at."""
Sum: TypeAlias = Mapping[str, Decimal]
"""By currency; 0 stands in none."""

ADDING, TAKING = ("created", "reopened", "movedIn", "grown"), ("won", "lost", "movedOut", "shrunk")
OF_DEALS = ("grown", "shrunk", "advanced", "wentBack", "slipped", "pulledIn")
"""Steps that a deal counts once for, however often it took them."""
BESIDE = OF_DEALS[2:]
STEPS = ("opening", "closing", *ADDING, *TAKING, *BESIDE)


class Deal(NamedTuple):
    """A deal, after one of its entries."""

    pipeline: UUID
    amount: Decimal | None
    currency: str | None
    owner: UUID | None
    team: UUID | None
    open: bool = True

    @property
    def worth(self) -> Sum:
        return {self.currency: self.amount} if self.amount and self.currency else {}


class Moved(NamedTuple):
    """A step of a deal."""

    step: str
    pipeline: UUID
    entry: Recorded[Any]
    worth: Sum


class Stocktaking:
    """Goes through a book once; then tells of any pipeline and any two moments."""

    def __init__(self, recorded: Iterable[Recorded[Any]]) -> None:
        self.moved: list[Moved] = []
        self.states: dict[UUID, list[tuple[Recorded[Any], Deal]]] = defaultdict(list)
        self._places: dict[UUID, int] = {}
        for entry in recorded:
            match entry.event:
                case PipelineDefined(stages=stages):
                    self._places |= {stage.stage: place for place, stage in enumerate(stages)}
                case PipelineStageAdded(order=order) | PipelineStagesReordered(new=order):
                    self._places |= {stage: place for place, stage in enumerate(order)}
                case PipelineStageRetired(order=order):
                    self._places |= {stage: place for place, stage in enumerate(order)}
                case _ if entry.kind == "opportunity":
                    self._deal(entry)
                case _:
                    pass

    def _deal(self, entry: Recorded[Any]) -> None:
        history, event = self.states[entry.originator_id], entry.event
        if isinstance(event, OpportunityOpened):
            now = Deal(event.pipeline, event.amount, event.currency, event.owner, event.team)
            self.moved.append(Moved("created", now.pipeline, entry, now.worth))
            history.append((entry, now))
            return
        deal = history[-1][1]
        now = _after(deal, event)
        history.append((entry, now))
        if deal.open or now.open:
            self.moved += (
                Moved(step, pipeline, entry, worth) for step, pipeline, worth in self._steps(deal, now, event)
            )

    def _steps(self, deal: Deal, now: Deal, event: Any) -> Iterator[tuple[str, UUID, Sum]]:
        match event:
            case OpportunityWon():
                yield "won", deal.pipeline, deal.worth
            case OpportunityLost():
                yield "lost", deal.pipeline, deal.worth
            case OpportunityReopened():
                yield "reopened", deal.pipeline, now.worth
            case OpportunityPipelineChanged(from_pipeline=former, to_pipeline=pipeline):
                yield "movedOut", former, deal.worth
                yield "movedIn", pipeline, now.worth
            case OpportunityStageChanged(from_stage=former, to_stage=stage):
                places = self._places[former], self._places[stage]
                if places[0] != places[1]:
                    yield "advanced" if places[0] < places[1] else "wentBack", deal.pipeline, now.worth
            case OpportunityCloseDateMoved(old=date() as old, new=date() as new):
                yield "slipped" if new > old else "pulledIn", deal.pipeline, now.worth
            case _:
                more = {
                    currency: now.worth.get(currency, Decimal(0)) - deal.worth.get(currency, Decimal(0))
                    for currency in {*now.worth, *deal.worth}
                }
                for step, sign in (("grown", 1), ("shrunk", -1)):
                    if worth := {currency: sign * amount for currency, amount in more.items() if sign * amount > 0}:
                        yield step, deal.pipeline, worth

    def then(self, clock: Clock, moment: Any) -> dict[UUID, Deal]:
        """The deals as they stood."""
        found: dict[UUID, Deal] = {}
        for id, history in self.states.items():
            for entry, deal in history:
                if getattr(entry, clock) <= moment:
                    found[id] = deal
        return found

    def waterfall(
        self, pipeline: UUID, clock: Clock, since: Any, until: Any, seen: Collection[UUID]
    ) -> tuple[dict[str, int], dict[str, dict[str, Decimal]]]:
        """How many and how much, by step."""
        counts: dict[str, int] = dict.fromkeys(STEPS, 0)
        sums: dict[str, dict[str, Decimal]] = {step: defaultdict(Decimal) for step in STEPS}
        for step, moment in (("opening", since), ("closing", until)):
            for id, deal in self.then(clock, moment).items():
                if id in seen and deal.open and deal.pipeline == pipeline:
                    counts[step] += 1
                    _add(sums[step], deal.worth)
        last: dict[tuple[str, UUID], Sum] = {}
        for moved in self.moved:
            deal_id = moved.entry.originator_id
            if moved.pipeline != pipeline or deal_id not in seen or not since < getattr(moved.entry, clock) <= until:
                continue
            if moved.step in OF_DEALS:
                counts[moved.step] += (moved.step, deal_id) not in last
            else:
                counts[moved.step] += 1
            last[moved.step, deal_id] = moved.worth
            if moved.step not in BESIDE:
                _add(sums[moved.step], moved.worth)
        for (step, _), worth in last.items():
            if step in BESIDE:
                _add(sums[step], worth)
        return counts, {
            step: {one: amount for one, amount in several.items() if amount} for step, several in sums.items()
        }


def _after(deal: Deal, event: Any) -> Deal:
    match event:
        case OpportunityAmountChanged(new_amount=amount, new_currency=currency):
            return deal._replace(amount=amount, currency=currency)
        case OpportunityLineAdded() | OpportunityLineChanged() | OpportunityLineRemoved():
            return deal._replace(amount=event.new_amount, currency=event.currency)
        case OpportunityWon() | OpportunityLost():
            return deal._replace(open=False)
        case OpportunityReopened():
            return deal._replace(open=True)
        case OpportunityPipelineChanged(to_pipeline=pipeline):
            return deal._replace(pipeline=pipeline)
        case OpportunityReassigned(new_owner=owner, new_team=team):
            return deal._replace(owner=owner, team=team)
        case _:
            return deal


def _add(to: dict[str, Decimal], worth: Sum) -> None:
    for currency, amount in worth.items():
        to[currency] += amount
