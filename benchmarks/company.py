"""A company's book: customers, deals that move and tickets that are answered, by everybody's commands."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID, uuid4

from api.composition import Parts
from benchmarks.stock import NOTE
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel.recorded import Context, Receipt
from domain.steps import blocking

EACH = 17
"""Entries that a customer leaves, with its deal and its ticket."""

_WRITERS = 16


class _Terms(NamedTuple):
    """What the deals and tickets of the company refer to."""

    owner: UUID
    queue: UUID
    product: UUID
    pipeline: UUID
    stages: tuple[UUID, ...]


def enter_company(parts: Parts, customers: int) -> int:
    """Enter a company with so many customers; returns the last position of the book."""
    company = _Company(parts)
    terms = company.terms()
    with ThreadPoolExecutor(_WRITERS) as writers:
        # Batches, so that a failing command is heard of before the book is full.
        for begin in range(0, customers, 10 * _WRITERS):
            batch = range(begin, min(begin + 10 * _WRITERS, customers))
            list(writers.map(lambda number: company.customer(number, terms), batch))
    return parts.store.max_notification_id() or 0


class _Company:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def do(self, aggregate: str, verb: str, /, **raw: object) -> Receipt:
        context = Context(actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4())
        return blocking(
            self._parts.commands.submit(catalogue.deciders[aggregate], verb, raw, context, unlimited(context.actor))
        )

    def terms(self) -> _Terms:
        self.do(
            "company", "define", name="Bench & Sons", time_zone="Europe/Zurich", currency="EUR", language="en",
            phone_region="CH",
        )  # fmt: skip
        stages = [{"name": name, "probability": at} for name, at in (("Lead", 10), ("Offer", 40), ("Contract", 80))]
        pipeline = self.do("pipeline", "define", name="Sales", currency="EUR", stages=stages).id
        state = self._parts.daybook.fold(pipeline).state
        return _Terms(
            owner=self.do("staff_member", "register", name="Grace Hopper", email="grace@example.com").id,
            queue=self.do("queue", "create", name="First line").id,
            product=self.do("product", "add", name="Analytical Engine", price="12000", currency="EUR").id,
            pipeline=pipeline,
            stages=tuple(stage.id for stage in catalogue.deciders["pipeline"].standing(state).stages),
        )

    def customer(self, number: int, terms: _Terms) -> None:
        """A customer's story, with its deal and its ticket."""
        id = self.do("customer", "register", **person(number)).id
        self.do("customer", "assignOwner", id=id, owner=terms.owner)
        self.do("customer", "addTag", id=id, tag=f"tag {number % 20}")
        self.do("customer", "classify", id=id, scheme="industry", value=f"industry {number % 10}")
        self.do("customer", "changeDetails", id=id, job_title="Head of Purchasing", language="en")
        self.do("customer", "addNote", id=id, text=NOTE)
        deal = self.do(
            "opportunity", "open", title=f"Engine {number}", customer=id, pipeline=terms.pipeline, amount="1000",
            expected_close="2030-01-31", owner=terms.owner,
        ).id  # fmt: skip
        self.do("opportunity", "changeStage", id=deal, stage=terms.stages[1])
        self.do("opportunity", "addLine", id=deal, product=terms.product, quantity=number % 3 + 1, price="990.50")
        self.do("opportunity", "changeStage", id=deal, stage=terms.stages[2])
        if number % 2:
            self.do("opportunity", "win", id=deal)
        else:
            self.do("opportunity", "lose", id=deal, reason="price")
        ticket = self.do(
            "ticket", "open", customer=id, channel="email", subject="It does not compute", text=NOTE, queue=terms.queue
        ).id
        self.do("ticket", "assign", id=ticket, assignee=terms.owner)
        self.do("ticket", "reply", id=ticket, text=NOTE)
        self.do("ticket", "receiveReply", id=ticket, text=NOTE)
        self.do("ticket", "solve", id=ticket, code="answered")


def person(number: int) -> Mapping[str, object]:
    """A person as a client would register one, with an e-mail address and a telephone number."""
    return {
        "kind": "person",
        "name": f"Ada Lovelace {number}",
        "contact_points": [
            {"kind": "email", "value": f"ada.{number}@example.com"},
            {"kind": "phone", "value": f"+41 44 668 {number // 100 % 100:02} {number % 100:02}"},
        ],
        "source": "web",
    }
