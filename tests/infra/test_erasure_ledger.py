"""The erasure ledger: what it says was written down is on the disk, or nothing is erased."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domain.kernel import new_id
from infra.erasure.ledger import Ledger, LedgerError


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a disk that is full in the middle of a line: the first write is cut short, and raises nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_was_cut_short_is_not_taken_for_written(tmp_path: Path) -> None:
    ledger, first, second = Ledger(tmp_path / "erasures.jsonl"), new_id(), new_id()
    ledger.begin(first, (first,))
    with no_file_larger_than(ledger.file.stat().st_size + 20), pytest.raises(LedgerError, match="Nothing is erased"):
        ledger.begin(second, (second,))
    assert ledger.erased() == {first: {first}}
    ledger.begin(second, (second,))
    assert ledger.erased() == {first: {first}, second: {second}}
