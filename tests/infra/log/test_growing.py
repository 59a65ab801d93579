"""The log grows: over restarts, with several at it, killed in the middle; and a size has one root for ever."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from infra.log import checkpointer
from infra.log.checkpoint import verified
from infra.log.checkpointer import Growth, checkpointing
from infra.log.leaf import leaves
from infra.log.note import Signer
from infra.log.proving import entry_proof, last_checkpoint, witness_request
from infra.log.signing_key import SigningKeyError
from infra.log.store import LogError, latest
from infra.log.verifying import Fault, verify
from infra.roles import logins
from tests.infra.log import naive
from tests.infra.log.books import enter

SIGNER = Signer("daybook/tested", bytes(32))
Db = psycopg.Connection[Any]


@pytest.fixture
def owner(database: str) -> Iterator[Db]:
    with psycopg.connect(database, autocommit=True) as db:
        yield db


@pytest.fixture
def posting(owner: Db, database: str) -> str:
    """How the role logs in that the log belongs to."""
    return logins(database).posting


def grown(conninfo: str, growth: Growth | None = None) -> None:
    with psycopg.connect(conninfo, autocommit=True) as db:
        (growth or Growth(SIGNER)).catch_up(db)


def check(db: Db, conninfo: str, entries: int) -> list[int]:
    """All of the log is as the definition says, over that many entries; the sizes of its checkpoints."""
    hashes = [digest for _, digest in leaves(db)]
    assert len(hashes) == entries
    sizes = list[int]()
    for size, note in db.execute("SELECT size, note FROM daybook_log.checkpoints ORDER BY size"):
        found = verified(note, [SIGNER.verifier])
        assert (found.size, found.root) == (size, naive.root(hashes[:size]))
        sizes.append(size)
    assert sizes[-1:] == [entries][: len(sizes)]
    with psycopg.connect(conninfo, autocommit=True) as one, psycopg.connect(conninfo, autocommit=True) as other:
        verdict = verify(one, other, [SIGNER.verifier])
    assert (verdict.findings, verdict.checkpoints, verdict.covered) == ([], len(sizes), entries)
    return sizes


def until(condition: Callable[[], bool]) -> None:
    patience = monotonic() + 30
    while not condition():
        assert monotonic() < patience
        sleep(0.01)


def test_each_time_it_goes_on_where_it_was(owner: Db, posting: str) -> None:
    growth, at = Growth(SIGNER), 0
    grown(posting, growth)
    assert latest(owner) is None, "an empty book has no checkpoint"
    for count in (1, 1, 254, 0, 1, 700, 3):
        enter(owner, at + 1, count)
        at += count
        grown(posting, growth)
        grown(posting)  # as another process, which has to read the tree
    assert check(owner, posting, 960) == [1, 2, 256, 257, 957, 960]


def test_a_book_that_was_never_logged_is_caught_up_with_in_steps(
    owner: Db, posting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "MOST", 100)
    enter(owner, 1, 350)
    grown(posting)
    assert check(owner, posting, 350) == [100, 200, 300, 350]


def test_two_at_it_never_make_two_roots_for_one_size(owner: Db, posting: str) -> None:
    def keep_growing(_: int) -> None:
        growth = Growth(SIGNER)
        with psycopg.connect(posting, autocommit=True) as db:
            while (last := latest(db)) is None or last.size < 400:
                growth.catch_up(db)

    with ThreadPoolExecutor(3) as threads:
        racing = threads.map(keep_growing, range(3))
        for first in range(1, 401, 8):
            enter(owner, first, 8)
        assert [*racing] == [None] * 3
    assert len(check(owner, posting, 400)) > 1


def test_killed_in_the_middle_it_leaves_nothing_behind(owner: Db, posting: str, database: str) -> None:
    enter(owner, 1, 300)
    script = f"from tests.infra.log.test_growing import grown; grown({posting!r})"
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE daybook_log.checkpoints IN SHARE MODE")  # so that it waits before its last insert
        process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
        waits = "SELECT FROM pg_locks WHERE relation = 'daybook_log.checkpoints'::regclass AND NOT granted"
        until(lambda: owner.execute(waits).rowcount == 1)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    grown(posting)
    assert check(owner, posting, 300) == [300]


def test_a_commit_that_fails_is_made_good(owner: Db, posting: str) -> None:
    enter(owner, 1, 10)
    growth = Growth(SIGNER)
    grown(posting, growth)
    enter(owner, 11, 5)
    owner.execute(
        "CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON daybook_log.checkpoints DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION daybook.refuse_change()"
    )
    with pytest.raises(psycopg.errors.RaiseException):
        grown(posting, growth)
    owner.execute("DROP TRIGGER fails ON daybook_log.checkpoints")
    grown(posting, growth)
    assert check(owner, posting, 15) == [10, 15]


def test_the_thread_logs_what_comes_and_at_its_end_what_is_left(
    owner: Db, posting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "INTERVAL", 0.05)
    file = tmp_path / "signing.key"
    file.write_text(SIGNER.secret)
    file.chmod(0o600)
    with checkpointing(posting, file):
        enter(owner, 1, 5)
        until(lambda: latest(owner) is not None)
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daybook log'")
        enter(owner, 6, 5)
        until(lambda: (last := latest(owner)) is not None and last.size == 10)
        monkeypatch.setattr(checkpointer, "INTERVAL", 60.0)
        enter(owner, 11, 5)
    assert check(owner, posting, 15)[-1] == 15


@pytest.mark.parametrize(
    "tampered",
    [
        "UPDATE daybook_log.leaves SET hashes = sha256(hashes)",
        "DELETE FROM daybook_log.leaves",
        "UPDATE daybook_log.subtrees SET hash = sha256(hash)",
        "UPDATE daybook_log.checkpoints SET note = 'nothing'",
    ],
)
def test_nothing_is_signed_that_does_not_go_on_from_the_last_checkpoint(owner: Db, posting: str, tampered: str) -> None:
    enter(owner, 1, 257)
    grown(posting)
    for table in ("leaves", "subtrees", "checkpoints"):
        owner.execute(f"ALTER TABLE daybook_log.{table} DISABLE TRIGGER append_only".encode())
    owner.execute(tampered.encode())
    enter(owner, 258, 1)
    with pytest.raises(LogError, match="daybook verify"):
        grown(posting)
    assert owner.execute("SELECT FROM daybook_log.checkpoints").rowcount == 1


def test_nothing_is_signed_by_who_has_signed_more(owner: Db, posting: str) -> None:
    """Checkpoints that stand in the way were taken away, for the process to sign what is there now."""
    growth = Growth(SIGNER)
    for first in (1, 6):
        enter(owner, first, 5)
        grown(posting, growth)
    for table, column in (("checkpoints", "size"), ("leaves", "first")):
        owner.execute(f"ALTER TABLE daybook_log.{table} DISABLE TRIGGER append_only".encode())
        owner.execute(f"DELETE FROM daybook_log.{table} WHERE {column} > 5".encode())
    enter(owner, 11, 5)
    for _ in range(2):
        with pytest.raises(LogError, match="are gone"):
            grown(posting, growth)
    assert owner.execute("SELECT size FROM daybook_log.checkpoints").fetchall() == [(5,)]


@pytest.mark.parametrize("left", [0, 5])
def test_nothing_is_signed_where_the_tree_has_what_no_checkpoint_covers(
    owner: Db, posting: str, left: int, tmp_path: Path
) -> None:
    """Checkpoints were taken away, and the process that signed them has ended."""
    for first in (1, 6):
        enter(owner, first, 5)
        grown(posting)
    owner.execute("ALTER TABLE daybook_log.checkpoints DISABLE TRIGGER append_only")
    owner.execute("DELETE FROM daybook_log.checkpoints WHERE size > %s", (left,))
    for more in (0, 5):
        enter(owner, 11, more)
        with pytest.raises(LogError, match="are gone"):
            grown(posting)
    with psycopg.connect(posting, autocommit=True) as one, psycopg.connect(posting, autocommit=True) as other:
        verdict = verify(one, other, [SIGNER.verifier])
    assert [(one.fault, one.position) for one in verdict.findings] == [(Fault.CHECKPOINT, left + 1)]
    with pytest.raises(SigningKeyError, match="does not exist"), checkpointing(posting, tmp_path / "signing.key"):
        raise AssertionError("another key was made for a log that has one")


@pytest.mark.parametrize("name", ["daybook/another", "daybook/tested"])
def test_another_key_s_first_checkpoint_is_warned_of(
    owner: Db, posting: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The key file of another book was put back, two servers each made a key for a new one, or somebody made one."""
    enter(owner, 1, 3)
    grown(posting)
    enter(owner, 4, 3)
    grown(posting)
    assert caplog.messages == []
    signer = Signer(name, b"\x01" * 32)
    other = Growth(signer)
    for first in (7, 10):
        enter(owner, first, 3)
        grown(posting, other)
    [said] = caplog.messages
    before, now = (f"{one.verifier.name}+{one.verifier.id.hex()}" for one in (SIGNER, signer))
    assert f"signed as {before}, and from now on {now} signs" in said
    assert "--new-key" in said


