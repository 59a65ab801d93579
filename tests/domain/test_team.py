from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Claim, ExternalId, Known, StaffNotActive, Standing, TeamNotActive
from domain.kernel.fields import TooManyItems
from domain.team import (
    AddTeamExternalId,
    ArchiveTeam,
    AssignTeamLead,
    CreateTeam,
    RenameTeam,
    RestoreTeam,
    TeamArchived,
    TeamCommand,
    TeamCreated,
    TeamExternalIdAdded,
    TeamExternalIdTaken,
    TeamIsArchived,
    TeamLeadAssigned,
    TeamRenamed,
    TeamRestored,
    team,
)
from tests.domain.scenario import NOW, Scenario, lived

given = Scenario(team)

ID, PARENT, OLD_TEAM, LEAD, LEFT = (UUID(int=n) for n in range(1, 6))
STANDINGS = {
    PARENT: Standing(kind="team"),
    OLD_TEAM: Standing(kind="team", active=False),
    LEAD: Standing(kind="staff_member"),
    LEFT: Standing(kind="staff_member", active=False),
}
KNOWN_AS = ExternalId(source="erp", id="T-7")

created = TeamCreated(name="Central", parent=PARENT, lead=LEAD, external_ids=(KNOWN_AS,))
plain = TeamCreated(name="Central", parent=None, lead=None, external_ids=())
archived = TeamArchived()


def test_a_team_is_created() -> None:
    command = CreateTeam(id=ID, name="Central", parent=PARENT, lead=LEAD, external_ids=(KNOWN_AS, KNOWN_AS))
    given().knowing(STANDINGS).when(command).then(created)


def test_every_fault_of_a_new_team_is_named() -> None:
    command = CreateTeam(id=ID, name="Central", parent=OLD_TEAM, lead=LEFT)
    given().knowing(STANDINGS).when(command).refused(
        TeamNotActive(path=("parent",)),
        StaffNotActive(path=("lead",)),
    )


def test_a_team_is_renamed() -> None:
    given(plain).when(RenameTeam(id=ID, name="East")).then(TeamRenamed(old="Central", new="East"))
    given(plain).when(RenameTeam(id=ID, name="Central")).then()


def test_a_lead_is_assigned_and_taken_away() -> None:
    led = TeamLeadAssigned(old=None, new=LEAD)
    given(plain).knowing(STANDINGS).when(AssignTeamLead(id=ID, lead=LEAD)).then(led)
    given(plain, led).when(AssignTeamLead(id=ID, lead=None)).then(TeamLeadAssigned(old=LEAD, new=None))


def test_who_left_leads_no_team() -> None:
    given(plain).knowing(STANDINGS).when(AssignTeamLead(id=ID, lead=LEFT)).refused(StaffNotActive(path=("lead",)))


def test_the_same_lead_changes_nothing_gone_or_not() -> None:
    led = TeamLeadAssigned(old=None, new=LEFT)
    given(plain, led).knowing(STANDINGS).when(AssignTeamLead(id=ID, lead=LEFT)).then()


def test_an_external_id_is_added_once() -> None:
    command = AddTeamExternalId(id=ID, source="erp", external_id="T-7")
    given(plain).when(command).then(TeamExternalIdAdded(external_id=KNOWN_AS))
    given(created).when(command).then()


def test_an_external_id_too_many_is_refused() -> None:
    full = [TeamExternalIdAdded(external_id=ExternalId(source="erp", id=str(n))) for n in range(20)]
    given(plain, *full).when(AddTeamExternalId(id=ID, source="erp", external_id="x")).refused(
        TooManyItems(path=("external_id",), count=21, most=20),
    )


def test_a_team_is_archived_and_restored() -> None:
    given(plain).when(ArchiveTeam(id=ID)).then(archived)
    given(plain, archived).when(RestoreTeam(id=ID)).then(TeamRestored())
    given(plain).when(RestoreTeam(id=ID)).then()


@pytest.mark.parametrize(
    "command",
    [
        RenameTeam(id=ID, name="East"),
        AssignTeamLead(id=ID, lead=None),
        AddTeamExternalId(id=ID, source="erp", external_id="T-7"),
    ],
)
def test_an_archived_team_refuses_changes(command: TeamCommand) -> None:
    given(plain, archived).when(command).refused(TeamIsArchived())


def test_external_ids_stay_claimed_while_archived() -> None:
    claim = Claim("team_external_id", "erp:T-7")
    assert team.claims(given(created, archived).state) == {claim}
    command = CreateTeam(id=ID, name="X", external_ids=(ExternalId(source="erp", id="T-1"), KNOWN_AS))
    assert team.taken(command, claim) == TeamExternalIdTaken(path=("external_ids", 1, "id"))
    added = AddTeamExternalId(id=ID, source="erp", external_id="T-7")
    assert team.taken(added, claim) == TeamExternalIdTaken(path=("external_id",))


def test_others_know_whether_it_is_active_and_its_parent() -> None:
    assert team.standing(given(created).state) == Standing(kind="team", parent=PARENT)
    assert not team.standing(given(plain, archived).state).active
    assert not team.standing(given().state).active


names, leads = st.sampled_from(["Central", "East"]), st.sampled_from([LEAD, LEFT, None])
commands = st.one_of(
    st.builds(CreateTeam, id=st.just(ID), name=names, parent=st.sampled_from([PARENT, OLD_TEAM, None]), lead=leads),
    st.builds(RenameTeam, id=st.just(ID), name=names),
    st.builds(AssignTeamLead, id=st.just(ID), lead=leads),
    st.builds(AddTeamExternalId, id=st.just(ID), source=st.just("erp"), external_id=st.sampled_from("abc")),
    st.builds(ArchiveTeam, id=st.just(ID)),
    st.builds(RestoreTeam, id=st.just(ID)),
)


@for_all(st.lists(commands, max_size=12))
def test_whatever_is_asked_nobody_who_left_leads(asked: list[TeamCommand]) -> None:
    events = lived(team, [CreateTeam(id=ID, name="Central"), *asked], Known(now=NOW, standings=STANDINGS))
    assert team.fold(events).lead in (LEAD, None)
