"""The tracer: every kind of record, with its model and its names."""

from collections.abc import Iterable, Iterator
from typing import Any

from api.reading.entities import Entities
from api.schema import make_schema
from api.tracing.naming import Names
from api.tracing.story import Step, steps
from domain.catalogue import catalogue
from domain.kernel.recorded import Recorded
from projections.registry import models


class Tracer:
    """Follows the fields of records."""

    def __init__(self, entities: Entities | None = None) -> None:
        """`entities`: of the schema; None: it is made here, which takes most of a second."""
        entities = entities or Entities(make_schema())
        kinds = dict(entities.nodes())
        self._models = {kind: model for model in models if model.kinds for kind in model.kinds}
        self._names = {
            kind: Names(entities, kinds[catalogue.prefixes[kind]], model) for kind, model in self._models.items()
        }

    def steps(self, kind: str, history: Iterable[Recorded[Any]]) -> Iterator[Step]:
        """Every change of a field of a record of this kind, whose entries these are."""
        return steps(self._models[kind], self._names[kind], history)

    def names(self, kind: str) -> Names:
        """Those of its fields."""
        return self._names[kind]
