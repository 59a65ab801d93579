"""Connections to the tables of `daybook_access`."""

from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra import silence
from infra.times import IN_UTC

Access: TypeAlias = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]


def access_pool(conninfo: str, *, size: int = 4, seconds: float = 10) -> Access:
    """A pool, not open yet."""

    async def configure(connection: AsyncConnection[tuple[Any, ...]]) -> None:
        await connection.execute(IN_UTC)

    return AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]](
        conninfo,
        min_size=1,
        max_size=size,
        kwargs={"autocommit": True, "application_name": "daybook access"},
        connection_class=silence.AsyncConnection,
        configure=configure,
        timeout=seconds,
        open=False,
        name="access",
    )
