"""Pipeline: unique stage names, one active stage at least, a retired stage takes no more deals."""

from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import Known, PipelineStage, Standing
from domain.pipeline import (
    AddPipelineStage,
    ArchivePipeline,
    ChangePipelineStage,
    DefinePipeline,
    ForecastCategory,
    LastStage,
    NewStage,
    PipelineArchived,
    PipelineCommand,
    PipelineDefined,
    PipelineIsArchived,
    PipelineRenamed,
    PipelineRestored,
    PipelineStageAdded,
    PipelineStageChanged,
    PipelineStageRetired,
    PipelineStagesReordered,
    RenamePipeline,
    ReorderPipelineStages,
    RestorePipeline,
    RetirePipelineStage,
    Stage,
    StageNameTaken,
    StageOrderIncomplete,
    StageTerms,
    StageUnknown,
    TooManyStages,
    pipeline,
)
from tests.domain.scenario import NOW, Scenario, lived

ID, PROSPECTING, ENGAGING, PILOT = UUID(int=1), UUID(int=11), UUID(int=12), UUID(int=13)
given = Scenario(pipeline)


def stage(id: UUID, name: str, probability: int = 10) -> Stage:
    return Stage(
        stage=id, name=name, probability=Decimal(probability), category=ForecastCategory.PIPELINE, idle_days=None
    )


def new_stage(id: UUID, name: str, probability: int = 10) -> NewStage:
    return NewStage(stage=id, name=name, probability=Decimal(probability))


prospecting, engaging, pilot = stage(PROSPECTING, "Prospecting"), stage(ENGAGING, "Engaging", 40), stage(PILOT, "Pilot")
defined = PipelineDefined(name="Sales", currency="USD", stages=(prospecting, engaging))
retired = PipelineStageRetired(stage=PROSPECTING, order=(ENGAGING,))
add_pilot = AddPipelineStage(id=ID, stage=PILOT, name="Pilot", probability=Decimal(10))


def test_a_pipeline_is_defined_with_its_stages() -> None:
    stages = (new_stage(PROSPECTING, "Prospecting"), new_stage(ENGAGING, "Engaging", 40))
    given().when(DefinePipeline(id=ID, name="Sales", currency="USD", stages=stages)).then(defined)


def test_stage_names_are_unique_whatever_their_case() -> None:
    stages = (new_stage(PROSPECTING, "Pilot"), new_stage(ENGAGING, "PILOT"), new_stage(PILOT, "pilot"))
    given().when(DefinePipeline(id=ID, name="Sales", stages=stages)).refused(
        StageNameTaken(name="PILOT", path=("stages", 1, "name")),
        StageNameTaken(name="pilot", path=("stages", 2, "name")),
    )
    given(defined).when(AddPipelineStage(id=ID, stage=PILOT, name="engaging", probability=Decimal(1))).refused(
        StageNameTaken(name="engaging", path=("name",))
    )
    given(defined).when(ChangePipelineStage(id=ID, stage=PROSPECTING, name="ENGAGING")).refused(
        StageNameTaken(name="ENGAGING", path=("name",))
    )


def test_a_stage_may_change_the_case_of_its_own_name() -> None:
    old = StageTerms(name="Engaging", probability=Decimal(40), category=ForecastCategory.PIPELINE, idle_days=None)
    new = StageTerms(name="ENGAGING", probability=Decimal(40), category=ForecastCategory.PIPELINE, idle_days=None)
    command = ChangePipelineStage(id=ID, stage=ENGAGING, name="ENGAGING")
    given(defined).when(command).then(PipelineStageChanged(stage=ENGAGING, old=old, new=new))


def test_the_name_of_a_retired_stage_is_free_again() -> None:
    again = AddPipelineStage(id=ID, stage=PILOT, name="Prospecting", probability=Decimal(10))
    event = PipelineStageAdded(added=stage(PILOT, "Prospecting"), order=(ENGAGING, PILOT))
    given(defined, retired).when(again).then(event)


@pytest.mark.parametrize("name", ["PROSPECTING", "Engaging"])
def test_a_retired_stage_takes_any_name(name: str) -> None:
    named = PipelineStageAdded(added=stage(PILOT, "Prospecting"), order=(ENGAGING, PILOT))
    old = StageTerms(name="Prospecting", probability=Decimal(10), category=ForecastCategory.PIPELINE, idle_days=None)
    changed = PipelineStageChanged(stage=PROSPECTING, old=old, new=msgspec.structs.replace(old, name=name))
    command = ChangePipelineStage(id=ID, stage=PROSPECTING, name=name)
    given(defined, retired, named).when(command).then(changed)


def test_a_stage_is_added_last_or_before_another() -> None:
    last = PipelineStageAdded(added=pilot, order=(PROSPECTING, ENGAGING, PILOT))
    given(defined).when(add_pilot).then(last)
    before = AddPipelineStage(id=ID, stage=PILOT, name="Pilot", probability=Decimal(10), before=ENGAGING)
    event = PipelineStageAdded(added=pilot, order=(PROSPECTING, PILOT, ENGAGING))
    given(defined).when(before).then(event)
    assert given(defined, event).state.stages == (prospecting, pilot, engaging)


def test_a_stage_is_not_added_before_one_that_is_not_active() -> None:
    before = AddPipelineStage(id=ID, stage=PILOT, name="Pilot", probability=Decimal(10), before=PROSPECTING)
    given(defined, retired).when(before).refused(StageUnknown(path=("before",)))


def test_a_pipeline_has_thirty_active_stages_at_most() -> None:
    many = tuple(stage(UUID(int=100 + n), f"Stage {n}") for n in range(30))
    full = PipelineDefined(name="Long", currency=None, stages=many)
    given(full).when(add_pilot).refused(TooManyStages(most=30))


