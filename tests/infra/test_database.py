"""Which database the settings lead to, and what an operator reads when it can't be used."""

import socket
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra import database as under_test
from infra.database import DatabaseError, connect_info
from infra.settings import Settings, read_settings


def settings(url: str) -> Settings:
    return read_settings({"DATABASE_URL": url})


def url(conninfo: str, **other: str) -> str:
    given = {name: str(value) for name, value in (conninfo_to_dict(conninfo) | other).items()}
    where = urlencode({"host": given["host"], "port": given["port"]})
    return f"postgresql://{given['user']}:{quote(given['password'])}@/{given['dbname']}?{where}"


def test_the_operators_database_is_taken_as_it_is(database: str) -> None:
    with connect_info(settings(url(database))) as conninfo, psycopg.connect(conninfo) as db:
        row = db.execute("SELECT current_user::text, current_database()::text").fetchone()
    assert row == ("daybook", conninfo_to_dict(database)["dbname"])


def test_a_host_that_vanished_is_noticed_as_soon_as_the_operator_wants(database: str) -> None:
    with connect_info(settings(url(database) + "&keepalives_idle=99")) as conninfo:
        given = conninfo_to_dict(conninfo)
    assert (given["keepalives_idle"], given["tcp_user_timeout"], given["connect_timeout"]) == ("99", "25000", "10")


def test_without_one_the_embedded_server_lies_in_the_data_directory(tmp_path: Path) -> None:
    said: list[str] = []
    with connect_info(read_settings({"DAYBOOK_DATA": str(tmp_path)}), said.append) as conninfo:
        assert conninfo_to_dict(conninfo)["host"] == str(tmp_path / "postgres/cluster/socket")
        psycopg.connect(conninfo).close()
    assert said


def test_a_wrong_password_is_not_repeated(database: str) -> None:
    with pytest.raises(DatabaseError, match=r"test_\w+ at .* does not answer: .*password") as refused:
        with connect_info(settings(url(database, password="my%secret"))):
            pass
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("password", ["o", "daybook"])
def test_a_password_that_is_part_of_the_words_leaves_them_whole(database: str, password: str) -> None:
    with pytest.raises(DatabaseError, match=r'does not answer: connection .*password .* failed for user "daybook"'):
        with connect_info(settings(url(database, password=password))):
            pass


def test_a_password_among_the_words_is_masked() -> None:
    given = {"user": "me", "password": "geheim99", "sslpassword": "key(99"}
    said = under_test._masked('no "geheim99" for me, key(99 or geheim99s', given)  # pyright: ignore[reportPrivateUsage]
    assert said == 'no "***" for me, *** or geheim99s'


def test_a_time_to_connect_that_is_none_is_told(database: str) -> None:
    with pytest.raises(DatabaseError, match="connect_timeout=abc, but that must be a whole number of seconds"):
        with connect_info(settings(url(database) + "&connect_timeout=abc")):
            pass


def test_a_server_that_is_not_there(database: str) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        with pytest.raises(DatabaseError, match=rf"crm at 127.0.0.1:{port}, .*refused") as refused:
            with connect_info(settings(f"postgresql://me:secret@127.0.0.1:{port}/crm")):
                pass
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["postgresql://me:secret@db:port/crm", "postgresql://me:secret%@db/crm?x=y"])
def test_an_address_that_is_none_is_not_repeated(address: str) -> None:
    with pytest.raises(DatabaseError, match="DATABASE_URL") as refused:
        with connect_info(settings(address)):
            pass
    assert "secret" not in str(refused.value)


def test_an_older_server_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_OLDEST", 99)
    with pytest.raises(DatabaseError, match=r"PostgreSQL 1\d's, and Daybook needs 99 or later"):
        with connect_info(settings(url(database))):
            pass


def test_a_database_that_cannot_hold_every_script_is_refused(superuser: str) -> None:
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        try:
            with pytest.raises(DatabaseError, match="as LATIN1, and Daybook needs UTF8"):
                with connect_info(settings(url(superuser, dbname="latin"))):
                    pass
        finally:
            db.execute("DROP DATABASE latin")
