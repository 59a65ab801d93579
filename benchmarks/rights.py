"""Rights: the same list of customers as an administrator asks for it, and as people ask who see a part of it."""

import re
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Protocol

import psycopg
import strawberry

from api.reading.sight import Sight
from api.schema import make_schema
from benchmarks import seen
from benchmarks.asking import FIRST_ONES, Asking
from benchmarks.growth import EVERYTHING, TIMES, Book, fill
from benchmarks.laboratory import Laboratory
from benchmarks.laboratory import laboratory as furnished
from benchmarks.people import ADMINISTRATOR, HIRED, MANAGER_OF_50, REP_OF_1, REP_OF_50, Person, entered
from benchmarks.questions import QUESTIONS, Question, Taken
from benchmarks.results import Figure, Goal, Section, shown
from benchmarks.server import serving, settings
from domain.access import Authority
from domain.kernel import parse_type_id
from domain.ready_roles import READY

ASKED = tuple(question for question in QUESTIONS if question.constant)
_GOAL = Goal(1.3, "at most")
_TURNS = 10
_MEMORY = 6
"""Kilobytes for each customer, as in `growth`; the rows are written twice."""

# One customer in a hundred is looked after by one rep, every second one by another, and by a manager's team.
_OWNERS = """
UPDATE daybook_read.customers SET
    owner_id = CASE WHEN right(id, 2) = '00' THEN {rep_of_1}
        WHEN right(id, 1) IN ('1', '3', '5', '7', '9') THEN {rep_of_50} ELSE owner_id END,
    team_id = CASE WHEN right(id, 1) IN ('1', '3', '5', '7', '9') THEN {team} ELSE team_id END;
UPDATE daybook_read.opportunities deal SET owner_id = customer.owner_id, team_id = customer.team_id
    FROM daybook_read.customers customer WHERE customer.id = deal.customer_id;
"""


class Asker(Protocol):
    """Somebody who asks, by whatever way."""

    taken: Taken

    def ask(self, question: Question, turn: int) -> None: ...


