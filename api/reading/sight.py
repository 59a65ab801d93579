"""Sight: which rows and which columns of the read models somebody sees. The one place on the side of reading.

The compiler names tables through it alone, so rows that one may not see are not there for anything that a query can do:
lists, counts, totals, conditions, order, cursors, search, histories. A hidden column is empty in the same way.
`policies.py` says it for each table; what commands may do is `domain/access.py`.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from api.reading.entities import Entities, Entity, bound, columns_of, in_template
from api.reading.entries import hidden_fields as hidden_fields_of_entries
from api.reading.policies import (
    POLICIES,
    RECORDS,
    UNMASKED,
    Branch,
    Everybody,
    Mask,
    OfEntries,
    OfRecord,
    PartOf,
    Policy,
    Takes,
    Who,
    WithinRecord,
)
from api.reading.sources import Many, Part, Totals, Values
from api.reading.statement import Cells, Statement
from domain.access import Authority
from domain.kernel.permissions import Permission, Scope
from projections.model import Table, public_id, public_id_or_none

RowSource: TypeAlias = Callable[[Table], str]
"""From a table to what stands in FROM for it: the present, a past moment, a model that is being rebuilt."""

MOST_BRANCHES = 4
"""Teams, or queues, that each get a part of a list of their own; more of them are looked up together."""


class Sight:
    """What an authority sees."""

    def __init__(self, authority: Authority, unmasked: UUID | None = None) -> None:
        """`unmasked`: the customer whose personal data is shown, though others' is hidden."""
        self._authority, self._grants = authority, authority.grants
        self.personal = Permission.SEE_PERSONAL_DATA in authority.grants
        self.amounts = Permission.SEE_AMOUNTS in authority.grants
        self.values: Mapping[str, Any] = {
            Who.ME.value: public_id_or_none("staff_member", authority.staff_member),
            Who.TEAMS.value: sorted(public_id("team", team) for team in authority.teams),
            Who.QUEUES.value: sorted(public_id("queue", queue) for queue in authority.queues),
        }
        """What its statements take beside a query's variables."""
        self._unmasks = unmasked is not None and not self.personal
        if unmasked is not None:
            self.values = {**self.values, UNMASKED: public_id("customer", unmasked)}
        several = (len(self.values[each.value]) for each in (Who.TEAMS, Who.QUEUES))
        grants = tuple(sorted((permission.name, scope.name) for permission, scope in authority.grants.items()))
        self.plan_key = repr((grants, self._unmasks, *(min(many, MOST_BRANCHES + 1) for many in several)))
        """Those of the same key share their plans. A text: its hash is worked out once."""
        self.key: Hashable = (grants, *(tuple(each or ()) for each in self.values.values()))
        """Those of the same key see the same."""

    def rows(self, table: Table, source: RowSource, today: RowSource, statement: Statement) -> str:
        """SQL for FROM: the rows of a table that are seen, with the columns that are seen; `source` gives all of it.

        Whether they are is for the rows of `today` to say, also where those of a past moment are asked for.
        """
        policy, everything = POLICIES[table.name], source(table)
        columns = self._columns(table, policy, statement)
        if self.sees_nothing(table):
            return f"(select {columns} from {everything} seen where false)"
        branches = self._branches(policy, today, statement)
        if branches and source is not today and isinstance(policy.rows, OfRecord):
            branches = [self._there(table, "id", today, statement)]
        if not branches:
            return everything if columns == "*" else f"(select {columns} from {everything} seen)"
        return f"(select {columns} from {everything} seen where {' or '.join(branches)})"

    def parts(self, table: Table, source: RowSource, today: RowSource, statement: Statement) -> Sequence[str]:
        """The same in parts that have no row in common, one for each reason to see a row.

        An index reads each of them in a list's order; all at once would have to be sorted, or looked through.
        """
        policy = POLICIES[table.name]
        branches = () if self.sees_nothing(table) else self._branches(policy, today, statement)
        if len(branches) < 2 or source is not today:
            return [self.rows(table, source, today, statement)]
        return list(_each(self._columns(table, policy, statement), source(table), branches))

    def unmasking(self, customer: UUID) -> "Sight":
        """The same, but for this customer's personal data: of the record and its parts, and of what happened to it."""
        return Sight(self._authority, customer)

    def cells(self, alias: str, statement: Statement) -> Cells:
        """What the conditions of masks name of a row."""
        return Cells(alias, **({UNMASKED: statement.of_caller(UNMASKED, "text")} if self._unmasks else {}))

    @property
    def hidden_fields(self) -> Mapping[str, Sequence[str]]:
        """By the stored name of an event: its fields that are hidden."""
        return hidden_fields_of_entries(personal=self.personal, amounts=self.amounts)

    def has(self, permission: Permission) -> bool:
        return permission in self._grants

    def sees_records(self, kind: str) -> bool | None:
        """Whether what happens to the records of a kind is told to whoever follows the book; None: their rows say.

        That there are entries of all the others is told too, and so is all of an API token's.
        """
        if kind not in RECORDS or not self.limits(RECORDS[kind]):
            return True
        return False if self.sees_nothing(RECORDS[kind]) else None

    @property
    def by_rows(self) -> bool:
        """Whether there is a kind of records of which rows say which are seen."""
        return any(self.sees_records(kind) is None for kind in RECORDS)

    def hidden(self, table: Table) -> Mapping[str, Mask]:
        """The columns of a table that are hidden, in all rows or in some."""
        policy = POLICIES[table.name]
        found: dict[str, Mask] = {}
        if not self.personal:
            found.update(policy.personal)
            if self._unmasks_some(policy):
                found = {column: mask.unless_also(policy.of_unmasked) for column, mask in found.items()}
        if not self.amounts:
            found.update(policy.amounts)
        return found

    def sees_nothing(self, table: Table) -> bool:
        """Whether all of a table is hidden, whatever stands in it."""
        policy = POLICIES[table.name]
        hidden = policy.all_personal and not self.personal and not self._unmasks_some(policy)
        match policy.rows:
            case Takes(permission=permission):
                return hidden or permission not in self._grants
            case OfRecord(permission=permission):
                return hidden or permission not in self._grants
            case PartOf(record=record):
                return hidden or self.sees_nothing(record)
            case _:
                return hidden or not self._grants

    def unmasks_rows(self, table: Table) -> bool:
        """Whether all of a table is hidden but the rows of the customer who is unmasked."""
        policy = POLICIES[table.name]
        return policy.all_personal and self._unmasks_some(policy)

    def _unmasks_some(self, policy: Policy) -> bool:
        return self._unmasks and policy.customer is not None

    def _columns(self, table: Table, policy: Policy, statement: Statement) -> str:
        hidden, seen = self.hidden(table), self.cells("seen", statement)
        if policy.columns is not None:
            unmasked = policy.of_unmasked.format_map(seen) if self._unmasks_some(policy) else None
            return policy.columns(personal=self.personal, amounts=self.amounts, unmasked=unmasked)
        if not hidden:
            return "*"
        return ", ".join(
            f'{hidden[column].sql(column, of, seen)} as "{column}"' if column in hidden else f'seen."{column}"'
            for column, of in table.columns.items()
        )

    def _branches(self, policy: Policy, today: RowSource, statement: Statement) -> Sequence[str]:
        """Conditions of which a row that is seen meets one at least; none at all: every row is seen."""
        match policy.rows:
            case WithinRecord() if policy.all_personal and self._unmasks_some(policy):
                return [policy.of_unmasked.format_map(self.cells("seen", statement))]
            case Everybody() | WithinRecord() | Takes():
                return []
            case OfRecord(permission=permission, branches=branches):
                scope = self._grants[permission]
                if scope is Scope.ALL:
                    return []
                reached = (each for each in branches if each.scope.rank <= scope.rank)
                return [condition for each in reached for condition in self._conditions(each, statement)]
            case PartOf(column=column, record=record):
                return [self._there(record, column, today, statement)] if self.limits(record) else []
            case OfEntries(records=records):
                return self._of_entries(records, today, statement)

    def _conditions(self, branch: Branch, statement: Statement) -> Iterator[str]:
        column = f'seen."{branch.column}"'
        if branch.who is Who.ME:
            yield f"{column} = {_taken(statement, Who.ME, 'text')}"
            return
        ids, many = _taken(statement, branch.who, "text[]"), len(self.values[branch.who.value])
        if many > MOST_BRANCHES:
            yield f"{column} = any({ids})"
        else:
            yield from (f"{column} = ({ids})[{at}]" for at in range(1, many + 1))

    def _of_entries(self, records: Mapping[str, Table], today: RowSource, statement: Statement) -> Sequence[str]:
        limited = {kind: table for kind, table in records.items() if self.limits(table)}
        if not limited:
            return []
        others = ", ".join(f"'{kind}'" for kind in limited)
        conditions = [f'seen."aggregate_kind" not in ({others})']
        for kind, table in limited.items():
            there = self._there(table, "aggregate_id", today, statement)
            conditions.append(f"seen.\"aggregate_kind\" = '{kind}' and {there}")
        return [f"({' or '.join(f'({each})' for each in conditions)})"]

    def _there(self, record: Table, column: str, today: RowSource, statement: Statement) -> str:
        """The condition that the record which a column names is seen."""
        rows = self.rows(record, today, today, statement)
        return f'exists (select from {rows} record where record."id" = seen."{column}")'

    def limits(self, table: Table) -> bool:
        """Whether there may be rows of a table that are not seen."""
        rows = POLICIES[table.name].rows
        return isinstance(rows, OfRecord | Takes) and self._grants.get(rows.permission) is not Scope.ALL


