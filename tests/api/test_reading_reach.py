"""What the read models know can be asked: every column is read by some field, every relation leads both ways."""

from collections.abc import Iterator

from api.reading.entities import Entities
from api.reading.sources import Column, Expression, Many, Part, Relation, Rows, Values
from api.schema import the_schema
from projections.registry import models

OURS = {
    # Orders and keys of our own: nobody has to know them.
    ("customers", "registered_position"),
    ("opportunities", "registered_position"),
    ("tickets", "registered_position"),
    ("staff_members", "normalised_email"),
    ("customer_tags", "added_at"),
    ("customer_legal_holds", "placed_at"),
    # What the door alone compares with.
    ("api_tokens", "hash"),
    ("staff_members", "deactivation"),
}
ONE_WAY = {
    # From a part, whose record leads on: a line of a deal, a step of its way.
    "OpportunityLine.product",
    "StageChange.fromStage",
    "StageChange.stage",
    # Of an entry, whose changes are told of a record.
    "FieldChange.entry",
}


def _read(entities: Entities) -> Iterator[tuple[str, str]]:
    """Table and column of everything that a field shows, orders or joins by."""
    for entity in entities.by_name.values():
        if entity.rows is None or entity.rows.counted is not None:
            continue
        own = entity.rows.table.name
        for name, source in entity.sources.items():
            match source:
                case Column():
                    yield own, source.name
                    if source.sort:
                        yield own, source.sort
                case Relation():
                    yield own, source.column
                case Expression():
                    yield from ((own, column) for column in _in(source.sql, entity.rows))
                case Part():
                    yield own, source.present
                    yield from ((own, column) for sql in source.fields.values() for column in _in(sql, entity.rows))
                case Values():
                    yield from ((source.table.name, column) for column in (source.column, source.order, *source.on))
                case Many():
                    items = entities.of(entity.type.fields[name])
                    assert items.rows is not None
                    table = (source.table or items.rows.table).name
                    steps = (source.order or items.rows.order).split(", ")
                    yield from ((table, step.split(" ")[0]) for step in steps)
                    yield from ((table, column) for column in source.on)
                    yield from ((one.table.name, column) for one in source.through for column in (one.key, *one.on))
                    yield from ((table, one.name) for one in items.sources.values() if isinstance(one, Column))
                case _:
                    pass


def _in(sql: str, rows: Rows) -> list[str]:
    """The columns that a template names."""
    return [column for column in rows.table.columns if f"{{{column}}}" in sql]


def test_every_column_of_the_read_models_is_read() -> None:
    entities = Entities(the_schema())
    shown = set(_read(entities))
    # What is searched is found by `search`.
    searches = [entity.rows.search for entity in entities.by_name.values() if entity.rows and entity.rows.search]
    shown |= {(search.table.name, column) for search in searches for column in search.table.columns}
    every = {(table.name, column) for model in models for table in model.tables for column in table.columns}
    # A key by which lists of text are ordered stands for the text itself.
    assert every - shown - OURS == set()
    assert every >= OURS


def test_every_relation_leads_back() -> None:
    entities = Entities(the_schema())
    one_way: set[str] = set()
    for entity in entities.by_name.values():
        if entity.rows is None or entity.rows.counted is not None:
            continue
        for name, source in entity.sources.items():
            if isinstance(source, Relation):
                target = entities.of(entity.type.fields[name])
                back = [
                    other
                    for field, other in target.sources.items()
                    if isinstance(other, Many)
                    and entities.of(target.type.fields[field]) is entity
                    and other.on == {source.column: "id"}
                ]
                if not back:
                    one_way.add(f"{entity.type.name}.{name}")
    assert one_way == ONE_WAY