def run(laboratory: Laboratory) -> Section:
    size = laboratory.scale.sizes[-1]
    with furnished(laboratory.scale, megabytes=max(128, size * _MEMORY // 1000)) as place, place.database() as conninfo:
        environment = settings(place.folder / "rights", conninfo) | _AS_IN_PRODUCTION
        with (place.folder / "rights.log").open("wb") as log:
            place.say("rights: entering people")
            people = entered(environment, log)
            place.say(f"rights: filling {size:,} customers")
            fill(conninfo, size, _owners(people))
            with psycopg.connect(conninfo) as db:
                many = {who: seen.many(db, person) for who, person in people.items()}
            with serving(environment, log=log) as served:
                figures, over_http = _over_http(place, conninfo, served.port, people)
        by_the_reader = _by_the_reader(place, conninfo, people)
        return Section("Rights", figures, [over_http, _said(place, many), by_the_reader, _SAID_OF_THE_READER])


_AS_IN_PRODUCTION = {"DAYBOOK_ACCESS_LOG": "on", "DAYBOOK_ATTESTED_PER_SECOND": "0"}
"""But for attesting: it would find, in one row after the other, a customer that nobody has entered."""


def _owners(people: Mapping[str, Person]) -> bytes:
    owner, team = f"'{people[REP_OF_50].id}'", f"'{people[MANAGER_OF_50].team}'"
    return _OWNERS.format(rep_of_1=f"'{people[REP_OF_1].id}'", rep_of_50=owner, team=team).encode()


def _over_http(place: Laboratory, conninfo: str, port: int, people: Mapping[str, Person]) -> tuple[list[Figure], str]:
    with ExitStack() as stack:
        asking = {who: Asking(port, conninfo, place.scale.sizes[-1], person) for who, person in people.items()}
        for one in asking.values():
            stack.callback(one.close)
        _take_turns(place, "over HTTP", asking.values())
    figures = [
        Figure(f"{question.what}: p95 for {who}", _ratio(question, asking[who], asking[ADMINISTRATOR]), "x", _GOAL)
        for who in HIRED
        for question in ASKED
    ]
    return figures, _table("over HTTP", {who: _column(one) for who, one in asking.items()})


def _by_the_reader(place: Laboratory, conninfo: str, people: Mapping[str, Person]) -> str:
    schema, size = make_schema(), place.scale.sizes[-1]
    with ExitStack() as stack:
        books = {who: Book(conninfo, size, schema, _sight(who, person)) for who, person in people.items()}
        narrowing = _Narrowing(conninfo, size, schema, people[REP_OF_1])
        for book in (*books.values(), narrowing):
            stack.callback(book.close)
        administrator = books[ADMINISTRATOR]
        _take_turns(place, "by the reader alone", books.values())
        columns = {who: _column(book, None if who == ADMINISTRATOR else administrator) for who, book in books.items()}
        # In the rep's place, not beside it: neither may find in a cache what the other has just brought there.
        _take_turns(place, f"by the reader alone, {NARROWING}", {**books, REP_OF_1: narrowing}.values())
        columns[f"the customers of {REP_OF_1}, {NARROWING}"] = _column(narrowing, administrator, narrowing.pages)
    return _table("by the reader alone", columns)


NARROWING = "asked for by an administrator"


class _Narrowing(Book):
    """An administrator who is shown, by a filter, the pages that a rep is shown for want of rights."""

    pages: Collection[Question] = [page for page in ASKED if not re.search("where|search", page.arguments)]

    def __init__(self, conninfo: str, size: int, schema: strawberry.Schema, rep: Person) -> None:
        super().__init__(conninfo, size, schema)
        self._narrowed = {
            page.what: page._replace(
                arguments=", ".join(filter(None, (page.arguments, "where: {owner: {id: {eq: $id}}}"))),
                variables=lambda _size, _n: {"id": rep.id},
            )
            for page in self.pages
        }

    def ask(self, question: Question, turn: int) -> None:
        super().ask(self._narrowed.get(question.what, question), turn)


def _sight(who: str, person: Person) -> Sight:
    """What `daybook serve` goes by for who has this role."""
    if person.team is None:
        return EVERYTHING
    role, _ = HIRED[who]
    grants = {one.permission: one.scope for ready in READY if ready.name == role for one in ready.grants}
    (_, id), (_, team) = parse_type_id(person.id), parse_type_id(person.team)
    return Sight(Authority(actor="user", staff_member=id, teams=frozenset((team,)), grants=grants))


def _take_turns(place: Laboratory, how: str, askers: Collection[Asker]) -> None:
    for told in ("asking all of it once, unmeasured", "measuring"):
        place.say(f"rights: {how}: {told}")
        for asker in askers:
            asker.taken.clear()
        for turn in range(place.scale.rounds * _TURNS):
            for question in ASKED:
                for asker in askers:
                    asker.ask(question, turn)


def _ratio(question: Question, asker: Asker, administrator: Asker) -> float:
    return asker.taken.percentile(question, 95) / administrator.taken.percentile(question, 95)


def _column(asker: Asker, administrator: Asker | None = None, questions: Collection[Question] = ASKED) -> list[str]:
    """A cell for each question, with the ratio where an administrator is given."""
    cells = list[str]()
    for question in ASKED:
        if question not in questions:
            cells.append("")
            continue
        median, tail = (asker.taken.percentile(question, of) for of in (50, 95))
        ratio = f" ({shown(_ratio(question, asker, administrator), 'x')})" if administrator else ""
        cells.append(f"{median:.1f} / {tail:.1f}{ratio}")
    return cells


def _table(how: str, columns: Mapping[str, list[str]]) -> str:
    lines = [f"| p50 / p95 in ms, {how} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for question, *cells in zip(ASKED, *columns.values(), strict=True):
        lines.append(f"| {question.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _said(place: Laboratory, many: Mapping[str, int]) -> str:
    return (
        "The book of `growth` at its largest, written straight into the tables of the read models, with owners and"
        " teams. The people are real: an administrator has entered them over HTTP and granted them ready roles, they"
        " have set passwords and signed in, and each sends the cookie of a session of their own, the administrator too."
        " A rep sees what is their own or their team's, a manager what is the team's:"
        f" {'; '.join(f'{who}, {number:,} customers' for who, number in many.items())}. `daybook serve` runs with its"
        " access log, without limits, and without attesting, which would find one customer after the other that nobody"
        f" has entered. People take turns, {TIMES} requests each over a connection that stays open,"
        f" {place.scale.rounds * _TURNS * TIMES} of each question in all; times are from the sending to the last byte"
        f" of the answer. The first {FIRST_ONES} answers to each are compared with what plain SQL says that this person"
        " sees, and every one with the answer to the same request before. The first of a turn finds in the processor's"
        " caches what others have left there: p95 is about the median of these first ones. What somebody sees fewer of"
        " is often answered faster."
    )


_SAID_OF_THE_READER = (
    "Without a goal, the same questions below HTTP: compiled and read on one connection, with nobody to recognise, no"
    " limits, no log and nothing to send. Beside each is p95 against the administrator's. The last column is of no"
    " rights at all: in the place of the rep who owns 1 %, an administrator takes the turns and filters the pages by"
    " this owner, for the same customers, who lie apart."
)
