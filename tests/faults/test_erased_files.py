"""After an erasure is finished, no file of the data directory holds any of what was erased, nor the key to it."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import anyio
import psycopg
import pytest

from api.cli.erasing import finish_where_due
from domain.kernel import parse_type_id
from infra.embedded.software import wheel_binaries
from infra.erasure.rewriting import due
from infra.master_key import keys_in
from infra.person_keys import rotate_one
from infra.settings import read_settings
from projections.searching import search_key
from projections.sorting import sort_key
from tests.api.book import serving
from tests.api.test_erasure import PERSONAL, Story
from tests.databases import begin_book
from tests.postgres import NEWEST, embedded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def written(value: str) -> Iterator[bytes]:
    """The ways in which a value may be written down."""
    yield from {text.encode() for text in (value, value.lower(), sort_key(value), search_key(value))}
    plain = value.encode()
    yield value.encode("utf-16-le")
    yield value.encode("utf-16-be")
    yield value.encode("ascii", "backslashreplace")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for shift in range(3):  # base64 that began 0, 1 or 2 bytes before, without what its neighbours share
        yield base64.b64encode(bytes(shift) + plain)[4 if shift else 0 : -4]


def holding(directory: Path, values: Mapping[str, Sequence[bytes]]) -> dict[str, set[str]]:
    """By value, the files that hold it."""
    found: dict[str, set[str]] = {value: set() for value in values}
    for file in directory.rglob("*"):
        if file.is_file():
            content = re.sub(rb"\0{64,}", bytes(64), file.read_bytes())  # what was never written to
            for value, needles in values.items():
                if any(needle in content for needle in needles):
                    found[value].add(str(file.relative_to(directory)))
    return found


async def test_no_file_holds_what_was_erased(tmp_path: Path) -> None:
    server = embedded(tmp_path / "postgres")
    with server as conninfo:
        begin_book(conninfo)
        async with serving(conninfo, tmp_path) as client:
            story = Story(client)
            await story.tell()
            values = {value: [*written(value)] for value in PERSONAL}
            with psycopg.connect(server.superuser_conninfo(), dbname="daybook", autocommit=True) as db:
                [(key,)] = db.execute(_KEY, (parse_type_id(story.person)[1],)).fetchall()
                values["the wrapped key"] = [key, key.hex().encode()]
                for _ in range(2):
                    rotate_one(conninfo, tmp_path / "master.key", parse_type_id(story.person)[1])
                    [(keys,)] = db.execute(_KEY, (parse_type_id(story.person)[1],)).fetchall()
                    values["the wrapped key"] += [keys, keys.hex().encode()]
                [former] = keys_in(tmp_path / "master.key").values()
                values["the former master key"] = [former, former.hex().encode(), base64.b64encode(former)]
                plainly = {**{value: [value.encode()] for value in PERSONAL}, "the wrapped key": [key]}

                db.execute("ANALYZE")  # as the server does by itself after a while
                db.execute("CHECKPOINT")
                before = holding(tmp_path, plainly)
                assert [value for value, files in before.items() if not files] == [], "or this test could not fail"

                await story.erase(story.person)
                db.execute("CHECKPOINT")
                left = holding(tmp_path, plainly)
                assert [value for value, files in left.items() if not files] == [], "deleting alone is not enough"

                assert due(db, 30) is not None
                settings = read_settings({"DAYBOOK_DATA": str(tmp_path), "DAYBOOK_ERASURE_DAYS": "30"})
                await anyio.to_thread.run_sync(finish_where_due, settings, conninfo)
                assert due(db, 30) is not None, "there is time yet"
                settings = read_settings({"DAYBOOK_DATA": str(tmp_path), "DAYBOOK_ERASURE_DAYS": "1"})
                await anyio.to_thread.run_sync(finish_where_due, settings, conninfo)
                assert due(db, 30) is None
                assert keys_in(tmp_path / "master.key").keys() == {2}, "nothing opens what an old copy holds"
                after = holding(tmp_path, values)
                assert {value: files for value, files in after.items() if files} == {}
        export = [str(wheel_binaries(NEWEST) / "pg_dump"), "--dbname", conninfo, "--file", str(tmp_path / "export.sql")]
        await anyio.run_process(export)
    after = holding(tmp_path, values)
    assert {value: files for value, files in after.items() if files} == {}


_KEY = "SELECT wrapped FROM daybook_keys.subjects WHERE subject = %s"
