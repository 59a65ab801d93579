"""A superuser of the database rewrites a real book: whatever they do, it is found, and said where.

`DAYBOOK_CAMPAIGN=full` does each kind of change 1,000 times for each attacker; `DAYBOOK_CAMPAIGN_SEED=1000` begins with
another seed.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.kernel import new_id
from infra.log.checkpointer import Growth
from infra.log.note import Signer
from infra.log.store import Kept, latest
from infra.log.verifying import Fault, Verdict, verify
from tests.faults.report import FIRST_SEED, FULL, Report
from tests.infra.log.superuser import KINDS, TABLES, Done, Tampering, disarm, rewrite_the_log, run
from tests.toy import BeginDiary, MoveDiary, WritePage, asking, handled, toy_book

SIGNER, THIEF = Signer("daybook/tested", bytes(32)), Signer("daybook/tested", b"\x01" * 32)
EACH = 1_000 if FULL else 1
"""Times that each attacker tries each kind of change, each time with a seed of its own."""
SIZES = (1, 90, 200, 260, 300)
"""Of the checkpoints."""
HEAD, KEPT_AT = 300, 200
Db = psycopg.Connection[Any]


class Book:
    """A book with its log, the superuser's connection to it, and a checkpoint that somebody keeps elsewhere."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self.db: Db = psycopg.connect(conninfo, autocommit=True)
        self._other: Db = psycopg.connect(conninfo, autocommit=True)
        self.kept = ""
        self._restored = 0

    def keep(self) -> None:
        """Remember all of it as it is now."""
        for table in TABLES:
            run(self.db, f"CREATE TABLE public.{table.replace('.', '_')} AS TABLE {table}")

    def restore(self, *tables: str) -> None:
        """Make these tables, or all, what they were. Much cheaper than TRUNCATE, as long as dead rows don't pile up."""
        self._restored += 1
        for table in tables or TABLES:
            run(self.db, f"DELETE FROM {table}")
            if self._restored % 50 == 0:
                run(self.db, f"VACUUM {table}")
            run(self.db, f"INSERT INTO {table} SELECT * FROM public.{table.replace('.', '_')}")

    def verdict(self, *elsewhere: str) -> Verdict:
        return verify(self.db, self._other, [SIGNER.verifier], elsewhere)

    def close(self) -> None:
        self.db.close()
        self._other.close()


