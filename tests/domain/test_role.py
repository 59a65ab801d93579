from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.access import NEEDS
from domain.catalogue import catalogue
from domain.kernel import Claim, Known
from domain.kernel.permissions import SCOPELESS, Grant, Permission, PermissionRepeated, Scope, ScopeMustBeAll
from domain.ready_roles import READY
from domain.role import (
    ChangeRoleGrants,
    DefineRole,
    DescribeRole,
    RenameRole,
    RestoreRole,
    RetireRole,
    RoleCommand,
    RoleDefined,
    RoleDescribed,
    RoleGrantsChanged,
    RoleIsRetired,
    RoleNameTaken,
    RoleRenamed,
    RoleRestored,
    RoleRetired,
    role,
)
from domain.staff_member import ChangeStaffMemberEmail, GrantRole, ReactivateStaffMember, RevokeRole
from tests.domain.scenario import NOW, Scenario, lived

given = Scenario(role)

ID = UUID(int=1)
READ = Grant(Permission.READ_CUSTOMERS, Scope.TEAM)
WRITE = Grant(Permission.WRITE_CUSTOMERS, Scope.OWN)
AMOUNTS = Grant(Permission.SEE_AMOUNTS, Scope.ALL)

defined = RoleDefined(name="Rep", description="Sells.", grants=(READ, WRITE))
retired = RoleRetired()


def test_a_role_is_defined_with_its_grants_in_order() -> None:
    given().when(DefineRole(id=ID, name="Rep", description="Sells.", grants=(WRITE, READ))).then(defined)


def test_it_is_renamed_and_described() -> None:
    given(defined).when(RenameRole(id=ID, name="Seller")).then(RoleRenamed(old="Rep", new="Seller"))
    given(defined).when(RenameRole(id=ID, name="Rep")).then()
    given(defined).when(DescribeRole(id=ID, description=None)).then(RoleDescribed(old="Sells.", new=None))
    given(defined).when(DescribeRole(id=ID, description="Sells.")).then()


def test_what_it_allows_is_changed() -> None:
    changed = RoleGrantsChanged(old=(READ, WRITE), new=(READ, AMOUNTS))
    given(defined).when(ChangeRoleGrants(id=ID, grants=(AMOUNTS, READ))).then(changed)


def test_the_same_grants_in_another_order_change_nothing() -> None:
    given(defined).when(ChangeRoleGrants(id=ID, grants=(WRITE, READ))).then()


def test_no_permission_stands_there_twice() -> None:
    twice = (READ, WRITE, Grant(Permission.READ_CUSTOMERS, Scope.ALL))
    rule = PermissionRepeated(path=("grants", 2, "permission"), permission="READ_CUSTOMERS")
    given().when(DefineRole(id=ID, name="Rep", grants=twice)).refused(rule)
    given(defined).when(ChangeRoleGrants(id=ID, grants=twice)).refused(rule)


def test_what_is_not_about_single_records_holds_everywhere_or_nowhere() -> None:
    for permission in Permission:
        asked = given().when(DefineRole(id=ID, name="Rep", grants=(Grant(permission, Scope.TEAM),)))
        if permission in SCOPELESS:
            asked.refused(ScopeMustBeAll(path=("grants", 0, "scope"), permission=permission.name))
        else:
            asked.then(RoleDefined(name="Rep", description=None, grants=(Grant(permission, Scope.TEAM),)))


def test_it_is_retired_and_restored() -> None:
    given(defined).when(RetireRole(id=ID)).then(retired)
    given(defined, retired).when(RestoreRole(id=ID)).then(RoleRestored())
    given(defined).when(RestoreRole(id=ID)).then()


def test_a_retired_role_refuses_changes() -> None:
    for command in (
        RenameRole(id=ID, name="Seller"),
        DescribeRole(id=ID, description=None),
        ChangeRoleGrants(id=ID, grants=(READ,)),
    ):
        given(defined, retired).when(command).refused(RoleIsRetired())


def test_active_roles_have_names_of_their_own() -> None:
    name = Claim("role_name", "rep")
    assert role.claims(given(defined).state) == {name}
    assert role.claims(given(defined, retired).state) == set()
    assert role.taken(DefineRole(id=ID, name="Rep", grants=(READ,)), name) == RoleNameTaken(path=("name",))
    assert role.taken(RenameRole(id=ID, name="Rep"), name) == RoleNameTaken(path=("name",))
    assert role.taken(RestoreRole(id=ID), name) == RoleNameTaken()


def test_others_know_whether_it_is_active() -> None:
    assert role.standing(given(defined).state).active
    assert not role.standing(given(defined, retired).state).active
    assert not role.standing(given().state).active


def test_the_ready_roles_break_no_rule() -> None:
    assert len({one.name.casefold() for one in READY}) == len({one.key for one in READY}) == len(READY)
    for one in READY:
        command = DefineRole(id=ID, name=one.name, description=one.description, grants=one.grants)
        assert len(role.decide(role.initial, command, Known(now=NOW))) == 1


def test_whatever_gives_somebody_access_takes_the_permission_to_manage_it() -> None:
    managing = {each for each, permission in NEEDS.items() if permission is Permission.MANAGE_ACCESS}
    kinds = ("role", "api_token")
    expected = {each for kind in kinds for each in catalogue.deciders[kind].commands.values()}
    assert managing == expected | {GrantRole, RevokeRole, ChangeStaffMemberEmail, ReactivateStaffMember}


grants = st.lists(st.builds(Grant, st.sampled_from(Permission), st.sampled_from(Scope)), min_size=1, max_size=3)
names, texts = st.sampled_from(["Rep", "Lead"]), st.sampled_from(["Sells.", None])
commands = st.one_of(
    st.builds(DefineRole, id=st.just(ID), name=names, description=texts, grants=grants.map(tuple)),
    st.builds(RenameRole, id=st.just(ID), name=names),
    st.builds(DescribeRole, id=st.just(ID), description=texts),
    st.builds(ChangeRoleGrants, id=st.just(ID), grants=grants.map(tuple)),
    st.builds(RetireRole, id=st.just(ID)),
    st.builds(RestoreRole, id=st.just(ID)),
)


@for_all(st.lists(commands, max_size=12))
def test_whatever_is_asked_each_permission_has_one_scope(asked: list[RoleCommand]) -> None:
    events = lived(role, [DefineRole(id=ID, name="Rep", grants=(READ,)), *asked], Known(now=NOW))
    held = role.fold(events).grants
    assert len({grant.permission for grant in held}) == len(held) > 0
