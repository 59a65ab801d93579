"""What a field costs. A record that is read costs 1 and its own columns nothing; what makes the database look at more
than it hands out costs more. The page sizes and the fields that a query selects do the rest (`api/limits.py`).
"""

from collections.abc import Mapping
from typing import assert_never

import msgspec

from api.reading.sources import (
    AnyNode,
    AsOf,
    Bundled,
    Column,
    Expression,
    Hidden,
    Lookup,
    Many,
    Mean,
    Only,
    Part,
    Rate,
    Reflected,
    Relation,
    Source,
    Tally,
    Total,
    Totals,
    Traced,
    Values,
    Waterfall,
)


class Weight(msgspec.Struct, frozen=True):
    """The cost of a field, beside that of what is selected below it."""

    own: int = 0
    """Each time that it is answered."""
    records: int = 0
    """How many records it brings where no argument says so; each costs 1 and what is selected of it."""


ARGUMENTS: Mapping[str, int] = {"search": 10}
"""What an argument adds where it is given: a search looks through more than its page."""
CONDITION, CONDITION_ELSEWHERE = 1, 5
"""What a condition of a `where` adds, each time that its list is read: on a row's own value; on rows of another table,
which are looked for beside each row."""
HEAVIEST = 30_000
"""What conditions weigh that are beyond all limits anyway."""
PROVEN = 12_500
"""What it costs to prove a record's whole history, however long it is: one in a query at most."""
BY_THEMSELVES: Mapping[str, int] = {"totalCount": 10, "auditBundle": PROVEN}
"""What fields add that have no source: all that meets a page's conditions is counted; below `customerUnmask` a history
is proven."""


def weight_of(source: Source) -> Weight:
    """The weight of a field with this source."""
    match source:
        case Column() | Expression() | Part() | Hidden() | Reflected() | Tally() | Total() | Rate() | Mean():
            return _IN_THE_ROW
        case Relation() | Lookup() | Only() | AnyNode():
            return _ONE
        case Bundled():
            return _BUNDLE
        case Many(paged=True):
            return _PAGE
        case Many():
            return _SHORT_LIST
        case Values():
            return _VALUES
        case Totals():
            return _SUM
        case Waterfall():
            return _WATERFALL
        case AsOf():
            return _MOMENT
        case Traced(several=several):
            return _DIFFERENCES if several else _ORIGIN
        case _:
            assert_never(source)


_IN_THE_ROW = Weight()
_ONE = Weight(records=1)
_PAGE = Weight(own=2)
_MOMENT = Weight(own=5)
"""It is looked for in the book. What is read below it costs what it does now, so that any query of today can be asked
of the past: a page takes the database some 1.4 times as long (benchmarks/RESULTS.md)."""
_VALUES = Weight(own=1)
_SHORT_LIST = Weight(own=1, records=5)
"""The domain keeps these lists short; nobody knows how short before they are read."""
_SUM = Weight(own=20, records=1)
"""All that meets the conditions is added up; grouped ones bring as many groups as `first` says."""
_WATERFALL = Weight(own=1_000, records=1)
"""All that rows were between two moments is compared with what they were before: some twenty-five times a sum's
work as of a moment."""
_BUNDLE = Weight(own=PROVEN, records=1)
_ORIGIN, _DIFFERENCES = Weight(own=200, records=1), Weight(own=200, records=20)
"""All entries of the record are opened and folded, however many it has."""
