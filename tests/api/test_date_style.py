"""Whatever a database writes dates like, the book is opened, and every command that reads a time reads it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from domain.kernel import type_id
from tests.api.filled import opened, posted
from tests.api.test_altered import do
from tests.api.test_command_line import OK, Shell
from tests.api.test_contacts_in_the_book import approved, doer


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_another_style_than_ours_stops_nothing(database: str, tmp_path: Path, style: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        [(name,)] = db.execute("SELECT current_database()")
        db.execute(SQL("ALTER DATABASE {} SET DateStyle = {}").format(Identifier(name), style))
    with opened(database, tmp_path) as parts:
        ada, bob = (do(parts, "register", kind="person", name=name).id for name in ("Ada", "Bob"))
        do(parts, "rename", id=ada, name="Ada Byron")
        approved(doer(parts), bob)
        assert parts.erasures.carry_out_approved() == [bob]
    with opened(database, tmp_path) as parts:  # there are destroyed keys to be forgotten
        posted(parts, "customers")
    shell, record = Shell(database, tmp_path), type_id("cus", ada)

    def run(*words: str) -> str:
        done = shell.run(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (OK, False), (words, done)
        return done.stdout

    status = shell.run("status", "--json")  # nobody posts: it ends with 1
    assert {model["moved_at"][:4] for model in json.loads(status.stdout)["models"]} == {str(datetime.now(UTC).year)}
    [_, renamed] = json.loads(run("replay", record, "--json"))
    assert datetime.now(UTC) - datetime.fromisoformat(renamed["recorded_at"]) < timedelta(hours=1)
    assert json.loads(run("why", record, "name", "--json"))["value"] == "Ada Byron"
    assert "name: nothing → 'Ada Byron'" in run("diff", record, "--from", "0")
    run("bundle", record, "-o", str(tmp_path / "one.json"), "--as-of", datetime.now(UTC).isoformat())
    run("attest", "--all")
    run("rebuild", "customers")
    run("retry")
    run("verify")
    run("access", "journal")
    assert json.loads(run("erasure", "status", "--json"))["due"] > datetime.now(UTC).isoformat()
    assert "pg_switch_wal" in shell.run("erasure", "finish").stderr  # which comes after all that reads a time
    run("rotate", "person-key", "--all")
