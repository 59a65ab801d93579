"""Rights: the same list of customers as an administrator asks for it, and as people ask who see a part of it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from uuid import UUID

from api.reading.sight import Sight
from api.schema import make_schema
from benchmarks.growth import EVERYTHING, TIMES, Book, filled
from benchmarks.laboratory import Laboratory
from benchmarks.laboratory import laboratory as furnished
from benchmarks.questions import QUESTIONS, Question
from benchmarks.results import Figure, Goal, Section
from domain.access import Authority
from domain.ready_roles import READY
from projections.model import public_id

ONE_PER_CENT, HALF, MANAGER, TEAM, OTHER_TEAM = (UUID(int=2**127 + n) for n in range(5))
_TURNS = 10
_MEMORY = 6
"""Kilobytes for each customer, as in `growth`; the rows are written twice."""

# One customer in a hundred is looked after by one rep, every second one by another, and by a team.
_OWNERS = f"""
UPDATE daybook_read.customers SET
    owner_id = CASE WHEN right(id, 2) = '00' THEN '{public_id("staff_member", ONE_PER_CENT)}'
        WHEN right(id, 1) IN ('1', '3', '5', '7', '9') THEN '{public_id("staff_member", HALF)}' ELSE owner_id END,
    team_id = CASE WHEN right(id, 1) IN ('1', '3', '5', '7', '9') THEN '{public_id("team", TEAM)}' ELSE team_id END;
UPDATE daybook_read.opportunities deal SET owner_id = customer.owner_id, team_id = customer.team_id
    FROM daybook_read.customers customer WHERE customer.id = deal.customer_id;
"""


def run(laboratory: Laboratory) -> Section:
    size = laboratory.scale.sizes[-1]
    with furnished(laboratory.scale, megabytes=max(128, size * _MEMORY // 1000)) as place, ExitStack() as stack:
        place.say(f"rights: filling {size:,} customers")
        # Placeholders have a per cent sign, and so these may have none.
        conninfo = stack.enter_context(filled(place, size, _OWNERS.encode()))
        schema = make_schema()
        people = {who: Book(conninfo, size, schema, sight) for who, sight in _sights().items()}
        narrowing = _Narrowing(conninfo, size, schema)
        for book in (*people.values(), narrowing):
            stack.callback(book.close)
        _take_turns(place, people.values())
        figures, table = [*_figures(people)], _table(people)
        # In the rep's place, not beside it: neither may find in a cache what the other has just brought there.
        place.say(f"rights: the same customers, {NARROWING}")
        _take_turns(place, {**people, A_REP: narrowing}.values())
        return Section("Rights", [*figures, *_apart(people[ADMINISTRATOR], narrowing)], [table, _said(place)])


def _take_turns(place: Laboratory, books: Collection[Book]) -> None:
    for told in ("asking all of it once, unmeasured", "measuring"):
        place.say(f"rights: {told}")
        for book in books:
            book.taken.clear()
        for turn in range(place.scale.rounds * _TURNS):
            for question in ASKED:
                for book in books:
                    book.ask(question, turn)


ASKED = tuple(question for question in QUESTIONS if question.constant)
ADMINISTRATOR, A_REP = "an administrator", "a rep who owns 1 %"
NARROWING = "asked for by an administrator"


class _Narrowing(Book):
    """An administrator who is shown, by a filter, the pages that the rep who owns 1 % is shown for want of rights."""

    pages: Mapping[str, Question] = {
        page.what: page._replace(
            arguments=", ".join(filter(None, (page.arguments, "where: {owner: {id: {eq: $id}}}"))),
            variables=lambda _size, _n: {"id": public_id("staff_member", ONE_PER_CENT)},
        )
        for page in ASKED
        if "where" not in page.arguments and "search" not in page.arguments
    }

    def ask(self, question: Question, turn: int) -> None:
        super().ask(self.pages.get(question.what, question), turn)


def _sights() -> Mapping[str, Sight]:
    def of(role: str, person: UUID, *teams: UUID) -> Sight:
        grants = {one.permission: one.scope for ready in READY if ready.key == role for one in ready.grants}
        return Sight(Authority(actor="user", staff_member=person, teams=frozenset(teams), grants=grants))

    return {
        ADMINISTRATOR: EVERYTHING,
        A_REP: of("sales_rep", ONE_PER_CENT, OTHER_TEAM),
        "a rep who owns 50 %": of("sales_rep", HALF, OTHER_TEAM),
        "a manager whose team owns 50 %": of("sales_manager", MANAGER, TEAM),
    }


def _figures(people: Mapping[str, Book]) -> Iterator[Figure]:
    everything = people[ADMINISTRATOR]
    for who, book in people.items():
        if who != ADMINISTRATOR:
            for question in ASKED:
                ratio = book.percentile(question, 95) / everything.percentile(question, 95)
                yield Figure(f"{question.what}: p95 for {who}", ratio, "x", Goal(1.3, "at most"))


def _apart(everything: Book, narrowing: _Narrowing) -> Iterator[Figure]:
    """What it costs that a rep's customers lie apart, whoever asks for them."""
    for page in narrowing.pages.values():
        ratio = narrowing.percentile(page, 95) / everything.percentile(page, 95)
        yield Figure(f"{page.what}: p95 for the customers of {A_REP}, {NARROWING}", ratio, "x")


def _table(people: Mapping[str, Book]) -> str:
    lines = [f"| p50 / p95 in ms | {' | '.join(people)} |", "|---|" + "---:|" * len(people)]
    for question in ASKED:
        cells = (
            f"{book.percentile(question, 50):.1f} / {book.percentile(question, 95):.1f}" for book in people.values()
        )
        lines.append(f"| {question.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _said(place: Laboratory) -> str:
    return (
        "The book of `growth` at its largest, where a rep sees what is their own or their team's, and a manager what is"
        " the team's, of one team. Against the same request by an administrator, who sees everything; people take"
        f" turns, {TIMES} requests each, {place.scale.rounds * _TURNS * TIMES} of each question in all. The first of a"
        " turn finds in the processor's caches what others have left there: p95 is about the median of these first"
        " ones. What somebody sees fewer of is often answered faster. The last figures, without a goal, are of no"
        " rights at all: in the place of the rep who owns 1 %, an administrator takes the turns and filters the pages"
        " by this owner, for the same customers, who lie apart."
    )