@pytest.fixture(scope="module")
def book(module_database: str, _server: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    name = conninfo_to_dict(module_database)["dbname"]
    found, growth = Book(make_conninfo(_server[1], dbname=name)), Growth(SIGNER)
    with toy_book(module_database, tmp_path_factory.mktemp("tampering")) as parts:
        _write(parts, found, growth)
    disarm(found.db)
    found.keep()
    yield found
    found.close()


def _write(parts: Any, book: Book, growth: Growth) -> None:
    """HEAD entries by the door, with a checkpoint now and then."""
    ids = list[Any]()
    for at in range(1, HEAD + 1):
        if at % 5 == 1:
            ids.append(handled(parts, BeginDiary(id=new_id(), owner=f"Ada {at}"), asking()).id)
        elif at % 5 == 2:
            handled(parts, MoveDiary(id=ids[-1], address=f"Street {at}"), asking())
        else:
            context = asking(on_behalf_of="Rosa") if at % 2 else asking()
            handled(parts, WritePage(id=ids[-1], page=uuid4(), text=f"Page {at}"), context)
        if at in SIZES:
            growth.catch_up(book.db)
        if at == KEPT_AT:
            book.kept = _latest(book.db).note


def _latest(db: Db) -> Kept:
    last = latest(db)
    assert last is not None
    return last


def test_what_nobody_altered_holds(book: Book) -> None:
    verdict = book.verdict(book.kept)
    assert verdict.findings == []
    assert (verdict.entries, verdict.covered, verdict.checkpoints) == (HEAD, HEAD, 6)


@pytest.mark.campaign
def test_history_altered_by_a_superuser(book: Book, report: Report) -> None:
    tries = EACH * len(ATTACKS) * len(KINDS)
    for seed in range(FIRST_SEED, FIRST_SEED + tries):
        attack, kind = ATTACKS[seed % len(ATTACKS)], KINDS[seed // len(ATTACKS) % len(KINDS)]
        tried = attack(book, kind, Random(seed))
        assert tried is None, f"with DAYBOOK_CAMPAIGN_SEED={seed}, {attack.__name__}: {tried}"
        book.restore()
    report.add_tampering(seed=FIRST_SEED, faults=tries, events=HEAD)


def who_alters_the_book_alone(book: Book, kind: Tampering, random: Random) -> str | None:
    """The tree says exactly where."""
    done = kind(book.db, random, random.randint(1, HEAD), HEAD)
    verdict = book.verdict()
    places = [one.position for one in verdict.findings if one.fault in (Fault.ALTERED, Fault.MISSING, Fault.UNEXPECTED)]
    return None if places[:1] == [done.first] else told(done, verdict)


def who_rewrites_the_tree_too(book: Book, kind: Tampering, random: Random) -> str | None:
    """But has no key: the checkpoints say between which two."""
    done = kind(book.db, random, random.randint(1, HEAD), HEAD)
    rewrite_the_log(book.db, SIGNER)
    book.restore("daybook_log.checkpoints")
    verdict = book.verdict()
    first = max(size for size in (0, *SIZES) if size < max(done.first, 1)) + 1
    found = any(
        one.position is not None and first <= max(one.position, 1) <= max(done.first, 1) for one in verdict.findings
    )
    return None if found else told(done, verdict)


def who_signs_with_another_key(book: Book, kind: Tampering, random: Random) -> str | None:
    """Something at least is left to sign."""
    done = kind(book.db, random, random.randint(2, HEAD), HEAD)
    rewrite_the_log(book.db, THIEF)
    verdict = book.verdict()
    return None if not verdict.holds else told(done, verdict)


def who_has_the_signing_key(book: Book, kind: Tampering, random: Random) -> str | None:
    """And makes all of it anew: nothing but the checkpoint that is kept elsewhere knows better."""
    done = kind(book.db, random, random.randint(1, KEPT_AT), HEAD)
    rewrite_the_log(book.db, SIGNER)
    verdict = book.verdict(book.kept)
    found = any(one.position is not None and one.position <= done.first for one in verdict.findings)
    return None if found else told(done, verdict)


def told(done: Done, verdict: Verdict) -> str:
    return f"{done.words}, but found was {verdict.findings}"


ATTACKS: Sequence[Callable[[Book, Tampering, Random], str | None]] = (
    who_alters_the_book_alone,
    who_rewrites_the_tree_too,
    who_signs_with_another_key,
    who_has_the_signing_key,
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE daybook_log.leaves SET hashes = sha256('') || substr(hashes, 33) WHERE first = 91",
        "DELETE FROM daybook_log.leaves WHERE first = 91",
        "UPDATE daybook_log.leaves SET hashes = substr(hashes, 1, 33) WHERE first = 91",
        "INSERT INTO daybook_log.leaves SELECT first + 1, hashes FROM daybook_log.leaves WHERE first = 91",
        "INSERT INTO daybook_log.leaves SELECT * FROM daybook_log.leaves WHERE first = 91",
        "INSERT INTO daybook_log.leaves VALUES (301, sha256(''))",
        "UPDATE daybook_log.subtrees SET hash = sha256(hash)",
        "DELETE FROM daybook_log.subtrees",
        "INSERT INTO daybook_log.subtrees VALUES (8, 1, sha256(''))",
        "INSERT INTO daybook_log.subtrees VALUES (32767, -1, sha256(''))",
        "UPDATE daybook_log.checkpoints SET note = '' WHERE size = 90",
        "UPDATE daybook_log.checkpoints SET size = 91 WHERE size = 90",
        "UPDATE daybook_log.checkpoints SET note = replace(note, '90', '91') WHERE size = 90",
        "INSERT INTO daybook_log.checkpoints VALUES (9223372036854775807, 'nothing')",
        "DELETE FROM daybook_log.checkpoints WHERE size > 200",
        "DELETE FROM daybook_log.checkpoints",
    ],
)
def test_a_log_that_was_altered_is_told_from_a_book_that_was(book: Book, statement: str) -> None:
    run(book.db, statement)
    verdict = book.verdict(book.kept)
    book.restore()
    assert not verdict.holds
    assert "not this book's" not in str(verdict.findings), "the checkpoints that are left hold"


def test_a_book_that_was_emptied_with_its_log_is_a_new_one_but_for_what_is_kept_elsewhere(book: Book) -> None:
    for table in TABLES:
        run(book.db, f"DELETE FROM {table}")
    alone, kept = book.verdict(), book.verdict(book.kept)
    book.restore()
    assert (alone.holds, alone.entries, alone.covered) == (True, 0, 0)
    assert (Fault.MISSING, 1) in [(one.fault, one.position) for one in kept.findings]


def test_findings_do_not_grow_without_bound(book: Book) -> None:
    run(book.db, "UPDATE daybook.events SET actor = 'nobody'")
    verdict = book.verdict()
    book.restore()
    assert (len(verdict.findings), verdict.more) == (101, HEAD - 100)
