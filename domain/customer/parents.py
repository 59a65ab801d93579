"""The customers above a customer."""

from collections.abc import Iterator
from uuid import UUID

from domain.customer.rules import ParentCycle, ParentsTooDeep
from domain.customer.words import MOST_ANCESTORS
from domain.kernel import CustomerNotActive, Known, Rule


def parent_faults(own: UUID, parent: UUID | None, known: Known) -> Iterator[Rule]:
    """The rules against putting a customer under this parent: a cycle, an inactive parent, too many levels."""
    chain = list(ancestors(parent, known))
    if own in chain:
        yield ParentCycle(path=("parent",))
    elif parent is not None and not known.of(parent).active:
        yield CustomerNotActive(path=("parent",))
    elif len(chain) > MOST_ANCESTORS:
        yield ParentsTooDeep(most=MOST_ANCESTORS, path=("parent",))


def ancestors(parent: UUID | None, known: Known) -> Iterator[UUID]:
    """A parent, its parent and so on, as far as they are known, and at most one more than there may be."""
    for _ in range(MOST_ANCESTORS + 1):
        if parent is None:
            return
        yield parent
        standing = known.standings.get(parent)
        parent = standing.parent if standing else None
