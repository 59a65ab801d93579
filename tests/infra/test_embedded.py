"""The embedded PostgreSQL on real servers: how it is made, guarded, shared, and brought back after any death."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.embedded import EmbeddedPostgres, EmbeddedPostgresError
from infra.roles import Role
from tests.postgres import MAJOR, embedded


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory for a server, of which nothing is left running after the test."""
    place = tmp_path / "book" / "postgres"
    yield place
    if place.exists():
        _stop(place)


def _stop(directory: Path) -> None:
    pid = postmaster(directory)
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)


def postmaster(directory: Path) -> int | None:
    """The living head of the server, None when there is none."""
    try:
        pid = int((directory / "cluster/data/postmaster.pid").read_text().split("\n")[0])
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if state.startswith("Z") else pid


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes bring about."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 seconds in vain"
        time.sleep(0.01)


@contextmanager
def holder(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server; killed at the end when it has not ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.infra.holder", directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def write(conninfo: str, entry: str) -> None:
    with psycopg.connect(conninfo) as db:
        db.execute("CREATE TABLE IF NOT EXISTS entries (entry text)")
        db.execute("INSERT INTO entries VALUES (%s)", (entry,))


def entries(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as db:
        return [entry for (entry,) in db.execute("SELECT entry FROM entries ORDER BY entry")]


def setting(conninfo: str, name: str) -> str:
    with psycopg.connect(conninfo) as db:
        row = db.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row
    return str(row[0])


class TestMade:
    """What a new server is like. Read only, so one server does for all."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("data_checksums", "on"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("listen_addresses", ""),
            ("server_encoding", "UTF8"),
            ("lc_messages", "C"),
            ("password_encryption", "scram-sha-256"),
            ("shared_buffers", "128MB"),
            ("max_connections", "300"),
        ],
    )
    def test_is_set_up_for_a_book(self, superuser: str, name: str, value: str) -> None:
        assert setting(superuser, name) == value

    def test_is_of_the_version_under_test(self, database: str) -> None:
        assert setting(database, "server_version_num").startswith(str(MAJOR))

    def test_sorts_by_code_point(self, database: str) -> None:
        with psycopg.connect(database) as db:
            row = db.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()").fetchone()
            assert row == ("C",)
            words = [word for (word,) in db.execute("SELECT unnest(array['ä', 'b', 'Z', 'a']) AS word ORDER BY word")]
        assert words == ["Z", "a", "b", "ä"]

    def test_gives_the_application_a_role_without_special_powers(self, database: str) -> None:
        with psycopg.connect(database) as db:
            powers = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
            row = db.execute(f"SELECT {powers} FROM pg_roles WHERE rolname = current_user").fetchone()
            owner = db.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'daybook'").fetchone()
        assert row == (False, False, False, False, False)
        assert owner == ("daybook",)

    @pytest.mark.parametrize("password", [None, "wrong"])
    def test_lets_nobody_in_without_the_password(
        self, database: str, superuser: str, password: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSFILE", os.devnull)
        for conninfo in (database, superuser):
            given = conninfo_to_dict(conninfo) | {"password": password}
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(make_conninfo("", **given))

    def test_asks_everybody_for_a_scram_password(self, superuser: str) -> None:
        with psycopg.connect(superuser) as db:
            methods = {method for (method,) in db.execute("SELECT auth_method FROM pg_hba_file_rules")}
            stored = [hashed for (hashed,) in db.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")]
        assert methods == {"scram-sha-256"}
        assert len(stored) == 2 + len(Role)
        assert all(hashed.startswith("SCRAM-SHA-256$") for hashed in stored)


def test_leaves_everything_above_its_directory_as_it_was(directory: Path) -> None:
    directory.parent.mkdir()
    above = [file for file in directory.parents if file != Path("/proc")]
    before = [(file, file.stat().st_mode, file.stat().st_uid, file.stat().st_gid) for file in above]
    beside = {file: os.listdir(file) for file in above[1:3]}
    with embedded(directory):
        pass
    assert [(file, file.stat().st_mode, file.stat().st_uid, file.stat().st_gid) for file in above] == before
    assert {file: os.listdir(file) for file in above[1:3]} == beside


def test_keeps_its_files_from_others(directory: Path) -> None:
    with embedded(directory):
        open_to_others = [
            file
            for file in (directory, *directory.rglob("*"))
            if stat.S_IMODE(file.lstat().st_mode) & 0o077 and not stat.S_ISLNK(file.lstat().st_mode)
        ]
    assert open_to_others == []


def test_keeps_its_entries_when_stopped_and_started(directory: Path) -> None:
    for entry in ("first", "second"):
        with embedded(directory) as conninfo:
            write(conninfo, entry)
        assert postmaster(directory) is None
    with embedded(directory) as conninfo:
        assert entries(conninfo) == ["first", "second"]


def test_an_operator_gives_it_memory_but_takes_no_safety_from_it(directory: Path) -> None:
    with embedded(directory):
        pass
    with (directory / "cluster/data/postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = 160MB\nfsync = off\n")
    with embedded(directory) as conninfo:
        assert setting(conninfo, "shared_buffers") == "160MB"
        assert setting(conninfo, "fsync") == "on"


def test_can_be_left_running(directory: Path) -> None:
    with embedded(directory, leave_running=True) as conninfo:
        head = postmaster(directory)
    assert head is not None
    assert postmaster(directory) == head
    write(conninfo, "still there")
    with embedded(directory):
        assert postmaster(directory) == head
    assert postmaster(directory) is None


def test_processes_that_start_together_share_one_server(directory: Path) -> None:
    with holder(directory) as (first, one), holder(directory) as (second, two), holder(directory) as (third, three):
        for number, conninfo in enumerate((one, two, three)):
            write(conninfo, str(number))
        head = postmaster(directory)
        for process in (first, third):
            process.communicate("end\n")
            assert process.returncode == 0
            assert postmaster(directory) == head
        assert entries(two) == ["0", "1", "2"]
        second.communicate("end\n")
        assert postmaster(directory) is None


def test_a_second_user_in_the_same_process_counts_too(directory: Path) -> None:
    with embedded(directory) as outer:
        with embedded(directory):
            pass
        write(outer, "the outer one still works")


def test_a_server_whose_starter_was_killed_is_found_and_used(directory: Path) -> None:
    with holder(directory) as (process, conninfo):
        write(conninfo, "before")
        head = postmaster(directory)
        process.kill()
        process.wait()
    with embedded(directory) as again:
        assert postmaster(directory) == head
        assert entries(again) == ["before"]
    assert postmaster(directory) is None


def test_a_starter_killed_at_any_moment_leaves_nothing_that_needs_a_hand(directory: Path) -> None:
    for milliseconds in (60, 150, 300, 450, 600, 800, 1000):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.infra.holder", directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
        finally:
            process.kill()
            process.communicate()
    with embedded(directory) as conninfo:
        write(conninfo, "after")
        assert entries(conninfo) == ["after"]


def test_a_killed_server_recovers_what_was_committed(directory: Path) -> None:
    server = embedded(directory)
    conninfo = server.acquire()
    write(conninfo, "committed")
    head = postmaster(directory)
    assert head
    os.kill(head, signal.SIGKILL)
    with embedded(directory) as again:
        assert postmaster(directory) not in (None, head)
        assert entries(again) == ["committed"]
    server.release()
    assert postmaster(directory) is None


def test_survivors_of_a_killed_server_are_waited_for(directory: Path) -> None:
    said: list[str] = []
    server = embedded(directory)
    conninfo = server.acquire()
    write(conninfo, "committed")
    head = postmaster(directory)
    assert head
    with psycopg.connect(conninfo) as busy:
        survivor = busy.info.backend_pid
        os.kill(survivor, signal.SIGSTOP)
        try:
            os.kill(head, signal.SIGKILL)
            with pytest.raises(EmbeddedPostgresError, match="not become ready"):
                embedded(directory, patience=1, report=said.append).acquire()
        finally:
            os.kill(survivor, signal.SIGCONT)
    with embedded(directory) as again:
        assert entries(again) == ["committed"]
    server.release()


@pytest.mark.parametrize("whose", ["nobody's", "a stranger's"])
def test_a_stale_pid_file_is_seen_through(directory: Path, whose: str) -> None:
    with embedded(directory) as conninfo:
        write(conninfo, "before")
        head = postmaster(directory)
        assert head
        pid_file = directory / "cluster/data/postmaster.pid"
        content = pid_file.read_text()
    number = head if whose == "nobody's" else os.getpid()
    pid_file.write_text(content.replace(str(head), str(number), 1))
    owner = pid_file.parent.stat()
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    pid_file.chmod(0o600)
    with embedded(directory) as conninfo:
        assert entries(conninfo) == ["before"]


def test_an_interrupted_beginning_is_begun_again(directory: Path) -> None:
    with embedded(directory):
        pass
    data = directory / "cluster" / "data"
    data.rename(data.with_name("new"))  # as if the process had died right before it put the cluster into its place
    (directory / "cluster" / "new-password").write_text("half")
    with embedded(directory) as conninfo:
        write(conninfo, "first")
    assert not (directory / "cluster" / "new").exists()


def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    with embedded(directory):
        pass
    with (directory / "cluster/data/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r'(?s)did not start.*"no_such_setting"'):
        embedded(directory).acquire()


def test_a_cluster_of_another_version_is_refused(directory: Path) -> None:
    with embedded(directory):
        pass
    (directory / "cluster/data/PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 14's.*pg_dump"):
        embedded(directory).acquire()


def _something_else(data: Path) -> None:
    data.mkdir()
    (data / "photograph").write_text("hills")


def _a_file(data: Path) -> None:
    data.write_text("hills")


def _another_version_file(data: Path) -> None:
    (data / "PG_VERSION").mkdir(parents=True)


@pytest.mark.parametrize(
    ("put", "says"),
    [
        (_something_else, "is no whole PostgreSQL cluster"),
        (_a_file, "is no whole PostgreSQL cluster"),
        (_another_version_file, "can't be read: Is a directory, of its PG_VERSION"),
    ],
)
def test_where_something_else_stands_nothing_is_run(directory: Path, put: Callable[[Path], None], says: str) -> None:
    place = directory / "cluster"
    place.mkdir(parents=True)
    directory.chmod(0o700)
    put(place / "data")
    before = sorted(place.rglob("*"))
    said: list[str] = []
    with pytest.raises(EmbeddedPostgresError, match=says):
        embedded(directory, report=said.append).acquire()
    assert (sorted(place.rglob("*")), said) == (before, [])


def test_a_lost_password_is_a_clear_error(directory: Path) -> None:
    with embedded(directory):
        pass
    (directory / "superuser-password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="superuser-password"):
        embedded(directory).acquire()
    assert postmaster(directory) is None


@pytest.mark.parametrize("name", ["deep/" * 40 + "postgres", "a,b c'd"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    said: list[str] = []
    server = embedded(tmp_path / name, report=said.append)
    with server as conninfo:
        short = Path(str(conninfo_to_dict(conninfo)["host"])).parent
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
        write(conninfo, "there")
    assert not short.exists()
    assert any("Making a PostgreSQL" in sentence for sentence in said)


def test_programs_that_are_not_there_are_a_clear_error(directory: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"initdb, pg_ctl, postgres can't be found"):
        EmbeddedPostgres(directory, binaries=directory).acquire()
