"""Whatever happens, the read models hold what a plain fold of the book holds."""

from collections import defaultdict
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest

from domain.catalogue import catalogue
from domain.kernel import Withheld
from domain.kernel.recorded import Recorded
from projections.model import Posting, public_id
from projections.registry import may_hold_persons, models
from tests.domain.scenario import withhold
from tests.projections.books import made_up_book
from tests.projections.comparison import complete, hold_constraints, posted
from tests.projections.fold_oracle import expected_rows

SEEDS = range(25)
book_of = cache(made_up_book)


def erased(entry: Recorded[Any]) -> Recorded[Any]:
    return msgspec.structs.replace(entry, erased=True, reason=None, event=withhold(entry.event, Withheld.ERASED))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_models_hold_what_the_plain_fold_holds(seed: int) -> None:
    book = book_of(seed)
    rows = posted(book)
    assert rows == complete(expected_rows(book))
    hold_constraints(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_erased_subjects_leave_rows_without_personal_values(seed: int) -> None:
    book = book_of(seed)
    subjects = sorted({entry.subject for entry in book})
    gone = set(Random(seed).sample(subjects, len(subjects) // 2))
    book = [erased(entry) if entry.subject in gone else entry for entry in book]
    rows = posted(book)
    assert rows == complete(expected_rows(book))
    hold_constraints(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_kind_of_contact_point_has_one_primary(seed: int) -> None:
    primaries: dict[tuple[str, str], int] = defaultdict(int)
    for point in posted(book_of(seed)).get("customer_contact_points", {}).values():
        primaries[point["customer_id"], point["kind"]] += point["is_primary"]
    assert set(primaries.values()) <= {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_stands_at_its_aggregates_last_entry(seed: int) -> None:
    book = book_of(seed)
    last = {entry.originator_id: entry for entry in book}
    rows = {key[0]: row for of in posted(book).values() for key, row in of.items() if "version" in row and "id" in row}
    stamps = {(row["version"], row["position"], row["recorded_at"]) for row in rows.values()}
    assert len(rows) == len(last)
    assert stamps == {(one.originator_version, one.position, one.recorded_at) for one in last.values()}


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_every_row_names_the_record_that_it_goes_with(seed: int) -> None:
    """Where personal data was erased, the rows of a record are found by it, deleted, and posted anew."""
    for entry in book_of(seed):
        for model in models:
            if may_hold_persons(model) and (model.kinds is None or entry.kind in model.kinds):
                posting = Posting()
                model.post(posting, entry)
                for verb, table, _, row in posting.changes:
                    if verb == "insert":
                        assert row[table.of] == public_id(entry.kind, entry.originator_id), table.name


def test_the_made_up_books_hold_every_event_there_is() -> None:
    names = {entry.name for seed in SEEDS for entry in book_of(seed)}
    assert names == set(catalogue.shapes)
