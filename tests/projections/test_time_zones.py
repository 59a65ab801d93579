"""Times arrive as they are in the book, whatever time zone the server, a database or a role is set to."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from domain.kernel import new_id, type_id
from domain.kernel.recorded import Recorded
from projections.attesting import Attestor, prepare_to_attest
from projections.model import Model, Posting, Table
from projections.rebuild import rebuild
from projections.tables import install
from tests.projections.conftest import Diaries
from tests.projections.diaries import append_of
from tests.toy import DiaryBegun

BEGUN = Table(name="begun", columns={"id": "text NOT NULL", "begun_at": "timestamptz NOT NULL"})


def post(posting: Posting, recorded: Recorded[Any]) -> None:
    posting.insert(BEGUN, id=type_id("dia", recorded.originator_id), begun_at=recorded.occurred_at)


begun = Model(name="begun", version=1, tables=(BEGUN,), post=post)


@pytest.mark.parametrize(
    ("zone", "when"),
    [
        ("Europe/Amsterdam", datetime(1930, 5, 1, 12, tzinfo=UTC)),  # +00:19:32, which JSON writes without its seconds
        ("America/New_York", datetime(1, 1, 1, tzinfo=UTC)),  # a day of the year before
    ],
)
def test_a_time_arrives_as_it_was(book: Diaries, zone: str, when: datetime) -> None:
    [(name,)] = book.db.execute("SELECT current_database()")
    book.db.execute(SQL("ALTER DATABASE {} SET timezone = {}").format(Identifier(name), Literal(zone)))
    book.db.execute("SET timezone = 'UTC'")
    last = append_of(book.parts, new_id(), DiaryBegun(owner="Ada"), when)
    alone = book._replace(models=(begun,))
    install(book.db, alone.models)
    with alone.running():
        alone.wait(last)
    for _ in range(2):
        assert book.parked() == []
        assert book.db.execute("SELECT begun_at, since_occurred_at FROM daybook_read.begun").fetchall() == [
            (when, when)
        ]
        with psycopg.connect(book.parts.conninfo, autocommit=True) as db:
            prepare_to_attest(db)
            looked = [one for _, one in Attestor(book.parts.mapper, alone.models).all(db)]
        assert [mismatch for one in looked for mismatch in one.mismatches] == []
        rebuild(book.parts.conninfo, book.parts.mapper, begun)
