from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Known, Standing, TeamNotActive
from domain.queue import (
    ArchiveQueue,
    AssignQueueTeam,
    CreateQueue,
    QueueArchived,
    QueueCommand,
    QueueCreated,
    QueueIsArchived,
    QueueRenamed,
    QueueRestored,
    QueueTeamAssigned,
    RenameQueue,
    RestoreQueue,
    queue,
)
from tests.domain.scenario import NOW, Scenario, lived

given = Scenario(queue)

ID, TEAM, OLD_TEAM = UUID(int=1), UUID(int=2), UUID(int=3)
STANDINGS = {TEAM: Standing(kind="team"), OLD_TEAM: Standing(kind="team", active=False)}

created = QueueCreated(name="Returns", team=None)
archived = QueueArchived()


def test_a_queue_is_created() -> None:
    given().when(CreateQueue(id=ID, name="Returns")).then(created)


def test_a_queue_is_renamed() -> None:
    given(created).when(RenameQueue(id=ID, name="Claims")).then(QueueRenamed(old="Returns", new="Claims"))


def test_the_same_name_changes_nothing() -> None:
    given(created).when(RenameQueue(id=ID, name="Returns")).then()


def test_a_team_takes_the_queue_and_leaves_it() -> None:
    taken = QueueTeamAssigned(old=None, new=TEAM)
    given(created).knowing(STANDINGS).when(AssignQueueTeam(id=ID, team=TEAM)).then(taken)
    given(created, taken).when(AssignQueueTeam(id=ID, team=None)).then(QueueTeamAssigned(old=TEAM, new=None))


def test_an_archived_team_takes_no_queue() -> None:
    rule = TeamNotActive(path=("team",))
    given(created).knowing(STANDINGS).when(AssignQueueTeam(id=ID, team=OLD_TEAM)).refused(rule)
    given().knowing(STANDINGS).when(CreateQueue(id=ID, name="Returns", team=OLD_TEAM)).refused(rule)


def test_the_same_team_changes_nothing_archived_or_not() -> None:
    theirs = QueueCreated(name="Returns", team=OLD_TEAM)
    given(theirs).knowing(STANDINGS).when(AssignQueueTeam(id=ID, team=OLD_TEAM)).then()


def test_a_queue_is_archived_and_restored() -> None:
    given(created).when(ArchiveQueue(id=ID)).then(archived)
    given(created, archived).when(RestoreQueue(id=ID)).then(QueueRestored())
    given(created).when(RestoreQueue(id=ID)).then()


def test_an_archived_queue_refuses_changes() -> None:
    given(created, archived).when(RenameQueue(id=ID, name="Claims")).refused(QueueIsArchived())
    given(created, archived).when(AssignQueueTeam(id=ID, team=None)).refused(QueueIsArchived())


def test_others_know_whether_it_is_active() -> None:
    assert queue.standing(given(created).state) == Standing(kind="queue")
    assert not queue.standing(given(created, archived).state).active
    assert not queue.standing(given().state).active


teams = st.sampled_from([TEAM, OLD_TEAM, None])
names = st.sampled_from(["Returns", "Claims"])
commands = st.one_of(
    st.builds(CreateQueue, id=st.just(ID), name=names, team=teams),
    st.builds(RenameQueue, id=st.just(ID), name=names),
    st.builds(AssignQueueTeam, id=st.just(ID), team=teams),
    st.builds(ArchiveQueue, id=st.just(ID)),
    st.builds(RestoreQueue, id=st.just(ID)),
)


@for_all(st.lists(commands, max_size=12))
def test_whatever_is_asked_no_archived_team_gets_a_queue(asked: list[QueueCommand]) -> None:
    events = lived(queue, [CreateQueue(id=ID, name="Returns"), *asked], Known(now=NOW, standings=STANDINGS))
    assert queue.fold(events).team != OLD_TEAM
