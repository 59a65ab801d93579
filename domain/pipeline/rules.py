"""The rules that a command on a pipeline can break."""

from domain.kernel import Rule


class PipelineIsArchived(Rule):
    """The pipeline is archived; restore it first."""


class StageNameTaken(Rule):
    """Another active stage of this pipeline is called {name}, in upper or lower case; take another name."""

    name: str


class StageUnknown(Rule):
    """The pipeline has no active stage with this id."""


class LastStage(Rule):
    """This is the pipeline's last active stage; add another one first, or archive the pipeline."""


class TooManyStages(Rule):
    """The pipeline already has {most} active stages, which is the most it may have; retire one first."""

    most: int


class StageOrderIncomplete(Rule):
    """The order must name every active stage of the pipeline exactly once."""
