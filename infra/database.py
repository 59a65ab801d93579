"""The database that the settings name: the operator's PostgreSQL, or our embedded one."""

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import DuplicateSchema, InsufficientPrivilege, ReadOnlySqlTransaction

from infra.embedded import EmbeddedPostgres
from infra.private_files import private_directory
from infra.settings import Settings

_OLDEST = 15
_SECONDS_TO_CONNECT = 10
_NOTICED = {
    "connect_timeout": str(_SECONDS_TO_CONNECT),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""How long a connection goes without an answer; the operator's address may say otherwise."""

_REMEDIES: dict[type[psycopg.Error], str] = {
    InsufficientPrivilege: "Daybook's role has to own its database (ALTER DATABASE ... OWNER TO ...), with all that is"
    " Daybook's in it: name that owner in DATABASE_URL.",
    ReadOnlySqlTransaction: "Name a database in DATABASE_URL that can be written: no standby, and without"
    " default_transaction_read_only.",
    DuplicateSchema: "Another program has put it there: give Daybook a database of its own.",
}


class DatabaseError(Exception):
    """The operator's database can't be used; the message says why, and holds no password."""


@contextmanager
def connect_info(settings: Settings, report: Callable[[str], None] | None = None) -> Generator[str]:
    """A connection string that works, for as long as the block lasts. `report` is told what takes long.

    What the database refuses to its role in the block is a DatabaseError too.
    """
    with _refusals_told(), _connected(settings, report) as conninfo:
        yield conninfo


@contextmanager
def _refusals_told() -> Generator[None]:
    try:
        yield
    except tuple(_REMEDIES) as error:
        remedy = next(remedy for kind, remedy in _REMEDIES.items() if isinstance(error, kind))
        why = error.diag.message_primary or str(error)
        raise DatabaseError(f"The database refuses: {why}. {remedy}") from None


@contextmanager
def _connected(settings: Settings, report: Callable[[str], None] | None) -> Generator[str]:
    if settings.database_url is None:
        with EmbeddedPostgres(private_directory(settings.data) / "postgres", report=report) as conninfo:
            yield conninfo
    else:
        given = _check(settings.database_url)
        # A database whose host has vanished is noticed within half a minute, not within hours.
        yield make_conninfo(
            settings.database_url, **{name: value for name, value in _NOTICED.items() if name not in given}
        )


def _check(url: str) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # libpq's own message repeats parts of the address, and with them the password.
        raise DatabaseError(
            "DATABASE_URL is not a PostgreSQL address. One looks like postgresql://user:password@host:5432/database;"
            " special characters in the password are written as %XX."
        ) from None
    name = f"{given.get('dbname', '')} at {given.get('host', 'the local socket')}:{given.get('port', '5432')}"
    timeout = str(given.get("connect_timeout") or _SECONDS_TO_CONNECT)
    if not re.fullmatch(r"-?[0-9]{1,9}", timeout):
        raise DatabaseError(
            f"DATABASE_URL says connect_timeout={timeout}, but that must be a whole number of seconds, 0 for any time."
        )
    try:
        with psycopg.connect(url, connect_timeout=int(timeout)) as db:
            major = db.info.server_version // 10000
            encoding = db.info.parameter_status("server_encoding")
    except psycopg.OperationalError as error:
        why = _masked(str(error).strip(), given)
        raise DatabaseError(f"The database {name}, which DATABASE_URL names, does not answer: {why}") from None
    if major < _OLDEST:
        raise DatabaseError(f"The database {name} is PostgreSQL {major}'s, and Daybook needs {_OLDEST} or later.")
    if encoding != "UTF8":
        raise DatabaseError(
            f"The database {name} stores text as {encoding}, and Daybook needs UTF8. Make a new one:"
            " CREATE DATABASE daybook ENCODING 'UTF8' TEMPLATE template0"
        )
    return given


def _masked(why: str, given: Mapping[str, Any]) -> str:
    """libpq's words without the passwords. It repeats none by itself, but says what may be the same: a user's name."""
    said_openly = {str(given.get(part)) for part in ("user", "dbname", "host", "port")}
    for password in {str(given.get(part) or "") for part in ("password", "sslpassword")} - said_openly - {""}:
        # As a whole word: of a password of one letter, all others would tell which one it is.
        why = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)", "***", why)
    return why
