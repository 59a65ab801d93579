"""The `daybook` command as a shell sees it: what it prints where, and how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest import mock
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from api import demo
from api.beginning import (
    ADMINISTRATOR,
    administrators_email,
    define_roles,
    has_no_password,
    is_new,
    register_administrator,
    role_id,
)
from api.cli.book import awaited
from api.command_line import app, main
from domain.access import unlimited
from domain.customer import customer
from domain.kernel import Refused, parse_type_id, type_id
from domain.kernel.recorded import Context
from domain.ready_roles import READY
from domain.role import role
from domain.staff_member import StaffMember
from domain.steps import blocking
from infra import settings
from infra.settings import read_settings
from projections.registry import models
from tests.api.filled import asked, entries, opened, posted, url
from tests.api.identity.signing_in import PASSWORD, RESET, SIGN_IN
from tests.api.stocktaking import Stocktaking
from tests.databases import forget_receipts
from tests.infra.test_shut_directories import unprivileged

COMMANDS = (
    "serve", "work", "migrate", "status", "rebuild", "retry", "import", "demo", "replay", "schema", "access", "verify",
    "checkpoint", "prove", "witness", "bundle", "rotate", "export-personal", "attest", "why", "diff",
    "waterfall",
)  # fmt: skip
WHO = """{
  staffMembers(first: 9) { nodes { id roles(first: 9) { nodes { id name } } } }
  history(first: 9, where: {aggregateKind: {eq: "staff_member"}}) { nodes { type actor } }
}"""
END_OF_THE_DEMO = len(READY) + len(demo.story())
"""The ready roles come first."""
OK, FAILED, USAGE, OUT_OF_REACH = 0, 1, 2, 3

MAPPING = """
kind = "customers"
external_id = "id"
[[step]]
do = "register"
fields = { kind = { constant = "organisation" }, name = "name" }
"""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs the command with a book of its own."""

    def __init__(self, database: str, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK_", "DATABASE_"))},
            "DATABASE_URL": url(database),
            "DAYBOOK_DATA": str(folder),
        }

    def run(self, *arguments: str, **settings: str) -> Done:
        """The command in this process: `main` with its arguments, environment and streams."""
        out, err = StringIO(), StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environment, **settings}, clear=True),
            mock.patch.object(sys, "argv", ["daybook", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out.getvalue(), err.getvalue())

    @contextmanager
    def running(self, *arguments: str) -> "Generator[subprocess.Popen[str]]":
        """A process that keeps running; killed at the end where the test did not stop it."""
        command = [sys.executable, "-m", "api.command_line", *arguments]
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


@pytest.fixture
def shell(database: str, tmp_path: Path) -> Shell:
    return Shell(database, tmp_path)


@pytest.fixture
def new(bare_database: str, tmp_path: Path) -> Shell:
    """A shell with a database that no command has seen yet."""
    return Shell(bare_database, tmp_path)


@pytest.fixture
def told(database: str, shell: Shell) -> Shell:
    """A shell with the demo in its book."""
    with opened(database, shell.folder) as parts:
        demo.load(parts)
    return shell


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, [command, "--help"])
    assert shown.exit_code == OK
    assert f"daybook {command}" in shown.output
    assert "Example" in shown.output


def test_the_overview_names_every_command_and_the_exit_codes() -> None:
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["--help"]).output
    assert all(command in shown for command in COMMANDS)
    assert re.search(r"Exit codes:.*0.*1.*2.*3", shown, re.DOTALL)


