"""`verify`, `checkpoint` and `prove`, as a shell sees them, and the processes that sign checkpoints by themselves."""

import base64
import json
import signal
from asyncio import run
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from api.beginning import define_roles, missing_roles
from domain.kernel import type_id
from domain.ready_roles import READY
from infra.log.checkpoint import read
from infra.log.leaf import COLUMNS
from infra.log.store import latest
from tests.api.book import serving
from tests.api.filled import entries, opened
from tests.api.test_command_line import FAILED, OK, OUT_OF_REACH, USAGE, Shell
from tests.infra.log.books import enter

HEAD = len(READY)


@pytest.fixture
def told(database: str, tmp_path: Path) -> Shell:
    """A shell with the ready roles in its book, and nothing else."""
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        define_roles(parts, missing_roles(db))
        assert entries(parts) == HEAD
    return Shell(database, tmp_path)


def covered(database: str) -> int:
    with psycopg.connect(database) as db:
        last = latest(db)
    return 0 if last is None else last.size


def test_a_checkpoint_that_is_kept_elsewhere_proves_the_book(told: Shell, database: str) -> None:
    before = told.run("verify")
    assert (before.returncode, before.stdout) == (OK, f"Entries 1 to {HEAD} are under no checkpoint yet.\n")
    kept = told.folder / "kept.txt"
    kept.write_text(told.run("checkpoint").stdout)
    assert read(kept.read_text()).size == HEAD
    assert told.run("checkpoint").stdout == kept.read_text(), "nothing is new"
    done = told.run("verify", "--checkpoint", str(kept))
    assert (done.returncode, done.stdout) == (
        OK,
        f"Entries 1 to {HEAD} are unaltered, as 2 checkpoints say.\n",
    )
    assert told.run("checkpoint", "--since", str(kept)).stdout == f"old {HEAD}\n\n{kept.read_text()}"
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        db.execute("UPDATE daybook.events SET occurred_at = occurred_at - interval '1 day' WHERE position = 3")
    found = told.run("verify", "--checkpoint", str(kept), "--json")
    verdict = json.loads(found.stdout)
    assert (found.returncode, verdict["holds"], verdict["covered"]) == (FAILED, False, 0)
    assert [(one["fault"], one["position"]) for one in verdict["findings"]] == [
        ("table", None),
        ("table", None),
        ("altered", 3),
        ("checkpoint", 1),
        ("checkpoint", 1),
    ]
    assert "! Entry 3 is not the one" in told.run("verify").stdout


def test_an_entry_is_proven_to_somebody_who_sees_no_other(told: Shell) -> None:
    refused = told.run("prove", "3")
    assert (refused.returncode, refused.stdout) == (FAILED, "")
    assert "`daybook checkpoint` makes one" in refused.stderr
    checkpoint = told.run("checkpoint").stdout
    proof = told.run("prove", "3").stdout
    head, _, note = proof.partition("\n\n")
    form, extra, index, *path = head.split("\n")
    assert (form, index, note) == ("c2sp.org/tlog-proof@v1", "index 2", checkpoint)
    leaf = base64.b64decode(extra.removeprefix("extra "))
    digest, at, last = sha256(b"\x00" + leaf).digest(), 2, HEAD - 1
    for step in map(base64.b64decode, path):
        while at == last and not at & 1:
            at, last = at >> 1, last >> 1
        digest = sha256(b"\x01" + (step + digest if at & 1 else digest + step)).digest()
        at, last = at >> 1, last >> 1
    assert digest == read(checkpoint).root
    assert told.run("prove", "9999").returncode == FAILED


def test_a_signing_key_that_is_lost_is_not_replaced_in_silence(told: Shell) -> None:
    key = told.run("checkpoint", "--key").stdout.strip()
    told.run("checkpoint")
    assert "There is a key" in told.run("checkpoint", "--new-key").stderr
    (told.folder / "signing.key").unlink()
    lost = told.run("checkpoint")
    assert (lost.returncode, lost.stdout) == (OUT_OF_REACH, "")
    assert "Put the key file back" in lost.stderr
    assert told.run("work").returncode == OUT_OF_REACH
    assert "whose key is not here" in told.run("verify").stdout
    assert told.run("verify", "--key", key).returncode == OK
    assert told.run("checkpoint", "--new-key").returncode == OK
    assert told.run("checkpoint", "--key").stdout.strip() != key
    assert told.run("verify", "--key", key).returncode == OK


def test_what_can_not_be_read_is_told(told: Shell) -> None:
    file = told.folder / "some.txt"
    file.write_text("nothing")
    for asked in (
        ("verify", "--checkpoint", "no.txt"),
        ("verify", "--key", "no"),
        ("checkpoint", "--since", str(file)),
    ):
        done = told.run(*asked)
        assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (USAGE, "", 1)


def test_work_signs_what_the_book_holds(told: Shell, database: str) -> None:
    with told.running("work") as process:
        assert process.stdout is not None
        assert "Posting to the read models" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert covered(database) == HEAD + 2, "the administrator, and their role"
    assert told.run("verify").returncode == OK


def test_serve_signs_what_the_book_holds(told: Shell, database: str) -> None:
    async def serve() -> None:
        async with serving(database, told.folder):
            pass

    run(serve())
    assert covered(database) == HEAD