def test_nothing_is_signed_over_a_gap(owner: Db, posting: str) -> None:
    enter(owner, 1, 3)
    enter(owner, 5, 3)
    with pytest.raises(LogError, match="Entry 4 is missing"):
        grown(posting)
    assert latest(owner) is None


def test_proofs_are_given_of_what_is_stored(owner: Db, posting: str) -> None:
    enter(owner, 1, 700)
    grown(posting)
    for position in (1, 255, 256, 257, 512, 699, 700):
        assert f"\nindex {position - 1}\n" in entry_proof(owner, position)  # which verifies what it gives
    for position in (0, 701):
        with pytest.raises(LogError, match="covers 700 entries"):
            entry_proof(owner, position)
    hashes = [digest for _, digest in leaves(owner)]
    last = latest(owner)
    assert last is not None
    now = verified(last.note, [SIGNER.verifier])
    for former in (1, 255, 256, 300, 512, 700):
        kept = now._replace(size=former, root=naive.root(hashes[:former]))
        assert witness_request(owner, kept).startswith(f"old {former}\n")
        with pytest.raises(LogError, match="does not go on"):
            witness_request(owner, kept._replace(root=bytes(32)))


@pytest.mark.parametrize("gone", ["DELETE FROM daybook.events WHERE position = 50",
                                  "UPDATE daybook.events SET position = 999 WHERE position = 50"])  # fmt: skip
