"""Importing again: what a row has added is not added once more, whatever else it says by now."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from unicodedata import normalize
from uuid import UUID, uuid4

import pytest

from api.importing.outcomes import Summary
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel.recorded import Context
from domain.opportunity import Opportunity, OpportunityStatus
from domain.steps import blocking
from tests.api.filled import asked, entries, opened
from tests.api.test_import import Files

PRODUCTS = """
kind = "products"
external_id = "id"
[[step]]
do = "add"
fields = { name = "name" }
"""
DEALS = """
kind = "opportunities"
external_id = "no"
[[pipeline]]
name = "Direct"
currency = "EUR"
stages = [{ name = "First", probability = 20 }]

[[step]]
do = "open"
occurred_at = "began"
[step.fields]
title = "title"
customer = { column = "who", find = "customer" }
pipeline = { constant = "Direct", find = "pipeline" }
lines = [
    { product = { column = "first", find = "product" }, price = { constant = "1000" } },
    { product = { column = "second", find = "product" }, price = { constant = "200" } },
]
[[step]]
do = "addLine"
fields = { product = { column = "extra", find = "product" }, price = { constant = "500" } }
[[step]]
do = "addNote"
fields = { text = "note" }
[[step]]
do = "win"
occurred_at = "ended"
fields = { closed_on = "ended" }
"""
HEADER = "no,title,who,first,second,extra,note,began,ended"
TICKETS = """
kind = "tickets"
external_id = "no"
[[step]]
do = "open"
fields = { subject = "subject", channel = { constant = "email" }, text = { constant = "Help" } }
[[step]]
do = "reply"
fields = { text = "answer" }
[[step]]
do = "receiveReply"
fields = { text = "thanks" }
[[step]]
do = "solve"
when = { done = "yes" }
fields = { code = { constant = "answered" } }
"""


class Deals(Files):
    def load(self, *rows: str, mapping: str = DEALS) -> Summary:
        return self._imported("opportunities", HEADER, rows, mapping, "old")

    def tickets(self, *rows: str) -> Summary:
        return self._imported("tickets", "no,subject,answer,thanks,done", rows, TICKETS, "old")

    def act(self, kind: str, verb: str, id: UUID | None, **raw: object) -> None:
        """What a person does to a record that is not known by an external id, or begins."""
        context = Context(actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4())
        given = raw if id is None else {"id": id, **raw}
        authority = unlimited(context.actor)
        blocking(self.parts.commands.submit(catalogue.deciders[kind], verb, given, context, authority))

    def amount(self) -> int:
        return int(self.deal("1").amount or 0)

    def counted(self, topic: str) -> int:
        [(many,)] = asked(self.parts, "SELECT count(*)::int FROM daybook.events WHERE topic = %s", topic)
        return int(many)


@pytest.fixture
def deals(database: str, tmp_path: Path) -> Iterator[Deals]:
    with opened(database, tmp_path) as parts:
        files = Deals(parts, tmp_path)
        files._imported("products", "id,name", ("p1,Pump", "p2,Pipe", "p3,Valve"), PRODUCTS, "old")
        files.customers("7,Alp,,,,,")
        yield files


def test_a_changed_row_adds_nothing_that_it_has_added_before(deals: Deals) -> None:
    deals.load("1,Heating,7,p1,,p2,Ring twice,,")
    assert deals.amount() == 1500
    for title in ("Heating again", "Heating", "Heating at last"):
        deals.forget_receipts()
        assert deals.load(f"1,{title},7,p1,,p2,Ring twice,,").changed == 1
        assert (deals.deal("1").title, deals.amount()) == (title, 1500)
    more = (
        DEALS + '[[step]]\ndo = "overrideProbability"\nfields = { probability = { constant = 40 }, reason = "note" }\n'
    )
    assert deals.load("1,Heating at last,7,p1,,p2,Ring twice,,", mapping=more).rows == 1
    assert (deals.amount(), deals.counted("OpportunityNoteAdded")) == (1500, 1)
    assert deals.load("1,Heating at last,7,p1,,p2,Ring thrice,,").changed == 1
    assert deals.counted("OpportunityNoteAdded") == 2, "that is another note"


def test_a_row_that_was_corrected_goes_on_from_where_it_was_refused(deals: Deals) -> None:
    assert deals.load("1,Heating,7,p1,,p2,Ring twice,2024-01-10,2199-02-20").rejected == 1
    assert deals.load("1,Heating,7,p1,,p2,Ring twice,2024-01-10,2024-02-20").changed == 1
    won = deals.deal("1")
    assert (won.status, deals.amount(), str(won.closed_on)) == (OpportunityStatus.WON, 1500, "2024-02-20")
    assert deals.counted("OpportunityNoteAdded") == 1


def test_a_conversation_is_not_held_again(deals: Deals) -> None:
    deals.tickets("1,Leak,Turn it off,Thanks,yes")
    assert deals.tickets("1,Big leak,Turn it off,Thanks,yes").changed == 1
    assert [deals.counted(f"Ticket{what}") for what in ("AgentReplied", "CustomerReplied", "Solved")] == [1, 1, 1]


def test_what_is_added_is_known_in_every_spelling(deals: Deals) -> None:
    row = "1,Heizung,7,p1,,p2,Für Zoë,,"
    deals.load(row)
    for spelled in (normalize("NFD", row), row):
        assert deals.load(spelled).unchanged == 1
    assert (deals.amount(), deals.counted("OpportunityNoteAdded")) == (1500, 1)
    both = deals.load(row, normalize("NFD", row))
    assert (both.unchanged, both.repeated, both.rejected) == (1, 1, 0)


def test_terms_of_a_line_that_the_file_does_not_say_stay_as_people_have_them(deals: Deals) -> None:
    deals.load("1,Heating,7,p1,p2,,,,")
    first, second = deals.deal("1").lines.values()
    deals.do("opportunity", "1", "changeLine", line=first.line, quantity="20", discount="15", tax="8.1")
    assert deals.load("1,Warmth,7,p1,p2,,,,").changed == 1
    kept = deals.deal("1").lines[first.line]
    assert (kept.quantity, kept.discount, kept.tax, kept.price) == tuple(map(Decimal, ("20", "15", "8.1", "1000")))
    assert deals.amount() == 20 * 850 + 200
    deals.do("opportunity", "1", "removeLine", line=first.line)
    assert deals.load("1,Heating,7,p1,p2,,,,").changed == 1
    assert second.line in deals.deal("1").lines, "the line of its product is not taken for the other's"
    assert _products(deals.deal("1")) == 2
    assert deals.load("1,Heating,7,p3,p2,,,,").changed == 1
    assert second.line in deals.deal("1").lines
    assert _products(deals.deal("1")) == 2, "another product stands in the place of the first"


def _products(deal: Opportunity) -> int:
    return len({line.product for line in deal.lines.values()})


def test_of_two_pipelines_of_one_name_the_one_in_use_is_meant(deals: Deals) -> None:
    deals.load("1,Heating,7,,,,,,")
    former = deals.deal("1").pipeline
    deals.act("pipeline", "archive", former)
    deals.act("pipeline", "define", None, name="DIRECT", currency="EUR", stages=[{"name": "Talk", "probability": 10}])
    assert deals.load("2,Cooling,7,,,,,,").created == 1
    assert deals.deal("2").pipeline != former


def test_a_row_whose_end_lies_before_its_beginning_is_rejected(deals: Deals) -> None:
    assert deals.load("1,Heating,7,p1,,,,2024-05-01,2024-04-30").rejected == 1
    assert deals.rejected("opportunities")[0]["reasons"] == (
        "column ended: this day lies before the one in column began"
    )
    assert deals.load("1,Heating,7,p1,,,,2024-05-01 10:00,2024-05-01").created == 1, "the same day may be a whole day"


def _erase(deals: Deals, customer: str) -> None:
    deals.do("customer", customer, "requestErasure", actor="somebody", ground="person_asked", reason="A letter")
    deals.do("customer", customer, "erasePersonalData", reason="Checked")
    assert len(deals.parts.erasures.carry_out_approved()) == 1


def test_no_row_changes_a_deal_or_ticket_that_went_with_its_customer(deals: Deals) -> None:
    """It keeps its external id, so no row makes another of it; nor is anything of the person entered again."""
    deals.load("1,Heizung für Ada,7,p1,,,,,")
    deals.load("1,Heating for Ada,7,p1,,,,,")
    deals.tickets("1,Leak at Ada's,Turn it off,,")
    deals.do("ticket", "1", "assignCustomer", customer=deals.holder("customer", "7"))
    kept = [deals.holder(kind, "1") for kind in ("opportunity", "ticket")]
    _erase(deals, "7")
    before = entries(deals.parts)
    for _ in range(2):
        for row in ("1,Heating for Ada,7,p1,,,,,", "1,Heizung für Ada,7,p1,,,,,"):
            again = deals.load(row)
            assert (again.rows, again.erased) == (1, 1), "as it came before"
        assert deals.tickets("1,Leak at Ada's,Turn it off,,").erased == 1
        for row in ("1,Heating for Ada,7,p1,p2,,,,", "1,Ada's heating,7,p1,,,,,", "1,Heating for Ada,,p1,,,Ring Ada,,"):
            assert deals.load(row).rejected == 1, "other lines, another title, a note"
            [rejected] = deals.rejected("opportunities")
            assert rejected["reasons"].startswith("its customer's personal data was erased, so no row changes it")
        for row in ("1,Leak at Ada's,Turn it off,,yes", "1,Leak in Ada's cellar,Turn it off,,"):
            assert deals.tickets(row).rejected == 1, "a new status, another subject"
            [rejected] = deals.rejected("tickets")
            assert rejected["reasons"].startswith("its customer's personal data was erased, so no row changes it")
        deals.forget_receipts()
    assert entries(deals.parts) == before
    assert [deals.holder(kind, "1") for kind in ("opportunity", "ticket")] == kept
    assert deals.load("2,Heating for Eve,,p1,,,,,").created == 1


def test_a_row_changes_what_has_gone_over_to_another_customer(deals: Deals) -> None:
    deals.customers("8,Berg,,,,,")
    deals.load("1,Heating,7,p1,,,,,")
    deals.do("opportunity", "1", "assignCustomer", customer=deals.holder("customer", "8"))
    _erase(deals, "7")
    assert deals.load("1,Cooling,8,p1,,,,,").changed == 1
    assert (deals.deal("1").title, deals.counted("OpportunityOpened")) == ("Cooling", 1)


def test_an_erased_person_stays_erased_however_the_file_spells_them(deals: Deals) -> None:
    row = "8,Zoë,,zoe@example.com,,,"
    deals.customers(row)
    _erase(deals, "8")
    for spelled in (normalize("NFD", row), row):
        again = deals.customers(spelled)
        assert (again.erased, again.created) == (1, 0)
