"""Access: which commands and records permissions reach."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.access import NEEDS, READS, Authority, looked_after_by, not_allowed, unlimited
from domain.appending import NotAllowed, NotAllowedOnBehalf
from domain.catalogue import catalogue
from domain.customer import ExportCustomerPersonalData, RegisterCustomer, RenameCustomer
from domain.kernel import Place
from domain.kernel.permissions import Grant, Permission, Scope, widest
from domain.ready_roles import READY
from domain.ticket import OpenTicket

ME, OTHER, TEAM, QUEUE = (UUID(int=n) for n in range(1, 5))
MINE, TEAMS, QUEUES, ELSEWHERE = Place(owner=ME), Place(owner=OTHER, team=TEAM), Place(queue=QUEUE), Place(owner=OTHER)
RENAME = RenameCustomer(id=UUID(int=9), name="x")


def somebody(**grants: Scope) -> Authority:
    return Authority(
        actor="user:me",
        staff_member=ME,
        teams=frozenset({TEAM}),
        queues=frozenset({QUEUE}),
        grants={Permission[name]: scope for name, scope in grants.items()},
    )


AUTHORITIES = st.builds(
    Authority,
    actor=st.sampled_from(("user:me", "token:x")),
    staff_member=st.sampled_from((ME, OTHER, None)),
    teams=st.frozensets(st.just(TEAM)),
    queues=st.frozensets(st.just(QUEUE)),
    grants=st.dictionaries(
        st.sampled_from((Permission.WRITE_CUSTOMERS, Permission.READ_CUSTOMERS, Permission.READ_TICKETS)),
        st.sampled_from(Scope),
    ),
)


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        (Scope.OWN, (MINE,)),
        (Scope.QUEUE, (MINE, QUEUES)),
        (Scope.TEAM, (MINE, TEAMS, QUEUES)),
        (Scope.ALL, (MINE, TEAMS, QUEUES, ELSEWHERE, Place())),
    ],
)
def test_a_scope_reaches_the_places_of_the_ones_before_it(scope: Scope, reached: tuple[Place, ...]) -> None:
    who = somebody(WRITE_CUSTOMERS=scope, READ_TICKETS=scope)
    for place in (MINE, TEAMS, QUEUES, ELSEWHERE, Place()):
        assert who.reaches(Permission.WRITE_CUSTOMERS, place) == (place in reached)
        assert who.sees("ticket", place) == (place in reached)
        refused = not_allowed(who, RENAME, place)
        assert (refused is None) == (place in reached)
        assert refused in (None, NotAllowed(permission="WRITE_CUSTOMERS"))


def test_without_a_permission_nothing_is_reached() -> None:
    nobody = Authority(actor="nobody")
    for command in NEEDS:
        assert not nobody.has(NEEDS[command])
    assert not_allowed(nobody, RENAME) is not None
    assert not_allowed(somebody(READ_CUSTOMERS=Scope.ALL), RENAME, MINE) is not None
    assert not any(nobody.sees(kind, MINE) for kind in catalogue.deciders)


def test_somebody_without_a_record_of_the_company_s_people_owns_nothing() -> None:
    token = Authority(actor="token:x", grants={Permission.READ_CUSTOMERS: Scope.TEAM})
    assert not token.sees("customer", Place())
    assert not token.sees("customer", MINE)


def test_every_command_needs_something_and_the_house_may_do_all() -> None:
    assert set(NEEDS) == set(catalogue.by_command)
    assert set(READS) <= set(catalogue.deciders)
    assert not [command for command in NEEDS if not unlimited("house").reaches(NEEDS[command], Place())]


def test_a_copy_of_everything_takes_amounts_too() -> None:
    everybody_s = {"READ_CUSTOMERS": Scope.ALL, "UNMASK_PERSONAL_DATA": Scope.ALL}
    poor, rich = somebody(**everybody_s), somebody(**everybody_s, SEE_AMOUNTS=Scope.ALL)
    export = ExportCustomerPersonalData(id=ME, export=ME, reason="She asks")
    for place in (ELSEWHERE, None):
        assert not_allowed(poor, export, place) == NotAllowed(permission="SEE_AMOUNTS")
        assert not_allowed(rich, export, place) is None
        on_behalf = not_allowed(replace(rich, acting_for=poor), export, place)
        assert on_behalf == NotAllowedOnBehalf(permission="SEE_AMOUNTS")


def test_the_most_permissive_role_wins() -> None:
    reps, agents = (next(role for role in READY if role.key == key) for key in ("sales_rep", "support_agent"))
    found = widest((*reps.grants, *agents.grants, Grant(Permission.CONFIGURE, Scope.OWN)))
    assert found[Permission.READ_CUSTOMERS] is Scope.ALL
    assert found[Permission.READ_TICKETS] is Scope.TEAM
    assert found[Permission.WRITE_CUSTOMERS] is Scope.OWN


def test_who_would_lose_a_new_record_looks_after_it() -> None:
    rep = somebody(READ_CUSTOMERS=Scope.TEAM, REGISTER_CUSTOMERS=Scope.OWN)
    assert looked_after_by(rep, "customer", RegisterCustomer, ()) == ("owner", ME)
    assert looked_after_by(rep, "customer", RegisterCustomer, ("team",)) is None
    agent = somebody(READ_TICKETS=Scope.QUEUE, OPEN_TICKETS=Scope.ALL)
    assert looked_after_by(agent, "ticket", OpenTicket, ("customer",)) == ("assignee", ME)
    assert looked_after_by(agent, "ticket", OpenTicket, ("queue",)) is None
    assert looked_after_by(unlimited("house"), "ticket", OpenTicket, ()) is None
    # On behalf of somebody, it is theirs.
    for caller in (unlimited("token:x"), replace(rep, staff_member=OTHER)):
        assert looked_after_by(replace(caller, acting_for=rep), "customer", RegisterCustomer, ()) == ("owner", ME)
    assert looked_after_by(replace(rep, acting_for=unlimited("x")), "customer", RegisterCustomer, ()) == ("owner", ME)


@given(caller=AUTHORITIES, person=AUTHORITIES, place=st.sampled_from((MINE, TEAMS, QUEUES, ELSEWHERE, Place())))
def test_on_behalf_of_somebody_no_more_is_allowed_than_either_may(
    caller: Authority, person: Authority, place: Place
) -> None:
    both = replace(caller, acting_for=person)
    for where in (place, None):
        own, theirs = not_allowed(caller, RENAME, where), not_allowed(person, RENAME, where)
        expected = NotAllowedOnBehalf(permission="WRITE_CUSTOMERS") if theirs else None
        assert not_allowed(both, RENAME, where) == (own or expected)
    for kind in catalogue.deciders:
        assert both.sees(kind, place) == (caller.sees(kind, place) and person.sees(kind, place))