def hidden_fields(entities: Entities, entity: Entity, sight: Sight, table: Table) -> Iterator[tuple[str, str | None]]:
    """The fields of a type that are hidden in rows of this table, each with a condition under which it is not."""
    if entity.rows is not None and entity.rows.counted is not None:
        yield from ((name, None) for name in hidden_figures(entities, entity, sight))
        return
    hidden = sight.hidden(table)
    for name, source in entity.sources.items():
        if isinstance(source, Many | Values | Totals):
            own = source.table if isinstance(source, Many | Values) else None
            of = own or bound(entities.of(entity.type.fields[name])).table
            if sight.sees_nothing(of):
                yield name, None
            elif sight.unmasks_rows(of):
                yield name, POLICIES[table.name].of_unmasked
        elif isinstance(source, Part) and source.present not in hidden:
            for inner, template in source.fields.items():
                for column in in_template(template):
                    if column in hidden:
                        yield f"{name}.{inner}", hidden[column].unless
        elif masks := [hidden[column] for column in columns_of(source) if column in hidden]:
            yield name, masks[0].unless


def hidden_figures(entities: Entities, entity: Entity, sight: Sight) -> Iterator[str]:
    """The fields of a type of totals that are hidden: what they read is, in the rows counted or in their parts."""
    hidden = set(sight.hidden(bound(entities.counted(entity)).table))
    for grain in bound(entity).finer:
        of_persons = sight.sees_nothing(grain.table) or sight.unmasks_rows(grain.table)
        columns = grain.table.columns if of_persons else sight.hidden(grain.table)
        hidden.update(f"{grain.name}.{column}" for column in columns)
    yield from (name for name, source in entity.sources.items() if hidden.intersection(columns_of(source)))


_MADE: OrderedDict[int, tuple[Authority, Sight]] = OrderedDict()
_MOST_MADE = 1_000


def sight_of(authority: Authority) -> Sight:
    """What an authority sees, remembered for as long as many ask: the same object asks again and again."""
    made = _MADE.get(id(authority))
    if made is None:
        made = _MADE[id(authority)] = authority, Sight(authority)  # kept with it, so that its id stays its own
        if len(_MADE) > _MOST_MADE:
            _MADE.popitem(last=False)
    return made[1]


def _each(columns: str, source: str, branches: Sequence[str]) -> Iterator[str]:
    """A select for each condition, without what those before it have brought."""
    for at, condition in enumerate(branches):
        others = "".join(f" and ({other}) is not true" for other in branches[:at])
        yield f"(select {columns} from {source} seen where {condition}{others})"


def _taken(statement: Statement, who: Who, of: str) -> str:
    return statement.of_caller(who.value, of)