def test_the_overview_names_every_setting() -> None:
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["--help"]).output
    known = set(re.findall(r'"(DAYBOOK_\w+|DATABASE_URL)"', Path(settings.__file__).read_text("utf-8")))
    assert known - set(re.findall(r"\w+", shown)) == set()


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("nowhere.invalid", r"Nothing can listen on nowhere\.invalid port \d+: (?!Unknown).*--host or DAYBOOK_HOST\."),
        ("192.0.2.1", r"Nothing can listen on 192\.0\.2\.1 port \d+: Cannot assign .*--host or DAYBOOK_HOST\."),
        ("127.0.0.1", r"Nothing can listen on 127\.0\.0\.1 port \d+: Address already .*--port or DAYBOOK_PORT\."),
    ],
)
def test_where_nothing_can_listen_is_told(shell: Shell, host: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = shell.run("serve", "--host", host, "--port", str(other.getsockname()[1]))
    assert done.returncode == OUT_OF_REACH
    assert re.search(says, done.stderr)


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"DAYBOOK_PORT": "eight"}, USAGE, "DAYBOOK_PORT is 'eight'"),
        ({"DATABASE_URL": "mysql://x"}, USAGE, "DATABASE_URL must begin with postgresql://"),
        ({"DATABASE_URL": "postgresql://ada:geheim99@127.0.0.1:1/book"}, OUT_OF_REACH, "does not answer"),
        ({"DAYBOOK_ENV": "production"}, FAILED, "Run `daybook migrate` first"),
    ],
)
def test_what_is_wrong_with_the_settings_is_one_sentence(
    new: Shell, settings: Mapping[str, str], code: int, says: str
) -> None:
    done = new.run("status", **settings)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "geheim99" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [("replay", "old:1", "--html"), ("bundle", "old:1", "-o")])
def test_nothing_is_written_in_place_of_what_is_no_file(new: Shell, command: tuple[str, ...]) -> None:
    pipe = new.folder / "pipe"
    os.mkfifo(pipe)
    done = new.run(*command, str(pipe))
    assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (USAGE, "", 1)
    assert "it is a pipe. Name a file" in done.stderr
    assert pipe.is_fifo()


def test_a_data_directory_that_cannot_be_looked_into_is_told(new: Shell) -> None:
    del new.environment["DATABASE_URL"]
    for command in ("status", "verify", "migrate"):
        done = new.run(command, DAYBOOK_DATA=str(new.folder / ("x" * 300)))
        assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (OUT_OF_REACH, "", 1)
        assert "File name too long" in done.stderr


@pytest.mark.parametrize("command", [("status",), ("replay", "old:1")])
def test_a_data_directory_of_another_account_is_told(new: Shell, command: tuple[str, ...]) -> None:
    del new.environment["DATABASE_URL"]
    new.folder.parent.chmod(0o711)
    data = new.folder / "data"
    data.mkdir(0)
    with unprivileged():
        done = new.run(*command, DAYBOOK_DATA=str(data))
    assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (OUT_OF_REACH, "", 1)
    assert "can't be looked for: Permission denied" in done.stderr


def test_a_missing_master_key_is_told(told: Shell) -> None:
    (told.folder / "master.key").unlink()
    done = told.run("replay", "old:1")
    assert done.returncode == OUT_OF_REACH
    assert "Put the key file back" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_master_key_that_is_missing_or_another_books_is_told_before_anything_is_open(
    told: Shell, workers: str
) -> None:
    assert told.run("demo").returncode == OK  # the ready roles are there, and nothing is left to begin with
    file = told.folder / "master.key"
    another = f"daybook-master-key-1:{b64encode(bytes(32)).decode()}\n"
    for key, says in (
        (another, "This master key does not open this book.*"),
        (None, "This book was begun under a master key, but .* Put the key file back.*"),
    ):
        file.unlink() if key is None else file.write_text(key)
        with mock.patch.object(signal, "signal"):
            done = told.run("serve", "--port", "0", "--workers", workers)
        assert (done.returncode, done.stdout) == (OUT_OF_REACH, "")
        assert re.fullmatch(f"daybook: {says}\n", done.stderr)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_missing_signing_key_is_told_before_anything_is_open(told: Shell, workers: str) -> None:
    told.run("checkpoint")
    (told.folder / "signing.key").unlink()
    with mock.patch.object(signal, "signal"):
        done = told.run("serve", "--port", "0", "--workers", workers)
    assert (done.returncode, done.stdout) == (OUT_OF_REACH, "")
    assert re.fullmatch(r"daybook: Checkpoints of this book were signed, but .* Put the key file back.*\n", done.stderr)


def test_migrate_does_it_once(new: Shell) -> None:
    first, second = new.run("migrate"), new.run("migrate")
    assert (first.returncode, second.returncode) == (OK, OK)
    assert "0001_book.sql" in first.stdout
    assert second.stdout == "Nothing to apply.\n"


