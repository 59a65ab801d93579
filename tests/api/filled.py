"""A book to fill, and files to import into it."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from api.composition import Parts, assembled
from api.importing.importer import Import
from api.importing.mapping import KINDS, read_mapping
from api.importing.outcomes import Summary
from projections.rebuild import rebuild
from projections.registry import models

SHARED = Path(__file__).parents[3] / "shared" / "data" / "maven-crm"
"""The Maven data set lies beside the repository, where it lies at all."""
MAPPINGS = Path(__file__).parents[2] / "mappings"


@contextmanager
def opened(database: str, folder: Path) -> Generator[Parts]:
    """The parts of a process on a book whose master key lies in the folder."""
    with assembled(database, folder / "master.key") as parts:
        yield parts


def imported(parts: Parts, kind: str, file: Path, mapping: Path, source: str = "old") -> Summary:
    importing = Import(parts, read_mapping(mapping, KINDS[kind]), source)
    return importing.run(importing.open(file), file.with_name(f"{file.stem}.rejected.csv"), lambda _: None)


def posted(parts: Parts, *names: str) -> None:
    """Bring these read models to the end of the book."""
    for model in models:
        if model.name in names:
            rebuild(parts.conninfo, parts.mapper, model)


def asked(parts: Parts, query: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
    with psycopg.connect(parts.conninfo) as db:
        return db.execute(query.encode(), parameters).fetchall()


def entries(parts: Parts) -> int:
    return parts.store.max_notification_id() or 0


def url(database: str) -> str:
    """The connection string as the URL that DATABASE_URL takes."""
    given = {name: str(value) for name, value in conninfo_to_dict(database).items() if value is not None}
    login = f"{quote(given.pop('user'))}:{quote(given.pop('password'))}"
    return f"postgresql://{login}@/{given.pop('dbname')}?{urlencode(given)}"


_OURS = """
    SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('daybook', 'daybook_keys')
"""


def raw_dump(database: str) -> bytes:
    """Every row of the book and of its keys, as COPY writes them: byte strings in hexadecimal."""
    dump = b""
    with psycopg.connect(database) as db:
        for schema, table in db.execute(_OURS).fetchall():
            everything = sql.SQL("COPY {}.{} TO STDOUT").format(sql.Identifier(schema), sql.Identifier(table))
            with db.cursor().copy(everything) as rows:
                dump += b"".join(bytes(row) for row in rows)
    return dump


def in_plain(values: Iterable[str], dump: bytes) -> list[str]:
    """The values that stand in a dump, as text or inside a byte string."""
    return [value for value in values if value.encode() in dump or value.encode().hex().encode() in dump]
