"""What a fold spares itself, held against arbitrary histories: in any order, whether or not a command could do it."""

from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.catalogue import AnyDecider, catalogue
from domain.kernel import Event
from tests.domain.scenario import hold_laws_of_reading, personal_fields

SPARING = [each for each in catalogue.deciders.values() if each.standing_from or each.folded_sealed or each.overwrites]


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    return st.builds(kind, **{name: st.from_type(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("decider", SPARING, ids=lambda decider: decider.kind)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_a_fold_spares_itself_makes_no_difference(decider: AnyDecider, data: st.DataObject) -> None:
    few = data.draw(st.lists(st.sampled_from(list(decider.events.values())), min_size=1, max_size=4))
    any_event: st.SearchStrategy[Any] = st.one_of([events_of(each) for each in few])
    hold_laws_of_reading(decider, data.draw(st.lists(any_event, min_size=1, max_size=8)))


@pytest.mark.parametrize("decider", SPARING, ids=lambda decider: decider.kind)
def test_only_what_has_something_personal_is_folded_sealed(decider: AnyDecider) -> None:
    assert all(personal_fields(each) for each in decider.folded_sealed)
