"""Tables that are not as the migrations make them are found, on every version of PostgreSQL, by whoever looks."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from infra.log.standing import MADE, facts, unlike
from infra.roles import logins

Db = psycopg.Connection[Any]


@pytest.fixture
def owner(migrated_database: str) -> Iterator[Db]:
    with psycopg.connect(migrated_database, autocommit=True) as db:
        yield db


def test_a_migrated_database_is_as_it_is_pinned(owner: Db, migrated_database: str) -> None:
    """For whoever looks, whatever their search path finds, and however they like names to be written."""
    assert sorted(facts(owner)) == MADE.splitlines()
    with psycopg.connect(logins(migrated_database).posting, autocommit=True) as db:
        db.execute("SET search_path = daybook, daybook_log, public; SET quote_all_identifiers = on")
        assert unlike(db) == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("ALTER TABLE daybook.events ENABLE ROW LEVEL SECURITY", "row security was added"),
        ("CREATE POLICY most ON daybook.events USING (position <> 7)", "policy most was added"),
        ("ALTER TABLE daybook_log.leaves DISABLE TRIGGER append_only", "disabled: CREATE TRIGGER append_only"),
        ("DROP TRIGGER append_only ON daybook_log.checkpoints", "refuse_change() is missing"),
        ("ALTER TABLE daybook.events DROP CONSTRAINT events_pkey", 'PRIMARY KEY ("position") is missing'),
        ("ALTER TABLE daybook.events DROP CONSTRAINT events_position_check", 'CHECK (("position" > 0)) is missing'),
        ("ALTER TABLE daybook_log.checkpoints ALTER note DROP NOT NULL", "column note text was added"),
        ("CREATE TABLE public.more () INHERITS (daybook.events)", "child table public.more was added"),
        ("CREATE RULE none AS ON INSERT TO daybook.events DO INSTEAD NOTHING", "rule none was added"),
        ("ALTER TABLE daybook.events RENAME TO those; CREATE VIEW daybook.events AS SELECT * FROM daybook.those",
         "daybook.events is not as Daybook makes it: kind vp was added"),
        ("ALTER TABLE daybook_log.subtrees SET UNLOGGED", "ordinary table is missing"),
        ("DROP TABLE daybook_log.subtrees", "daybook_log.subtrees is not as Daybook makes it: ordinary"),
        ("CREATE OR REPLACE FUNCTION daybook.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
         "daybook.refuse_change is not as Daybook makes it: BEGIN END was added"),
    ],
)  # fmt: skip
def test_what_differs_is_told(owner: Db, statement: str, says: str) -> None:
    owner.execute(statement.encode())
    assert says in "\n".join(one.words for one in unlike(owner))
