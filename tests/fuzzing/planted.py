"""A book in which every word can be told from every other, and who may read which: by what docs/operator/roles.md says.

Each word stands in one field of one record. Records stand in the team of everybody who asks, or elsewhere, and those in
the team name those elsewhere: a way in that a condition on rows must not leave open.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

import httpx

from tests.api.identity.role_document import READ_BY, ROLES, Matrix, documented, reaches
from tests.api.identity.signing_in import signed_in
from tests.api.listening import Operator

Nature: TypeAlias = Literal["personal", "amount", "plain"]
NEEDED: Mapping[Nature, str | None] = {
    "personal": "SEE_PERSONAL_DATA",
    "amount": "SEE_AMOUNTS",
    "plain": None,
}


class Secret(NamedTuple):
    """A word that stands nowhere else."""

    word: str
    kind: str
    """Of the record that it stands in."""
    place: str
    """Where that stands: `team` and `queue` are those of everybody who asks."""
    nature: Nature

    def readable(self, matrix: Matrix, role: str) -> bool:
        if self.kind in READ_BY and not reaches(matrix, role, READ_BY[self.kind], self.place):
            return False
        if self.kind == "api_token" and not matrix.scopes["MANAGE_ACCESS"][role]:
            return False
        return self.in_clear(matrix, role)

    def in_clear(self, matrix: Matrix, role: str) -> bool:
        """Whether the field is not hidden, where the record is seen."""
        needed = NEEDED[self.nature]
        return needed is None or bool(matrix.scopes[needed][role])


class Book:
    """What was planted, and who asks."""

    def __init__(self, operator: Operator) -> None:
        self.secrets: list[Secret] = []
        self.people: dict[str, httpx.Client] = {}
        """By role, with a session of somebody who has it."""
        self.actors: dict[str, str] = {}
        """By role, as entries name them."""
        self._operator = operator

    def hidden_from(self, role: str) -> set[str]:
        matrix = documented()
        return {secret.word for secret in self.secrets if not secret.readable(matrix, role)}

    def in_clear_to(self, role: str) -> set[str]:
        """What somebody who sees every entry is told."""
        matrix = documented()
        return {secret.word for secret in self.secrets if secret.in_clear(matrix, role)}

    def make(self, mutation: str, noun: str, /, **given: Any) -> str:
        """The id of the record that it is about."""
        found: str = self._operator.mutate(mutation, f"{noun} {{ id }} userErrors {{ code path }}", **given)[noun]["id"]
        return found

    def plant(self, kind: str, place: str, nature: Nature = "personal") -> str:
        """A new word to put into a record: for an amount, a number."""
        at = len(self.secrets)
        word = f"7{at:03}518.37" if nature == "amount" else f"zq{at:03}vx{kind[:2]}"
        self.secrets.append(Secret(word, kind, place, nature))
        return word

    def last_position(self) -> str:
        found: str = self._operator.post("{ history(last: 1) { nodes { position } } }")["history"]["nodes"][0][
            "position"
        ]
        return found

    def acted(self) -> set[str]:
        """The roles of whoever has made an entry."""
        query = "query($actor: String!) { history(first: 1, where: { actor: { eq: $actor } }) { nodes { position } } }"
        asked = {role: self._operator.post(query, {"actor": actor}) for role, actor in self.actors.items()}
        return {role for role, answer in asked.items() if answer["history"]["nodes"]}

    def roles(self) -> Mapping[str, str]:
        found = self._operator.post("{ roles(first: 20) { nodes { id name } } }")["roles"]["nodes"]
        return {one["name"]: one["id"] for one in found}


@contextmanager
def planted(operator: Operator) -> Iterator[Book]:
    """A book with a record of each kind in each place, and somebody of each role."""
    book = Book(operator)
    team = book.make("teamCreate", "team", name="West", externalIds=[_mark(book.plant("team", "everywhere"))])
    queue = book.make("queueCreate", "queue", name="First line", team=team)
    outsider = book.make(
        "staffMemberRegister",
        "staffMember",
        name=book.plant("staff_member", "everywhere"),
        email=f"{book.plant('staff_member', 'everywhere')}@acme.example",
        externalIds=[_mark(book.plant("staff_member", "everywhere"))],
    )
    stages = [{"name": "New", "probability": "10", "category": "PIPELINE"}]
    common = {
        "pipeline": book.make("pipelineDefine", "pipeline", name="Sales", stages=stages),
        "product": book.make("productAdd", "product", name="Engine"),
    }
    book.make("companyDefine", "company", name="We", timeZone="Europe/Zurich", currency="EUR", language="en",
              phoneRegion="CH")  # fmt: skip
    book.make("apiTokenIssue", "apiToken", name=book.plant("api_token", "everywhere"),
              grants=[{"permission": "READ_CUSTOMERS", "scope": "ALL"}],
              expiresAt=(datetime.now(UTC) + timedelta(days=30)).isoformat())  # fmt: skip
    far = _records(book, "elsewhere", "elsewhere", common, {"owner": outsider}, {"assignee": outsider}, {})
    _records(book, "team", "queue", common, {"owner": outsider, "team": team}, {"queue": queue}, far)
    roles = book.roles()
    with ExitStack() as stack:
        for role in ROLES:
            email = f"{role.replace(' ', '.').lower()}@acme.example"
            id = book.make("staffMemberRegister", "staffMember", name=role, email=email, team=team)
            book.make("staffMemberGrantRole", "staffMember", id=id, role=roles[role])
            book.people[role] = stack.enter_context(signed_in(operator, id, email))
            book.actors[role] = f"user:{id}"
        yield book


def _records(
    book: Book,
    place: str,
    of_tickets: str,
    common: Mapping[str, str],
    looked_after: Mapping[str, str],
    worked_on: Mapping[str, str],
    others: Mapping[str, str],
) -> dict[str, str]:
    """Records of each kind in a place, full of secrets; `others`: records that they are to name."""

    def of_customer(nature: Nature = "personal") -> str:
        return book.plant("customer", place, nature)

    def of_deal(nature: Nature = "personal") -> str:
        return book.plant("opportunity", place, nature)

    def of_ticket() -> str:
        return book.plant("ticket", of_tickets)

    points = [{"kind": "EMAIL", "value": f"{of_customer()}@acme.example", "label": of_customer()}]
    person = book.make("customerRegister", "customer", kind="PERSON", name=of_customer(), contactPoints=points,
                       externalIds=[_mark(of_customer())], reason=of_customer(), **looked_after)  # fmt: skip
    firm = book.make("customerRegister", "customer", kind="ORGANISATION", name=of_customer("plain"),
                     **looked_after, **_named(parent=others.get("firm")))  # fmt: skip
    book.make("customerChangeDetails", "customer", id=person, salutation=of_customer(), jobTitle=of_customer(),
              description=of_customer())  # fmt: skip
    book.make("customerChangeDetails", "customer", id=firm, annualRevenue=of_customer("amount"), revenueCurrency="EUR")
    book.make("customerAddNote", "customer", id=person, text=of_customer())
    book.make("customerAddTag", "customer", id=person, tag=of_customer())
    book.make("customerGrantConsent", "customer", id=person, purpose="news", channel="EMAIL", basis="CONSENT",
              proof=of_customer())  # fmt: skip
    book.make("customerLinkContact", "customer", id=firm, person=others.get("person", person), role=of_customer())

    deal = book.make("opportunityOpen", "opportunity", title=of_deal(), amount=of_deal("amount"), currency="EUR",
                     source=of_deal(), campaign=of_deal(), pipeline=common["pipeline"],
                     externalIds=[_mark(of_deal())], customer=others.get("person", person), **looked_after)  # fmt: skip
    book.make("opportunityAddNote", "opportunity", id=deal, text=of_deal())
    lines = [{"product": common["product"], "price": of_deal("amount")}]
    lost = book.make("opportunityOpen", "opportunity", title=of_deal(), pipeline=common["pipeline"], currency="EUR",
                     lines=lines, **looked_after)  # fmt: skip
    book.make("opportunityLose", "opportunity", id=lost, reason="PRICE", competitor=of_deal(), note=of_deal())

    ticket = book.make("ticketOpen", "ticket", subject=of_ticket(), text=of_ticket(), channel="EMAIL",
                       externalIds=[_mark(of_ticket())], customer=others.get("person", person),
                       **worked_on, **_named(follows=others.get("ticket")))  # fmt: skip
    book.make("ticketAddNote", "ticket", id=ticket, text=of_ticket())
    book.make("ticketReply", "ticket", id=ticket, text=of_ticket())
    book.make("ticketSolve", "ticket", id=ticket, code="FIXED", note=of_ticket())
    return {"person": person, "firm": firm, "ticket": ticket}


def _mark(word: str) -> dict[str, str]:
    return {"source": "old", "id": word}


def _named(**ids: str | None) -> dict[str, str]:
    return {name: id for name, id in ids.items() if id is not None}


_ENCODED = re.compile(r"[A-Za-z0-9_-]{16,}")


def found_in(answer: str, words: Iterable[str]) -> set[str]:
    """The words that stand in an answer, in plain or in a cursor."""
    decoded = (base64.urlsafe_b64decode(one[: len(one) // 4 * 4]).decode("latin-1") for one in _ENCODED.findall(answer))
    text = "\n".join([answer, *decoded]).casefold()
    return {word for word in words if word in text}
