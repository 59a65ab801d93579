"""Toy books on an empty database: of one process, and of two."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.composition import Parts
from tests.toy import toy_book


@pytest.fixture
def book(database: str, tmp_path: Path) -> Iterator[Parts]:
    with toy_book(database, tmp_path) as parts:
        yield parts


@pytest.fixture
def books(database: str, tmp_path: Path) -> Iterator[tuple[Parts, Parts]]:
    """Two processes' parts on one database."""
    with toy_book(database, tmp_path) as one, toy_book(database, tmp_path) as two:
        yield one, two