def test_a_stage_changes_what_is_named_and_keeps_the_rest() -> None:
    old = StageTerms(name="Engaging", probability=Decimal(40), category=ForecastCategory.PIPELINE, idle_days=None)
    new = StageTerms(name="Engaging", probability=Decimal(55), category=ForecastCategory.COMMIT, idle_days=14)
    changed = PipelineStageChanged(stage=ENGAGING, old=old, new=new)
    command = ChangePipelineStage(
        id=ID, stage=ENGAGING, probability=Decimal(55), category=ForecastCategory.COMMIT, idle_days=14
    )
    given(defined).when(command).then(changed)
    back = PipelineStageChanged(
        stage=ENGAGING,
        old=new,
        new=StageTerms(name="Engaging", probability=Decimal(55), category=ForecastCategory.COMMIT, idle_days=None),
    )
    given(defined, changed).when(ChangePipelineStage(id=ID, stage=ENGAGING, idle_days=None)).then(back)
    given(defined).when(ChangePipelineStage(id=ID, stage=ENGAGING)).then()
    given(defined).when(ChangePipelineStage(id=ID, stage=PILOT)).refused(StageUnknown(path=("stage",)))


def test_stages_are_reordered_all_of_them() -> None:
    turned = PipelineStagesReordered(old=(PROSPECTING, ENGAGING), new=(ENGAGING, PROSPECTING))
    given(defined).when(ReorderPipelineStages(id=ID, stages=(ENGAGING, PROSPECTING))).then(turned)
    given(defined).when(ReorderPipelineStages(id=ID, stages=(PROSPECTING, ENGAGING))).then()
    for stages in ((ENGAGING,), (ENGAGING, ENGAGING), (ENGAGING, PROSPECTING, PILOT)):
        given(defined).when(ReorderPipelineStages(id=ID, stages=stages)).refused(StageOrderIncomplete(path=("stages",)))


def test_a_stage_is_retired_but_the_last_one_stays() -> None:
    given(defined).when(RetirePipelineStage(id=ID, stage=PROSPECTING)).then(retired)
    given(defined, retired).when(RetirePipelineStage(id=ID, stage=ENGAGING)).refused(LastStage(path=("stage",)))
    given(defined).when(RetirePipelineStage(id=ID, stage=PILOT)).refused(StageUnknown(path=("stage",)))


def test_a_pipeline_is_renamed() -> None:
    given(defined).when(RenamePipeline(id=ID, name="New")).then(PipelineRenamed(old="Sales", new="New"))
    given(defined).when(RenamePipeline(id=ID, name="Sales")).then()


def test_a_pipeline_is_archived_and_restored() -> None:
    given(defined).when(ArchivePipeline(id=ID)).then(PipelineArchived())
    given(defined, PipelineArchived()).when(RestorePipeline(id=ID)).then(PipelineRestored())
    given(defined).when(RestorePipeline(id=ID)).then()


def test_an_archived_pipeline_does_not_change() -> None:
    archived = given(defined, PipelineArchived())
    archived.when(RenamePipeline(id=ID, name="New")).refused(PipelineIsArchived())
    archived.when(add_pilot).refused(PipelineIsArchived())
    archived.when(ChangePipelineStage(id=ID, stage=ENGAGING, name="x")).refused(PipelineIsArchived())
    archived.when(ChangePipelineStage(id=ID, stage=PILOT)).refused(PipelineIsArchived(), StageUnknown(path=("stage",)))
    archived.when(ReorderPipelineStages(id=ID, stages=(ENGAGING, PROSPECTING))).refused(PipelineIsArchived())
    archived.when(RetirePipelineStage(id=ID, stage=ENGAGING)).refused(PipelineIsArchived())


def test_others_see_the_active_stages() -> None:
    seen = (PipelineStage(id=ENGAGING, name="Engaging", probability=Decimal(40)),)
    assert pipeline.standing(given(defined, retired).state) == Standing(kind="pipeline", stages=seen, currency="USD")
    assert not pipeline.standing(given(defined, PipelineArchived()).state).active


ids = st.sampled_from([UUID(int=n) for n in range(10, 18)])
names = st.sampled_from(["A", "a", "B", "C", "D"])
percents = st.decimals(0, 100, places=2)
later: st.SearchStrategy[PipelineCommand] = st.one_of(
    st.builds(AddPipelineStage, id=st.just(ID), stage=ids, name=names, probability=percents, before=st.none() | ids),
    st.builds(ChangePipelineStage, id=st.just(ID), stage=ids, name=names, probability=percents),
    st.builds(ReorderPipelineStages, id=st.just(ID), stages=st.lists(ids, max_size=4).map(tuple)),
    st.builds(RetirePipelineStage, id=st.just(ID), stage=ids),
    st.builds(ArchivePipeline, id=st.just(ID)),
    st.builds(RestorePipeline, id=st.just(ID)),
    st.builds(RenamePipeline, id=st.just(ID), name=names),
)


@for_all(st.lists(later, max_size=25))
def test_whatever_happens_one_stage_is_active_and_names_are_unique(commands: list[PipelineCommand]) -> None:
    define = DefinePipeline(id=ID, name="Sales", stages=(new_stage(UUID(int=10), "A"), new_stage(UUID(int=11), "B")))
    state = pipeline.fold(lived(pipeline, [define, *commands], Known(now=NOW)))
    active = [each.name.casefold() for each in state.stages]
    assert active
    assert len(active) == len(set(active))
    assert not {each.stage for each in state.stages} & {each.stage for each in state.retired}
