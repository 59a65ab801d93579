"""The sessions of a running server: each kind of connection has logged in as the role that is for it."""

import asyncio
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.reading.reader import read_pool
from infra.roles import logins
from tests.api.filled import opened
from tests.api.test_command_line import Shell
from tests.faults.processes import HEADERS, Server, stopped_at_the_end, until
from tests.infra.test_roles import administer, operators
from tests.roles import check

SESSIONS = {
    ("daybook access", "daybook_admitting"),
    ("daybook attestation", "daybook_posting"),
    ("daybook announcer", "daybook_reading"),
    ("daybook commands", "daybook_sealing"),
    ("daybook committer", "daybook_appending"),
    ("daybook log", "daybook_posting"),
    ("daybook progress", "daybook_reading"),
    ("daybook projections", "daybook_posting"),
    ("daybook projections, reading", "daybook_posting"),
    ("daybook reading", "daybook_reading"),
}
"""Of a process that serves and posts, once it has answered a command."""

REGISTER = """
    mutation($new: CustomerRegisterInput!) {
        customerRegister(input: $new) { customer { name history(first: 1) { nodes { type } } } }
    }
"""


def register(server: Server) -> object:
    """A command, and what is read back of it."""
    new = {"idempotencyKey": str(uuid4()), "kind": "PERSON", "name": "Ada"}
    body = {"query": REGISTER, "variables": {"new": new}}
    return httpx.post(server.url, json=body, headers=HEADERS, timeout=60).json()["data"]


def sessions(superuser: str, database: str) -> set[tuple[str, str]]:
    """Every session in the database: what it calls itself, and who has logged in."""
    with psycopg.connect(superuser) as db:
        asked = "SELECT application_name, usename FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres'"
        return set(db.execute(asked, (conninfo_to_dict(database)["dbname"],)).fetchall())


def test_the_sessions_of_a_server_are_of_the_narrow_roles(database: str, superuser: str, tmp_path: Path) -> None:
    one, other = (Server(database, tmp_path, name=name) for name in ("one", "other"))
    with stopped_at_the_end(one, other):
        for server in (one, other):
            server.start()
        for server in (one, other):
            server.wait_ready()
            customer = {"name": "Ada", "history": {"nodes": [{"type": "CustomerRegistered"}]}}
            assert register(server) == {"customerRegister": {"customer": customer}}
        # Nobody is there as the owner: who migrated has left.
        until(lambda: sessions(superuser, database) == SESSIONS, "the sessions")
        check(logins(database))


def test_a_session_is_what_it_has_logged_in_as(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        with parts.pool.connection() as db:
            assert db.execute("SELECT current_user, session_user").fetchone() == ("daybook_sealing", "daybook_sealing")

        async def reading() -> list[bytes | None]:
            async with read_pool(parts.logins.reading, size=1) as lines:
                return await lines.fetch("SELECT current_user::text, session_user::text", ())

        assert asyncio.run(reading()) == [b"daybook_reading", b"daybook_reading"]


def test_an_operator_reads_what_an_administrator_has_to_run(superuser: str, tmp_path: Path) -> None:
    with operators(superuser) as [conninfo]:
        shell = Shell(conninfo, tmp_path)
        told = shell.run("migrate")
        lines = told.stderr.strip().splitlines()
        assert (told.returncode, "are not divided" in lines[0]) == (0, True)
        assert shell.run("demo").returncode == 0, "it works all the same"
        administer(superuser, conninfo, "\n".join(lines[1:]))
        again = shell.run("migrate")
        assert (again.returncode, again.stdout, again.stderr) == (0, "Nothing to apply.\n", "")
        check(logins(conninfo))
        for command in (("rebuild", "customers"), ("retry",), ("demo",), ("replay", "old-erp:1001")):
            assert "permission" not in shell.run(*command).stderr


def test_a_role_that_is_shut_out_is_told_in_a_sentence(superuser: str, tmp_path: Path) -> None:
    with operators(superuser, makes_roles=True) as [conninfo]:
        shell = Shell(conninfo, tmp_path)
        assert shell.run("migrate").stderr == ""
        user = conninfo_to_dict(conninfo)["user"]
        administer(superuser, conninfo, f"ALTER ROLE {user} PASSWORD 'another'")
        changed = Shell(make_conninfo(conninfo, password="another"), tmp_path)
        shut = changed.run("status", DAYBOOK_ENV="production")
        assert (shut.returncode, len(shut.stderr.splitlines())) == (3, 1)
        assert "Run `daybook migrate`" in shut.stderr
        assert changed.run("migrate", DAYBOOK_ENV="production").returncode == 0
        assert "are divided" not in changed.run("status", DAYBOOK_ENV="production").stderr
