"""What the library's Application asks of its infrastructure, answered by what the composition root has built."""

from typing import Any, NoReturn

from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory
from eventsourcing.utils import Environment


class BookFactory(InfrastructureFactory[Any]):
    """Gives the Application the recorder of the book. Daybook has no other recorders behind the library's doors."""

    def __init__(self, recorder: ApplicationRecorder) -> None:
        super().__init__(Environment("Daybook"))
        self._recorder = recorder

    def application_recorder(self) -> ApplicationRecorder:
        return self._recorder

    def aggregate_recorder(self, purpose: str = "events") -> NoReturn:
        raise NotImplementedError("folds are remembered in memory (domain/folds.py); there is no snapshot store")

    def tracking_recorder(self, tracking_recorder_class: type[Any] | None = None) -> NoReturn:
        raise NotImplementedError("projections track their positions themselves (projections/)")

    def process_recorder(self) -> NoReturn:
        raise NotImplementedError("projections write rows and positions themselves (projections/)")
