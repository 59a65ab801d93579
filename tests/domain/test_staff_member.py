from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Claim, ExternalId, Known, Standing, TeamNotActive, Withheld
from domain.kernel.fields import TooManyItems
from domain.staff_member import (
    AddStaffMemberExternalId,
    ChangeStaffMemberEmail,
    DeactivateStaffMember,
    GrantRole,
    JoinTeam,
    ReactivateStaffMember,
    RegisterStaffMember,
    RenameStaffMember,
    RevokeRole,
    RoleNotActive,
    StaffEmailTaken,
    StaffExternalIdTaken,
    StaffMemberCommand,
    StaffMemberDeactivated,
    StaffMemberEmailChanged,
    StaffMemberExternalIdAdded,
    StaffMemberIsDeactivated,
    StaffMemberReactivated,
    StaffMemberRegistered,
    StaffMemberRenamed,
    StaffMemberRoleGranted,
    StaffMemberRoleRevoked,
    StaffMemberTeamChanged,
    staff_member,
)
from tests.domain.scenario import NOW, Scenario, lived, withhold

given = Scenario(staff_member)

ID, TEAM, OLD_TEAM, ROLE, OLD_ROLE = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), UUID(int=5)
STANDINGS = {
    TEAM: Standing(kind="team"),
    OLD_TEAM: Standing(kind="team", active=False),
    ROLE: Standing(kind="role"),
    OLD_ROLE: Standing(kind="role", active=False),
}
KNOWN_AS = ExternalId(source="maven", id="Zoë Müller")

registered = StaffMemberRegistered(
    name="Zoë Müller",
    email="Zoe@Example.com",
    normalised_email="zoe@example.com",
    team=TEAM,
    external_ids=(KNOWN_AS,),
)
plain = StaffMemberRegistered(name="Zoë Müller", email=None, normalised_email=None, team=None, external_ids=())
deactivated = StaffMemberDeactivated()


def test_a_staff_member_is_registered() -> None:
    command = RegisterStaffMember(
        id=ID,
        name="Zoë Müller",
        email="Zoe@Example.com",
        normalised_email="zoe@example.com",
        team=TEAM,
        external_ids=(KNOWN_AS, KNOWN_AS),
    )
    given().knowing(STANDINGS).when(command).then(registered)


def test_nobody_is_registered_in_a_team_that_is_no_more() -> None:
    command = RegisterStaffMember(id=ID, name="Zoë Müller", team=OLD_TEAM)
    given().knowing(STANDINGS).when(command).refused(TeamNotActive(path=("team",)))


def test_a_staff_member_is_renamed() -> None:
    renamed = StaffMemberRenamed(old="Zoë Müller", new="Zoë Meier")
    given(plain).when(RenameStaffMember(id=ID, name="Zoë Meier")).then(renamed)
    given(plain).when(RenameStaffMember(id=ID, name="Zoë Müller")).then()


def test_an_email_changes_and_goes() -> None:
    changed = StaffMemberEmailChanged(old=None, new="Z@Example.com", normalised_email="z@example.com")
    given(plain).when(ChangeStaffMemberEmail(id=ID, email="Z@Example.com")).then(changed)
    gone = StaffMemberEmailChanged(old="Z@Example.com", new=None, normalised_email=None)
    given(plain, changed).when(ChangeStaffMemberEmail(id=ID, email=None)).then(gone)
    assert staff_member.claims(given(plain, changed, gone).state) == frozenset()


def test_a_staff_member_joins_a_team_and_leaves_it() -> None:
    joined = StaffMemberTeamChanged(old=None, new=TEAM)
    given(plain).knowing(STANDINGS).when(JoinTeam(id=ID, team=TEAM)).then(joined)
    given(plain, joined).when(JoinTeam(id=ID, team=None)).then(StaffMemberTeamChanged(old=TEAM, new=None))


def test_nobody_joins_an_archived_team() -> None:
    given(plain).knowing(STANDINGS).when(JoinTeam(id=ID, team=OLD_TEAM)).refused(TeamNotActive(path=("team",)))


def test_the_same_team_changes_nothing_archived_or_not() -> None:
    joined = StaffMemberTeamChanged(old=None, new=OLD_TEAM)
    given(plain, joined).knowing(STANDINGS).when(JoinTeam(id=ID, team=OLD_TEAM)).then()


def test_an_external_id_is_added_once() -> None:
    command = AddStaffMemberExternalId(id=ID, source="maven", external_id="Zoë Müller")
    given(plain).when(command).then(StaffMemberExternalIdAdded(external_id=KNOWN_AS))
    given(registered).when(command).then()


def test_an_external_id_too_many_is_refused() -> None:
    full = [StaffMemberExternalIdAdded(external_id=ExternalId(source="erp", id=str(n))) for n in range(20)]
    given(plain, *full).when(AddStaffMemberExternalId(id=ID, source="erp", external_id="x")).refused(
        TooManyItems(path=("external_id",), count=21, most=20),
    )


def test_a_staff_member_is_deactivated_and_reactivated() -> None:
    given(plain).when(DeactivateStaffMember(id=ID)).then(deactivated)
    given(plain, deactivated).when(ReactivateStaffMember(id=ID)).then(StaffMemberReactivated())
    given(plain).when(ReactivateStaffMember(id=ID)).then()


