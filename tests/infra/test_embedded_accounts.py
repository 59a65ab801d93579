"""The embedded PostgreSQL as root and as a normal user."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.embedded import EmbeddedPostgres, software
from tests.infra.test_embedded import entries, postmaster, write
from tests.postgres import BINARIES, MAJOR, embedded

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a server as another account")


def uids(pid: int) -> set[int]:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return {int(word) for word in line.split()[1:]}


@only_as_root
def test_as_root_the_server_runs_unprivileged_behind_a_door_that_is_closed_to_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded(closed / "postgres") as conninfo:
        write(conninfo, "there")
        head = postmaster(closed / "postgres")
        assert head
        assert 0 not in uids(head)
        owners = {file.stat().st_uid for file in (closed / "postgres/cluster").rglob("*")}
        assert owners == uids(head)
        # The secrets, and the directory in which they lie, stay root's.
        assert {file.stat().st_uid for file in (closed / "postgres").iterdir() if file.name != "cluster"} == {0}
        assert (closed.stat().st_mode & 0o777, closed.stat().st_uid) == (0o700, 0)


@only_as_root
def test_as_root_programs_out_of_the_servers_reach_are_copied(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if BINARIES is not None:
        pytest.skip("Debian's programs lie where everybody reaches them")
    wheel = software.wheel_binaries(MAJOR).parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, closed / part.name)
    home = Path("/tmp") / f"daybook-test-{os.getpid()}"
    monkeypatch.setattr(software, "_HOMES_OF_COPIES", (home,))
    binaries = closed / software.wheel_binaries(MAJOR).relative_to(wheel.parent)
    try:
        for _ in range(2):
            with EmbeddedPostgres(tmp_path / "postgres", major=MAJOR, binaries=binaries) as conninfo:
                write(conninfo, "there")
        assert {file.stat().st_uid for file in home.rglob("*")} == {0}
        assert not [file for file in home.rglob("*") if file.stat().st_mode & 0o022 and not file.is_symlink()]
    finally:
        shutil.rmtree(home, ignore_errors=True)


@only_as_root
def test_as_a_normal_user(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = Path("/tmp") / f"daybook-test-user-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    packages = Path(str(pytest.__file__)).parents[1]
    program = f"""
import os
from tests.infra.test_embedded import entries, postmaster, write
from tests.postgres import embedded
from pathlib import Path
place = Path({str(home)!r}) / "book" / "postgres"
for _ in range(2):
    with embedded(place) as conninfo:
        write(conninfo, "there")
        assert os.stat(f"/proc/{{postmaster(place)}}").st_uid == os.geteuid() != 0
    assert postmaster(place) is None
"""
    try:
        for interpreter in (sys.executable, "/usr/bin/python3"):
            as_nobody = [
                "setpriv",
                f"--reuid={nobody.pw_uid}",
                f"--regid={nobody.pw_gid}",
                "--clear-groups",
                interpreter,
            ]
            try:
                version = subprocess.run([*as_nobody, "-V"], capture_output=True, text=True, check=False).stdout
            except OSError:
                continue
            if version.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}."):
                break
        else:
            pytest.skip("no Python of this version that the account nobody can run")
        path = os.pathsep.join([str(Path.cwd()), str(packages)])
        environment = {"PYTHONPATH": path, "DAYBOOK_TEST_POSTGRES": str(MAJOR)}
        can_import = [*as_nobody, "-B", "-c", "import infra.embedded, tests.postgres, pytest"]
        if subprocess.run(can_import, env=environment, check=False, capture_output=True).returncode != 0:
            pytest.skip("the account nobody can't read this working tree or its packages")
        ran = subprocess.run(
            [*as_nobody, "-B", "-c", program], env=environment, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        assert {file.stat().st_uid for file in home.rglob("*")} == {nobody.pw_uid}
        # Root then works with that server too, as its owner.
        with embedded(home / "book" / "postgres") as conninfo:
            assert entries(conninfo) == ["there", "there"]
            head = postmaster(home / "book" / "postgres")
            assert head
            assert uids(head) == {nobody.pw_uid}
    finally:
        shutil.rmtree(home)
