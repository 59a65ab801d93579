"""Seen is a set that shares its runs with its former selves."""

from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Seen

ids = st.lists(st.integers(0, 60).map(lambda number: UUID(int=number)), max_size=200)


def seen(found: list[UUID]) -> Seen:
    state = Seen()
    for id in found:
        state = state.add(id)
    return state


@for_all(ids, st.lists(st.uuids(), max_size=5))
def test_it_holds_what_a_set_holds(found: list[UUID], others: list[UUID]) -> None:
    state, plain = seen(found), set(found)
    assert len(state) == len(plain)
    assert all(id in state for id in plain)
    assert [id in state for id in others] == [id in plain for id in others]


@for_all(ids)
def test_adding_leaves_the_former_self_as_it_was(found: list[UUID]) -> None:
    before = seen(found)
    after = before.add(UUID(int=1000))
    assert UUID(int=1000) in after
    assert UUID(int=1000) not in before
    assert len(before) == len(set(found))


def test_an_addition_copies_little_and_a_look_up_asks_few_runs() -> None:
    state, copied = Seen(), 0
    for number in range(4096):
        former, state = state, state.add(UUID(int=number))
        kept = {id(run) for run in former.runs}
        copied += sum(len(run) for run in state.runs if id(run) not in kept) + len(state.waiting)
        assert len(state.runs) <= 8
        assert len(state.waiting) < 32
    assert copied <= 4096 * (8 + 16)