def test_a_role_is_granted_and_revoked() -> None:
    granted = StaffMemberRoleGranted(role=ROLE)
    given(plain).knowing(STANDINGS).when(GrantRole(id=ID, role=ROLE)).then(granted)
    given(plain, granted).when(RevokeRole(id=ID, role=ROLE)).then(StaffMemberRoleRevoked(role=ROLE))
    given(plain).when(RevokeRole(id=ID, role=ROLE)).then()


def test_a_retired_role_is_not_granted_but_it_is_revoked() -> None:
    granted = StaffMemberRoleGranted(role=OLD_ROLE)
    given(plain).knowing(STANDINGS).when(GrantRole(id=ID, role=OLD_ROLE)).refused(RoleNotActive(path=("role",)))
    revoked = StaffMemberRoleRevoked(role=OLD_ROLE)
    given(plain, granted).knowing(STANDINGS).when(RevokeRole(id=ID, role=OLD_ROLE)).then(revoked)


def test_a_role_too_many_is_refused() -> None:
    full = [StaffMemberRoleGranted(role=UUID(int=100 + n)) for n in range(20)]
    rule = TooManyItems(path=("role",), count=21, most=20)
    given(plain, *full).knowing(STANDINGS).when(GrantRole(id=ID, role=ROLE)).refused(rule)


def test_the_roles_of_a_deactivated_one_stay_until_they_are_revoked() -> None:
    granted, revoked = StaffMemberRoleGranted(role=ROLE), StaffMemberRoleRevoked(role=ROLE)
    given(plain, granted, deactivated).when(RevokeRole(id=ID, role=ROLE)).then(revoked)
    assert given(plain, granted, deactivated, StaffMemberReactivated()).state.roles == {ROLE}


@pytest.mark.parametrize(
    "command",
    [
        RenameStaffMember(id=ID, name="Zoë Meier"),
        ChangeStaffMemberEmail(id=ID, email=None),
        JoinTeam(id=ID, team=None),
        AddStaffMemberExternalId(id=ID, source="erp", external_id="7"),
        GrantRole(id=ID, role=ROLE),
    ],
)
def test_a_deactivated_one_refuses_changes(command: StaffMemberCommand) -> None:
    given(plain, deactivated).when(command).refused(StaffMemberIsDeactivated())


def test_an_email_is_claimed_while_active_and_an_external_id_for_ever() -> None:
    email, external_id = Claim("staff_email", "zoe@example.com"), Claim("staff_external_id", "maven:Zoë Müller")
    assert staff_member.claims(given(registered).state) == {email, external_id}
    assert staff_member.claims(given(registered, deactivated).state) == {external_id}


def test_what_is_withheld_is_not_claimed() -> None:
    assert staff_member.claims(given(withhold(registered, Withheld.ERASED)).state) == frozenset()


def test_who_claims_what_is_taken_learns_where() -> None:
    email, external_id = Claim("staff_email", "zoe@example.com"), Claim("staff_external_id", "maven:Zoë Müller")
    register = RegisterStaffMember(id=ID, name="Zoë", external_ids=(KNOWN_AS,))
    added = AddStaffMemberExternalId(id=ID, source="maven", external_id="Zoë Müller")
    assert staff_member.taken(register, email) == StaffEmailTaken(path=("email",))
    assert staff_member.taken(ReactivateStaffMember(id=ID), email) == StaffEmailTaken()
    assert staff_member.taken(register, external_id) == StaffExternalIdTaken(path=("external_ids", 0, "id"))
    assert staff_member.taken(added, external_id) == StaffExternalIdTaken(path=("external_id",))


def test_others_know_whether_it_is_active() -> None:
    assert staff_member.standing(given(plain).state) == Standing(kind="staff_member")
    assert not staff_member.standing(given(plain, deactivated).state).active
    assert not staff_member.standing(given().state).active


names, teams = st.sampled_from(["Zoë", "Ali"]), st.sampled_from([TEAM, OLD_TEAM, None])
emails = st.sampled_from(["a@example.com", "A@example.com", "b@example.com", None])
commands = st.one_of(
    st.builds(RegisterStaffMember, id=st.just(ID), name=names, email=emails, team=teams),
    st.builds(RenameStaffMember, id=st.just(ID), name=names),
    st.builds(ChangeStaffMemberEmail, id=st.just(ID), email=emails),
    st.builds(JoinTeam, id=st.just(ID), team=teams),
    st.builds(AddStaffMemberExternalId, id=st.just(ID), source=st.just("erp"), external_id=st.sampled_from("abc")),
    st.builds(GrantRole, id=st.just(ID), role=st.sampled_from([ROLE, OLD_ROLE])),
    st.builds(RevokeRole, id=st.just(ID), role=st.sampled_from([ROLE, OLD_ROLE])),
    st.builds(DeactivateStaffMember, id=st.just(ID)),
    st.builds(ReactivateStaffMember, id=st.just(ID)),
)


@for_all(st.lists(commands, max_size=12))
def test_whatever_is_asked_only_the_active_hold_one_email(asked: list[StaffMemberCommand]) -> None:
    first = RegisterStaffMember(id=ID, name="Zoë")
    events = lived(staff_member, [first, *asked], Known(now=NOW, standings=STANDINGS))
    state = staff_member.fold(events)
    emails_held = [claim for claim in staff_member.claims(state) if claim.scope == "staff_email"]
    assert len(emails_held) == (1 if state.active and state.email is not None else 0)
    assert state.team != OLD_TEAM
    assert state.roles <= {ROLE}