def test_the_ready_roles_are_defined_once_and_never_again(shell: Shell, database: str) -> None:
    rows = shell.folder / "rows.csv"
    rows.write_text("id,name\n1,Engines\n")
    (shell.folder / "map.toml").write_text(MAPPING)
    entering = ("import", "customers", str(rows), "--map", str(shell.folder / "map.toml"), "--source", "old")
    assert shell.run(*entering).returncode == OK
    with psycopg.connect(database, autocommit=True) as db:
        [(defined, actor)] = db.execute(
            "SELECT count(*), min(actor) FROM daybook.events WHERE topic = 'RoleDefined' AND actor = 'daybook'"
        )
        assert (defined, actor) == (len(READY), "daybook")
    forget_receipts(database)
    with opened(database, shell.folder) as parts:
        context = Context(
            actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4(), reason="Nobody audits"
        )
        of = {"id": role_id("auditor")}
        blocking(parts.commands.submit(role, "retire", of, context, unlimited("administrator")))
        head = entries(parts)
    assert shell.run(*entering).returncode == OK
    with opened(database, shell.folder) as parts:
        assert entries(parts) == head


def test_a_company_keeps_its_own_role_of_the_same_name(shell: Shell, database: str) -> None:
    with opened(database, shell.folder) as parts:
        context = Context(actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4(), reason="Ours")
        own = {"name": "auditor", "grants": [{"permission": "read_book", "scope": "all"}]}
        blocking(parts.commands.submit(role, "define", own, context, unlimited("administrator")))
    assert shell.run("demo").returncode == OK
    with psycopg.connect(database, autocommit=True) as db:
        [(defined,)] = db.execute("SELECT count(*) FROM daybook.events WHERE topic = 'RoleDefined'")
        begun = db.execute("SELECT FROM daybook.events WHERE originator_id = %s", (ADMINISTRATOR,)).fetchall()
    assert defined == len(READY)  # seven of them, and the company's
    assert begun == [], "a book that was begun by somebody else gets no administrator"


def test_the_first_start_says_how_the_administrator_signs_in(shell: Shell, database: str) -> None:
    shell.folder = shell.folder / "our book's"
    shell.environment["DAYBOOK_DATA"] = str(shell.folder)
    provider = {"DAYBOOK_OIDC_ISSUER": "https://login.example.com", "DAYBOOK_OIDC_AUDIENCE": "daybook"}
    shell.environment |= {"DAYBOOK_ADMIN_EMAIL": "Rosa@Acme.example", **provider}
    with shell.running("serve", "--port", "0") as server:
        assert server.stdout is not None
        said = ""
        while "-d '" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        [reading] = re.findall(r"\$\((cat .*)\)", said)
        assert subprocess.check_output(reading, shell=True, text=True) == (shell.folder / "admin-token").read_text()
        assert "Rosa@Acme.example, comes in with the identity provider's token, or signs in with a password." in said
        [command] = re.findall(r"^    daybook (access reset .*)$", said, re.MULTILINE)
        token = shell.run(*command.split()).stdout.strip()
        assert token
        assert token not in said
        [origin] = re.findall(r"http://127\.0\.0\.1:\d+", said)[:1]
        headers = {"Daybook-CSRF": "1", "Origin": origin}
        with httpx.Client(base_url=origin, headers=headers, timeout=20) as http:
            for query, given in (
                (RESET, {"token": token, "password": PASSWORD}),
                (SIGN_IN, {"email": "rosa@acme.example", "password": PASSWORD}),
            ):
                done = http.post("/graphql", json={"query": query, "variables": {"i": given}}).json()
                assert [one["userErrors"] for one in done["data"].values()] == [[]]
            told = http.post("/graphql", json={"query": WHO}).json()["data"]
    [person] = told["staffMembers"]["nodes"]
    assert person["id"] == type_id("stf", ADMINISTRATOR)
    assert person["roles"]["nodes"] == [{"name": "Administrator", "id": type_id("rol", role_id("administrator"))}]
    assert [(one["type"], one["actor"]) for one in told["history"]["nodes"]] == [
        ("StaffMemberRegistered", "daybook"),
        ("StaffMemberRoleGranted", "daybook"),
    ]
    assert awaited(read_settings(shell.environment), database) is None, "who has a password is not told again"


