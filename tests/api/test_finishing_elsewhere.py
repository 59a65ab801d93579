"""Finishing an erasure on a PostgreSQL of the operator's: the master key goes too, or they are told that it must."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.kernel import parse_type_id
from tests.api.listening import Server, listening, until
from tests.api.test_command_line import FAILED, OK, Shell
from tests.api.test_following_erased import PERSON, Told
from tests.infra.test_rotation import opens, raw

_KEY = "SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s"


@pytest.fixture
def shell(database: str, superuser: str, tmp_path: Path) -> Iterator[Shell]:
    """Of an operator whose administrator has granted what docs/operator/erasure.md says."""
    owner = conninfo_to_dict(database)["user"]
    with psycopg.connect(
        make_conninfo(superuser, dbname=conninfo_to_dict(database)["dbname"]), autocommit=True
    ) as administrator:
        administrator.execute(f"GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_ls_waldir() TO {owner}".encode())
        administrator.execute(f"GRANT pg_checkpoint TO {owner}".encode())
        try:
            yield Shell(database, tmp_path)
        finally:
            administrator.execute(f"REVOKE pg_checkpoint FROM {owner}".encode())


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[Server]:
    with listening(database, tmp_path) as server:
        yield server


class Copy:
    """What somebody has who copied the database before, and the key file of then."""

    def __init__(self, database: str, file: Path, person: str) -> None:
        self._file, self._bound = file, parse_type_id(person)[1]
        with psycopg.connect(database) as db:
            [(self._wrapped,)] = db.execute(_KEY, (self._bound,)).fetchall()
        assert self.is_opened(), "or it could not be seen that it is not"

    def is_opened(self) -> bool:
        """Whether the person's key in it opens with what the key file holds now."""
        return any(opens(master, bytes(self._wrapped), self._bound.bytes) for master in raw(self._file))


def erased(told: Told) -> None:
    told.erase()
    query = "query($id: ID!) { customer(id: $id) { erasure } }"
    until(lambda: told.server.post(query, {"id": told.person})["customer"]["erasure"] == "ERASED")


def others_name(told: Told) -> Any:
    """From the book itself, past what is remembered."""
    query = "query($id: ID!) { customer(id: $id) { name history(first: 1) { nodes { data } } } }"
    found = told.server.post(query, {"id": told.other})["customer"]
    return found["name"], found["history"]["nodes"][0]["data"]["name"]


def standing(shell: Shell) -> tuple[bool, bool, bool]:
    """Whether files are to be rewritten, the master key to be rotated, and that by hand."""
    done = shell.run("erasure", "status", "--json")
    assert done.returncode == OK, done
    said = json.loads(done.stdout)
    return said["due"] is not None, said["masterKeyDue"] is not None, said["byHand"]


def test_where_there_is_one_key_file_finishing_rotates_the_master_key(
    server: Server, shell: Shell, database: str, tmp_path: Path
) -> None:
    told = Told(server)
    copy = Copy(database, tmp_path / "master.key", told.person)
    erased(told)
    shell.environment["DAYBOOK_ONE_KEY_FILE"] = "yes"
    assert standing(shell) == (True, True, False)
    assert copy.is_opened(), "destroying a key does not reach a copy of it"
    finished = shell.run("erasure", "finish")
    assert (finished.returncode, "rotate" in finished.stderr) == (OK, False), finished
    assert not copy.is_opened()
    assert standing(shell) == (False, False, False)
    assert others_name(told) == ("Rosalind", "Rosalind")
    today = raw(tmp_path / "master.key")
    shell.run("erasure", "finish")
    assert raw(tmp_path / "master.key") == today, "older backups are given up for an erasure, and for nothing else"


def test_where_other_hosts_may_have_the_key_the_operator_is_told_to_rotate_it(
    server: Server, shell: Shell, database: str, tmp_path: Path
) -> None:
    told = Told(server)
    copy = Copy(database, tmp_path / "master.key", told.person)
    assert standing(shell) == (False, False, False)
    erased(told)
    former = raw(tmp_path / "master.key")
    finished = shell.run("erasure", "finish")
    assert finished.returncode == OK, finished
    assert "`daybook rotate master-key`" in finished.stderr
    assert raw(tmp_path / "master.key") == former, "other hosts would stand still"
    assert standing(shell) == (False, True, True)
    assert copy.is_opened()
    assert shell.run("status").returncode == OK, "there is time yet"
    late = shell.run("status", "--json", DAYBOOK_ERASURE_DAYS="1")
    assert late.returncode == FAILED
    assert "`daybook rotate master-key`" in "".join(json.loads(late.stdout)["alarms"])
    assert shell.run("rotate", "master-key").returncode == OK
    assert not copy.is_opened()
    assert standing(shell) == (False, False, False)
    assert shell.run("status", DAYBOOK_ERASURE_DAYS="1").returncode == OK
    assert PERSON not in shell.run("erasure", "status").stdout
