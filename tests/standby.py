"""A server that takes over without the last entries.

It is a copy of the book under another name, which it gives up for the book's when it takes over: what a process sees of
that is the same, connections that break and lead elsewhere.
"""

from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.processes import until


class Standby:
    """The server that takes over."""

    def __init__(self, book: str, superuser: psycopg.Connection) -> None:
        self._superuser = superuser
        self._name = str(conninfo_to_dict(book)["dbname"])
        self._copy = f"{self._name}_standby"
        self.conninfo = make_conninfo(book, dbname=self._copy)

    def falls_behind(self) -> None:
        """What the book takes from now on does not reach it."""
        self._disconnect(self._name)
        self._run("CREATE DATABASE {copy} OWNER daybook TEMPLATE {book}")
        self._run("ALTER DATABASE {book} CONNECTION LIMIT -1")

    def takes_over(self) -> None:
        self._disconnect(self._name)
        self._run("DROP DATABASE {book}")
        self._run("ALTER DATABASE {copy} RENAME TO {book}")

    def _disconnect(self, name: str) -> None:
        """Let nobody in, and wait until all are out."""
        self._run("ALTER DATABASE {book} CONNECTION LIMIT 0")
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        until(lambda: not self._superuser.execute(ended, (name,)).rowcount, "everybody is disconnected")

    def _run(self, statement: LiteralString) -> None:
        names = {"book": sql.Identifier(self._name), "copy": sql.Identifier(self._copy)}
        self._superuser.execute(sql.SQL(statement).format(**names))
