"""Fresh databases on one server. Books are copies of one that was made once: making one takes five times as long."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.migrations import migrate
from projections.registry import models
from projections.tables import install


def forget_receipts(database: str) -> None:
    """What 30 days do."""
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("DELETE FROM daybook.receipts")


class Databases:
    """Databases of the application's role, each dropped at the end of its block."""

    def __init__(self, conninfo: str, superuser: psycopg.Connection) -> None:
        self._conninfo, self._superuser = conninfo, superuser
        self._templates = dict[Callable[[str], None], str]()

    def bare(self) -> AbstractContextManager[str]:
        """The connection string of one with nothing of ours in it."""
        return self._copy("template1")

    def migrated(self) -> AbstractContextManager[str]:
        """Of one that is migrated, without read models."""
        return self._copy(self._template(_migrate))

    def book(self) -> AbstractContextManager[str]:
        """Of one that is migrated and has its read models: a book with no entry."""
        return self._copy(self._template(begin_book))

    def copy(self, conninfo: str) -> AbstractContextManager[str]:
        """Of one that holds what another does, to which nobody is connected."""
        return self._copy(str(conninfo_to_dict(conninfo)["dbname"]))

    @contextmanager
    def _copy(self, template: str) -> Iterator[str]:
        name = self._create(template)
        try:
            yield make_conninfo(self._conninfo, dbname=name)
        finally:
            self._superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self, prepare: Callable[[str], None]) -> str:
        if prepare not in self._templates:
            name = self._create("template1")
            prepare(make_conninfo(self._conninfo, dbname=name))
            self._templates[prepare] = name
        return self._templates[prepare]

    def _create(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        statement = sql.SQL("CREATE DATABASE {} OWNER daybook TEMPLATE {}")
        self._superuser.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name


def _migrate(conninfo: str) -> None:
    migrate(conninfo)


def begin_book(conninfo: str) -> None:
    """Migrate a database and make the read models of an empty book in it."""
    migrate(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as db:
        install(db, models)
