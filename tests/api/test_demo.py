"""The demo: told once, through real commands, and nothing personal of it can be read without the keys."""

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from api import demo
from domain.access import unlimited
from domain.company import Company, company
from domain.kernel import COMPANY_ID
from domain.kernel.recorded import Context
from domain.ready_roles import READY
from domain.steps import blocking
from tests.api.filled import asked, entries, in_plain, opened, raw_dump
from tests.databases import forget_receipts


def test_it_is_told_once(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        assert demo.load(parts) == len(demo.story())
        told = entries(parts)
        assert demo.load(parts) == 0
        assert entries(parts) == told
    forget_receipts(database)
    with opened(database, tmp_path) as parts:
        assert demo.load(parts) == 0
        assert entries(parts) == told


def test_it_goes_on_where_it_was_interrupted(database: str, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    done = 0

    def until_the_middle(more: int) -> None:
        nonlocal done
        done += more
        if done == 150:
            raise Interrupted

    with opened(database, tmp_path) as parts:
        with pytest.raises(Interrupted):
            demo.load(parts, until_the_middle)
        halfway = entries(parts)
        assert 0 < halfway < len(demo.story())
        demo.load(parts)
        assert entries(parts) == len(READY) + len(demo.story())


def test_it_leaves_a_company_that_is_defined_as_it_is(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        own = {"name": "Our own", "time_zone": "UTC", "currency": "USD", "language": "en", "phone_region": "US"}
        context = Context(actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4())
        blocking(parts.commands.submit(company, "define", own, context, unlimited(context.actor)))
        demo.load(parts)
        state = parts.daybook.fold(COMPANY_ID).state
    assert isinstance(state, Company)
    assert state.settings is not None
    assert state.settings.name == "Our own"


def test_it_has_what_a_first_look_needs(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        demo.load(parts)
        began = dict(asked(parts, "SELECT topic, count(*)::int FROM daybook.events GROUP BY topic"))
    assert began["CustomerRegistered"] == 25
    assert began["OpportunityOpened"] == 30
    assert began["TicketOpened"] == 20
    assert (began["TeamCreated"], began["StaffMemberRegistered"], began["QueueCreated"]) == (3, 8, 2)
    assert (began["ProductAdded"], began["PipelineDefined"]) == (6, 2)
    assert (began["RoleDefined"], began["StaffMemberRoleGranted"]) == (8, 10)
    assert {"OpportunityWon", "OpportunityLost", "OpportunityReopened", "CustomerContactLinked"} <= set(began)
    assert {"CustomerConsentGranted", "CustomerConsentWithdrawn", "TicketSatisfactionGiven"} <= set(began)


def test_it_happened_so_many_days_before_the_day_it_is_loaded(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        demo.load(parts, now=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
        told = "SELECT min(occurred_at), max(occurred_at) FROM daybook.events WHERE actor = 'demo'"
        [(first, last)] = asked(parts, told)
        won = asked(
            parts, "SELECT occurred_at::date::text FROM daybook.events WHERE topic = 'OpportunityWon' ORDER BY 1"
        )
    assert (first.date(), last.date()) == (date(2025, 1, 6), date(2026, 3, 1))  # 420 days before, and the day before
    assert won[0][0] == "2025-05-11"  # 295 days before: the first deal of the Alpenhof


def test_a_raw_dump_holds_no_personal_value_of_it(database: str, tmp_path: Path) -> None:
    values = demo.personal_values()
    assert {"Νίκος Θεοδωρόπουλος", "wei.chen@longjing-tea.example.com", "ليلى المنصوري", "1969-08-01"} <= values
    with opened(database, tmp_path) as parts:
        demo.load(parts)
    dump = raw_dump(database)
    assert b"OpportunityOpened" in dump
    assert in_plain(values, dump) == []