@pytest.mark.parametrize("place", [str(-(2**63)), "NULL"])
def test_an_entry_where_none_may_stand_is_found_and_not_told(told: Shell, database: str, place: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        [(id,)] = db.execute("SELECT originator_id FROM daybook.events WHERE position = 3")
        role = type_id("rol", id)
        assert told.run("replay", role).returncode == OK
        db.execute("ALTER TABLE daybook.events DROP CONSTRAINT events_position_check, DROP CONSTRAINT events_pkey")
        db.execute("ALTER TABLE daybook.events ALTER position DROP NOT NULL")
        others = ", ".join(COLUMNS[3:])
        db.execute(
            f"INSERT INTO daybook.events (position, originator_id, originator_version, {others})"
            f" SELECT {place}, originator_id, 2, {others} FROM daybook.events WHERE position = 3".encode()
        )
        [(entries,)] = db.execute("SELECT count(*) FROM daybook.events")
    found = told.run("verify", "--json")
    verdict = json.loads(found.stdout)
    position = None if place == "NULL" else int(place)
    unexpected = [one["position"] for one in verdict["findings"] if one["fault"] == "unexpected"]
    assert (found.returncode, unexpected, verdict["entries"]) == (FAILED, [position], entries)
    for command in (("why", role, "name"), ("replay", role)):
        refused = told.run(*command)
        assert (refused.returncode, refused.stdout) == (FAILED, "")
        assert "stands at a position where none may" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "altered",
    [
        "overlay(note placing 'AAAA' from length(note) - 40 for 4)",
        "'another/log' || substr(note, strpos(note, E'\\n'))",
        # As if another had signed it, in this log's name or in one of its own.
        "replace(note, ' ' || split_part(note, ' ', 3), ' AAAAAA' || substr(split_part(note, ' ', 3), 7))",
        "replace(note, split_part(note, E'\\n', 1), 'another/log')",
    ],
)
def test_a_checkpoint_that_is_not_what_was_signed_is_not_handed_out(told: Shell, database: str, altered: str) -> None:
    told.run("checkpoint")
    with psycopg.connect(database, autocommit=True) as db:
        enter(db, HEAD + 1, 3)
    kept = told.folder / "kept.txt"
    kept.write_text(told.run("checkpoint").stdout)
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook_log.checkpoints DISABLE TRIGGER append_only")
        done = db.execute(
            f"UPDATE daybook_log.checkpoints SET note = {altered}"
            " WHERE size = (SELECT max(size) FROM daybook_log.checkpoints) RETURNING note".encode()
        )
        assert done.fetchall() != [(kept.read_text(),)]
    for command in (("checkpoint",), ("checkpoint", "--since", str(kept)), ("prove", "3")):
        refused = told.run(*command)
        assert (refused.returncode, refused.stdout) == (FAILED, ""), command
        assert "The last checkpoint can't be believed" in refused.stderr
        assert "`daybook verify` says more" in refused.stderr


def test_what_a_role_does_not_get_to_see_is_found_by_what_hides_it(told: Shell, database: str) -> None:
    told.run("checkpoint")
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events ENABLE ROW LEVEL SECURITY")
        db.execute("CREATE POLICY most ON daybook.events USING (current_user <> 'daybook_sealing' OR position <> 3)")
    found = told.run("verify")
    assert found.returncode == FAILED
    assert found.stdout.splitlines() == [
        "! daybook.events is not as Daybook makes it: policy most was added.",
        "! daybook.events is not as Daybook makes it: row security was added.",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE daybook.events ALTER recorded_at TYPE text",
        "ALTER TABLE daybook_log.leaves RENAME hashes TO those",
        "ALTER TABLE daybook_log.checkpoints ALTER note TYPE bytea USING convert_to(note, 'UTF8')",
        "DROP TABLE daybook.events",
    ],
)
def test_what_the_tables_are_is_told_also_where_they_can_not_be_read(
    told: Shell, database: str, statement: str
) -> None:
    told.run("checkpoint")
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(statement.encode())
    found = told.run("verify")
    assert found.returncode == FAILED
    assert "is not as Daybook makes it: column" in found.stdout
    assert "So the entries can't be compared with what was signed" in found.stdout
    assert "Traceback" not in found.stderr


def test_no_function_of_somebody_else_reads_the_entries(told: Shell, database: str) -> None:
    """It would give what stood there before."""
    told.run("checkpoint")
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
        [(actor,)] = db.execute("SELECT actor FROM daybook.events WHERE position = 3")
        db.execute("UPDATE daybook.events SET actor = 'mallory' WHERE position = 3")
        db.execute("ALTER TABLE daybook.events ENABLE TRIGGER append_only")
        db.execute(
            f"""
            CREATE SCHEMA lies;
            CREATE FUNCTION lies.convert_to(text, name) RETURNS bytea LANGUAGE sql AS
                $$ SELECT pg_catalog.convert_to(replace($1, 'mallory', '{actor}'), $2) $$;
            GRANT USAGE ON SCHEMA lies TO public;
            """.encode()
        )
        name = db.info.dbname
        db.execute(f'ALTER DATABASE "{name}" SET search_path = lies, pg_catalog'.encode())
    assert "! Entry 3 is not the one" in told.run("verify").stdout