def test_a_beginning_that_was_interrupted_is_finished_by_the_next(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        with pytest.raises(Refused):  # entered, but for the role, which is not there yet
            register_administrator(parts, "rosa@acme.example")
        assert entries(parts) == 1
        define_roles(parts, READY)
        for email in ("rosa@acme.example", "another@acme.example"):
            register_administrator(parts, email)
            assert entries(parts) == 2 + len(READY)
        state = parts.daybook.fold(ADMINISTRATOR).state
        assert isinstance(state, StaffMember)
        assert (state.email, set(state.roles)) == ("rosa@acme.example", {role_id("administrator")})
        assert administrators_email(parts) == "rosa@acme.example"
        with psycopg.connect(database) as db:
            assert (is_new(db), has_no_password(db)) == (True, True)


def test_demo_only_where_the_book_is_empty(new: Shell) -> None:
    assert "Entered" in new.run("demo", "--if-empty").stdout
    again = new.run("demo", "--if-empty")
    assert (again.returncode, again.stdout) == (OK, "")
    assert new.run("demo").stdout == "The demo data was there already.\n"


def test_status_rebuild_and_retry(told: Shell) -> None:
    status = told.run("status", "--json")
    now = json.loads(status.stdout)
    assert (status.returncode, now["ready"], now["position"]) == (FAILED, False, 0)
    assert now["head"] == END_OF_THE_DEMO
    assert "Nobody posts to the read models" in told.run("status").stdout
    rebuilt = told.run("rebuild", "customers")
    assert (rebuilt.returncode, rebuilt.stdout) == (OK, f"customers stands anew at entry {now['head']}.\n")
    unknown = told.run("rebuild", "custmers")
    assert (unknown.returncode, "customers, opportunities" in unknown.stderr) == (USAGE, True)
    assert told.run("retry").stdout == "Nothing stands still.\n"
    assert json.loads(told.run("retry", "--json").stdout) == []


def test_attest_compares_what_screens_show_with_the_book(told: Shell, database: str) -> None:
    told.run("rebuild", "customers")
    assert "Compared with the book: nothing yet" in told.run("status").stdout
    right = told.run("attest", "--all", "--json")
    assert (right.returncode, json.loads(right.stdout)["differing"]) == (OK, [])
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("DELETE FROM daybook_read.customer_tags")
    found = told.run("attest", "--all")
    assert (found.returncode, "daybook rebuild customers" in found.stderr) == (FAILED, True)
    [*named, last] = found.stdout.splitlines()
    assert all(re.fullmatch(r"! customers cus_\w+ at entry \d+: customer_tags: \d missing", one) for one in named)
    assert named
    assert last.endswith(f", {len(named)} differ.")
    assert "Differs: customers cus_" in told.run("status").stdout
    told.run("rebuild", "customers")
    assert told.run("attest").returncode == OK
    assert json.loads(told.run("status", "--json").stdout)["mismatched"] == 0


def test_migrate_builds_anew_what_another_version_has_left(told: Shell, database: str) -> None:
    told.run("rebuild", "customers")
    with psycopg.connect(database, autocommit=True) as db:
        [(before,)] = db.execute("SELECT count(*) FROM daybook_read.customers")
        db.execute("UPDATE daybook_projections.models SET version = 0 WHERE name = 'customers'")
        db.execute("DELETE FROM daybook_read.customers")  # what another version had there
        migrated = told.run("migrate", DAYBOOK_ENV="production")
        assert (migrated.returncode, "The read model customers" in migrated.stdout) == (OK, True)
        assert db.execute("SELECT count(*) FROM daybook_read.customers").fetchone() == (before,)
        assert told.run("migrate", DAYBOOK_ENV="production").stdout == "Nothing to apply.\n"
        db.execute("UPDATE daybook_projections.models SET version = 0 WHERE name = 'tickets'")
        told.run("status")  # in development, every command brings the book to its version
        assert db.execute("SELECT count(*) FROM daybook_projections.models WHERE version = 0").fetchone() == (0,)
    assert before


def test_import_tells_a_script_what_became_of_the_rows(shell: Shell) -> None:
    rows, mapping = shell.folder / "rows.csv", shell.folder / "map.toml"
    rows.write_text("id,name\n1,Alp\n2,\n", "utf-8")
    mapping.write_text(MAPPING, "utf-8")
    arguments = ("import", "customers", str(rows), "--map", str(mapping), "--source", "old", "--json")
    done = shell.run(*arguments)
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["created"], summary["rejected"]) == (FAILED, 1, 1)
    assert summary["rejected_file"] == str(shell.folder / "rows.rejected.csv")
    rows.write_text("id,name\n1,Alp\n", "utf-8")
    again = shell.run(*arguments)
    assert (again.returncode, json.loads(again.stdout)["unchanged"]) == (OK, 1)
    told = shell.run("replay", "old:1")
    assert "A customer entered the book. kind: organisation; name: Alp" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("customers", "no.csv", "--map", "no.toml", "--source", "old"), "can't be read"),
        (("customers", "no.csv", "--map", "map.toml", "--source", "a:b"), "without a colon"),
        (("suppliers", "no.csv", "--map", "map.toml", "--source", "old"), "suppliers"),
        (("customers", "no.csv", "--map", "map.toml"), "--source"),
        (("customers", "no.csv", "--map", "map.toml", "--source", "a\udcff"), "without a colon"),
        (("customers", "no.csv", "--map", "wide.toml", "--source", "old"), "must be one character"),
        (("customers", "no.csv", "--map", "wide.toml", "--source", "old", "--json"), "must be one character"),
        (("customers", "unmarked.csv", "--map", "marked.toml", "--source", "old"), "does not start with BOM"),
        (("customers", "unmarked.csv", "--map", "marked.toml", "--source", "old", "--json"), "does not start with BOM"),
    ],
)
def test_import_used_wrongly_ends_with_2(
    shell: Shell, arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shell.folder / "map.toml").write_text(MAPPING, "utf-8")
    (shell.folder / "wide.toml").write_text('delimiter = ";;"' + MAPPING, "utf-8")
    (shell.folder / "marked.toml").write_text('encoding = "utf-16"' + MAPPING, "utf-8")
    (shell.folder / "unmarked.csv").write_text("id,name\n", "utf-16-le")
    given = [str(shell.folder / one) if one.endswith((".csv", ".toml")) else one for one in arguments]
    done = shell.run("import", *given)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert says in done.stderr