def test_an_entry_that_is_missing_is_not_proven_by_the_one_behind_it(owner: Db, posting: str, gone: str) -> None:
    enter(owner, 1, 60)
    grown(posting)
    owner.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
    owner.execute(gone.encode())
    with pytest.raises(LogError, match="There is no entry 50, though a checkpoint covers it"):
        entry_proof(owner, 50)
    assert "\nindex 50\n" in entry_proof(owner, 51)


def test_a_checkpoint_whose_signature_is_wrong_is_not_built_on(owner: Db, posting: str) -> None:
    """By who has signed before as by who begins; under another key, who can't tell goes on and warns."""
    enter(owner, 1, 5)
    growth = Growth(SIGNER)
    grown(posting, growth)
    owner.execute("ALTER TABLE daybook_log.checkpoints DISABLE TRIGGER append_only")
    owner.execute("UPDATE daybook_log.checkpoints SET note = overlay(note placing 'AAAA' from length(note) - 40 for 4)")
    enter(owner, 6, 5)
    for one in (growth, Growth(SIGNER)):
        with pytest.raises(LogError, match="the signature of daybook/tested is wrong"):
            grown(posting, one)


def test_a_former_key_s_checkpoint_is_handed_out_until_the_new_one_has_signed(owner: Db, posting: str) -> None:
    new = Signer("daybook/new", b"\x01" * 32)
    enter(owner, 1, 5)
    grown(posting)
    assert last_checkpoint(owner, new.verifier)[1].origin == "daybook/tested"
    enter(owner, 6, 5)
    grown(posting, Growth(new))
    assert last_checkpoint(owner, new.verifier)[1].origin == "daybook/new"
    with pytest.raises(LogError, match="whose key is not here"):  # the former key file was put back
        last_checkpoint(owner, SIGNER.verifier)