@pytest.mark.parametrize("group", [(), ("access",), ("erasure",), ("rotate",)])
def test_no_command_at_all_is_wrong_usage(shell: Shell, group: tuple[str, ...]) -> None:
    done = shell.run(*group)
    assert done.returncode == USAGE
    assert ("Usage: " in done.stdout, "--help" in done.stdout) == (True, True), "it shows what there is"


@pytest.mark.parametrize(("arguments", "code"), [((), USAGE), (("--help",), OK)])
def test_a_terminal_that_lacks_letters_is_told_all_the_same(arguments: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-m", "api.command_line", *arguments]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (code, b"")
    assert b"Exit codes" in done.stdout


def test_replay_tells_a_story_in_its_order(told: Shell, database: str) -> None:
    with opened(database, told.folder) as parts:
        [(first,)] = asked(
            parts,
            "SELECT originator_id FROM daybook.events WHERE topic = 'CustomerRegistered' ORDER BY position LIMIT 1",
        )
        deals = asked(
            parts, "SELECT count(*)::int FROM daybook.events WHERE subject = %s AND originator_id <> subject", first
        )
    name = type_id("cus", first)
    story = json.loads(told.run("replay", name, "--json").stdout)
    assert [one["version"] for one in story] == list(range(1, len(story) + 1))
    assert story[0]["values"]["name"] == "Käserei Alpenhof AG"
    assert story[0]["values"]["owner"].startswith("Mara Kästli (stf_")
    everything = json.loads(told.run("replay", name, "--all", "--json").stdout)
    assert len(everything) == len(story) + deals[0][0]
    assert [one["occurred_at"] for one in everything] == sorted(one["occurred_at"] for one in everything)
    text = told.run("replay", name).stdout
    assert "Cellar humidity must never pass 92 %" in text
    nobody = told.run("replay", "old:nobody")
    assert (nobody.returncode, nobody.stdout) == (FAILED, "")
    assert "Nothing in the book is called 'old:nobody'" in nobody.stderr


def test_no_value_turns_what_a_terminal_tells(shell: Shell, database: str) -> None:
    turning = "Ada \u202eyad\u2066\u2069"
    with opened(database, shell.folder) as parts:
        context = Context(actor="tester", idempotency_key=uuid4(), correlation_id=uuid4())
        raw = {"kind": "person", "name": turning, "external_ids": [{"source": "old", "id": "1"}]}
        blocking(parts.commands.submit(customer, "register", raw, context, unlimited("tester")))
    for command in (("replay", "old:1"), ("why", "old:1", "name"), ("diff", "old:1", "--from", "0")):
        done = shell.run(*command)
        assert done.returncode == OK
        assert re.search("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", done.stdout) is None
    [told] = json.loads(shell.run("replay", "old:1", "--json").stdout)
    assert told["values"]["name"] == turning, "programs are told what it is"


def test_diff_and_why_tell_which_entry_it_was(told: Shell, database: str) -> None:
    with psycopg.connect(database) as db:
        [(originator, position, correlation)] = db.execute(
            "SELECT originator_id, position, correlation_id FROM daybook.events"
            " WHERE topic = 'OpportunityAmountChanged' ORDER BY position LIMIT 1"
        )
    deal = type_id("opp", originator)
    found = told.run("why", deal, "amount", "--at", str(position), "--json")
    origin = json.loads(found.stdout)
    entry = origin["entry"]
    assert (entry["position"], entry["event"], entry["actor"]) == (position, "OpportunityAmountChanged", "demo")
    assert entry["correlationId"] == str(correlation)
    assert origin["value"] != origin["former"]
    words = told.run("why", deal, "amount", "--at", str(position)).stdout
    assert words.startswith(f"amount: {origin['value']['amount']} {origin['value']['currency']}\n")
    assert f"in request {correlation}" in words
    both = told.run("diff", deal, "--from", str(position - 1), "--to", str(position), "--json")
    changed = {one["field"]: (one["from"], one["to"], one["entry"]["position"]) for one in json.loads(both.stdout)}
    assert changed["amount"] == (origin["former"], origin["value"], position)
    assert changed.keys() == {"amount", "lastTouchedAt", "version", "position", "recordedAt"}
    assert "    amount: " in told.run("diff", deal, "--from", "0").stdout
    assert told.run("diff", deal, "--from", "2020-01-01", "--to", "2020-02-01T10:00:00Z").stdout == "Nothing differs.\n"
    for same in (str(position), "2020-01-01"):
        assert told.run("diff", deal, "--from", same, "--to", same).stdout == "Nothing differs.\n"
    for wrong, code in (
        (("why", deal, "amout"), USAGE),
        (("why", deal, "weighted"), USAGE),
        (("why", deal, "lines[lin_00000000000000000000000000].quantity"), USAGE),
        (("diff", deal, "--from", "yesterday"), USAGE),
        (("diff", deal, "--from", str(position), "--to", str(position - 1)), USAGE),
        (("diff", deal, "--from", "2020-02-01", "--to", "2020-01-01"), USAGE),
        (("diff", deal, "--from", str(position), "--to", "2020-01-01", "--json"), USAGE),
        (("diff", deal, "--from", "2099-01-01", "--to", str(position)), USAGE),
        (("diff", deal, "--from", "2099-01-01"), USAGE),
        (("diff", deal, "--from", "20250101"), USAGE),
        (("diff", deal, "--from", "0", "--to", "20250101"), USAGE),
        (("why", deal, "amount", "--at", "999999999999999999"), USAGE),
        (("why", "opp_00000000000000000000000000", "amount"), FAILED),
    ):
        done = told.run(*wrong)
        assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (code, "", 1)
    head = json.loads(told.run("status", "--json").stdout)["head"]
    behind = told.run("why", deal, "amount", "--at", "20250101").stderr
    assert behind == f"daybook: The book ends at entry {head}, before position 20250101. Write the day as 2025-01-01.\n"
    assert told.run("why", deal, "amount", "--at", str(head)).returncode == OK
    behind = told.run("why", deal, "amount", "--at", str(head + 1)).stderr
    assert behind == f"daybook: The book ends at entry {head}, before position {head + 1}.\n"


def test_the_waterfall_of_a_pipeline(told: Shell, database: str) -> None:
    behind = told.run("waterfall", "Direct sales", "--from", "0")
    assert (behind.returncode, behind.stdout) == (FAILED, "")
    assert "The read models stand at entry 0 of" in behind.stderr
    with opened(database, told.folder) as parts:
        posted(parts, *(model.name for model in models))
        book = Stocktaking(parts.mapper.recorded(parts.store.entries(0, 10_000)))
        [(pipeline,)] = asked(parts, "SELECT id FROM daybook_read.pipelines WHERE name = 'Direct sales'")
    since, until = (datetime.now(UTC) - timedelta(days=days) for days in (300, 20))
    period = ("--from", since.isoformat(), "--to", until.isoformat(), "--occurred")
    done = told.run("waterfall", "Direct sales", *period, "--json")
    found = json.loads(done.stdout)
    counts, sums = book.waterfall(parse_type_id(pipeline)[1], "occurred_at", since, until, book.states)
    assert counts["opening"]
    assert counts["won"]
    assert {step: found[step] for step in counts} == counts
    assert {step: {one["currency"]: Decimal(one["amount"]) for one in found[f"{step}Amounts"]} for step in sums} == sums
    assert (found["pipeline"], found["name"], done.stderr) == (pipeline, "Direct sales", "")
    at_positions = told.run("waterfall", "Direct sales", "--from", "0", "--occurred")
    assert (at_positions.returncode, at_positions.stdout) == (USAGE, "")
    assert "things occur at a time" in at_positions.stderr.lower()
    words = told.run("waterfall", pipeline, *period).stdout.splitlines()
    assert words[0] == "Direct sales"
    assert words[1].split() == ["open", "at", "the", "start", str(counts["opening"]), *_words(found["openingAmounts"])]
    assert words[10].split() == [
        "=",
        "open",
        "at",
        "the",
        "end",
        str(counts["closing"]),
        *_words(found["closingAmounts"]),
    ]
    assert len(words) == 1 + len(counts) + 1
    for wrong, code, message in (
        (("Salez", "--from", "0"), FAILED, "that there are: 'Direct sales', "),
        (("pip_00000000000000000000000000", "--from", "0"), FAILED, "There is no pipeline"),
        (("Direct sales", "--from", "2099-01-01"), USAGE, "--from lies in the future"),
        (("Direct sales", "--from", "2", "--to", "1"), USAGE, "lies behind"),
        (("Direct sales", "--from", "999999"), FAILED, "--from is entry 999999"),
    ):
        done = told.run("waterfall", *wrong)
        assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (code, "", 1), done
        assert message in done.stderr


def _words(monies: list[dict[str, str]]) -> list[str]:
    return ", ".join(f"{one['amount']} {one['currency']}" for one in monies).split()


def test_a_token_to_set_a_password_with_is_for_active_staff_members(told: Shell, database: str) -> None:
    done = told.run("access", "reset", "Eleni@Kestrel.example.com")
    assert (done.returncode, len(done.stdout.strip())) == (OK, 43)
    assert "passwordReset" in done.stderr
    with psycopg.connect(database) as db:
        rows = db.execute("SELECT hash, expires_at > now() + interval '59 minutes' FROM daybook_access.resets")
        assert rows.fetchall() == [(sha256(done.stdout.strip().encode()).digest(), True)]
    again = json.loads(told.run("access", "reset", "eleni@kestrel.example.com", "--json").stdout)
    assert again["token"] != done.stdout.strip()
    assert told.run("access", "journal", "--last", "1").stdout.count("\n") == 1
    said = json.loads(told.run("access", "journal", "--json").stdout)
    assert [(one["actor"], one["what"]) for one in said] == 2 * [("operator", "reset issued")]
    assert said[0]["at"] < said[1]["at"]
    assert {one["staffMember"][:4] for one in said} == {"stf_"}
    for nobody, says in (("nobody@kestrel.example.com", "No active staff member"), ("nobody", "e-mail address")):
        refused = told.run("access", "reset", nobody)
        assert (refused.returncode, refused.stdout) == (FAILED, "")
        assert says in refused.stderr


def test_schema_is_printed_and_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == OK
    assert "type Mutation" in printed.output
    missing = CliRunner().invoke(app, ["schema", "--check"])
    assert (missing.exit_code, "make schema" in missing.output) == (FAILED, True)
    Path("schema.graphql").write_text(printed.output, "utf-8")
    assert CliRunner().invoke(app, ["schema", "--check"]).exit_code == OK


def test_serve_says_what_to_open_answers_and_drains(told: Shell) -> None:
    with told.running("serve", "--port", "0") as server:
        assert server.stdout is not None
        lines: list[str] = []
        while not (lines and "-d '" in lines[-1]):
            lines.append(server.stdout.readline())
            assert lines[-1], "".join(lines)
        [address] = re.findall(r"http://127\.0\.0\.1:\d+", lines[1] if "open at" in lines[1] else "".join(lines))[:1]
        token = (told.folder / "admin-token").read_text("ascii").strip()
        query = re.search(r"-d '(.*)'", lines[-1])
        assert query is not None
        answer = httpx.post(
            f"{address}/graphql",
            content=query[1],
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            timeout=20,
        )
        assert len(answer.json()["data"]["customers"]["nodes"]) == 3
        with mock.patch.object(signal, "signal"):
            taken = told.run("serve", "--port", address.rpartition(":")[2])
        assert (taken.returncode, "Choose another port with --port" in taken.stderr) == (OUT_OF_REACH, True)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == OK


def test_work_posts_what_the_book_holds(told: Shell, database: str) -> None:
    with told.running("work") as working, psycopg.connect(database, autocommit=True) as db:
        while db.execute("SELECT min(position) FROM daybook_projections.models").fetchone() != (END_OF_THE_DEMO,):
            assert working.poll() is None, "it ended before it had posted everything"
        now = json.loads(told.run("status", "--json").stdout)
        assert (now["ready"], now["position"], now["leader"] is not None) == (True, END_OF_THE_DEMO, True)
        working.send_signal(signal.SIGTERM)
        assert working.wait(30) == OK
    assert json.loads(told.run("status", "--json").stdout)["leader"] is None


def test_a_command_that_is_told_to_end_stops_its_database(new: Shell, tmp_path: Path) -> None:
    del new.environment["DATABASE_URL"]
    (tmp_path / "customers.toml").write_text(MAPPING)
    (tmp_path / "customers.csv").write_text("id,name\n" + "".join(f"{n},Firm {n}\n" for n in range(100_000)))
    files = [str(tmp_path / "customers.csv"), "--map", str(tmp_path / "customers.toml")]
    pid_file = tmp_path / "postgres/cluster/data/postmaster.pid"
    with new.running("import", "customers", *files, "--source", "old") as importing:
        assert importing.stdout is not None
        while not _some_are_entered(tmp_path / "postgres"):
            assert importing.poll() is None, importing.stdout.read()
        server = int(pid_file.read_text().split()[0])
        importing.send_signal(signal.SIGTERM)
        ended, left = importing.wait(60), pid_file.exists()
        if left:
            os.kill(server, signal.SIGQUIT)
        assert (ended, left) == (128 + signal.SIGTERM, False)
        assert "Traceback" not in importing.stdout.read()


def _some_are_entered(postgres: Path) -> bool:
    """Whether an import into the embedded database is under way."""
    try:
        password = (postgres / "password").read_text().strip()
        address = make_conninfo(host=str(postgres / "cluster/socket"), user="daybook", password=password)
        with psycopg.connect(address, dbname="daybook") as db:
            return db.execute("SELECT max(position) > 100 FROM daybook.events").fetchone() == (True,)
    except (FileNotFoundError, psycopg.Error):
        return False
