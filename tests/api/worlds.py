"""Two companies that differ only in what one of their people may not see: their histories, command by command.

Whom it is about is called A. Ids and idempotency keys are drawn beforehand, so both worlds have the same ones wherever
A could know them. What A does not see is told differently: other values, other commands and more or fewer of them,
records that are there in one of the worlds only. What is hidden of records that A sees has other values, but neither
appears nor disappears in one world only, and takes as many entries: their history shows that something was said. That
holds for all records where A follows the whole book.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from domain.access import Authority
from domain.catalogue import catalogue
from domain.kernel import COMPANY_ID, type_id
from domain.kernel.permissions import SCOPELESS, Permission, Scope
from domain.ready_roles import READY
from tests.api.attempts import Attempt
from tests.api.house import Differs, Step
from tests.api.seen import is_seen

EMAIL = "anna@house.example"
KINDS = {"customer": 6, "opportunity": 5, "ticket": 5}
"""Of each kind of record, about how many A sees; of as many that A does not see, half are there in one world only."""
GIVES_SIGHT = (Permission.MANAGE_ACCESS, Permission.MANAGE_STAFF, Permission.CONFIGURE)
"""Whoever has these can come to see more: by roles, teams, and whose team works on a queue. Half of the A's have them,
and leave alone what would show them more."""
READING = {"customer": Permission.READ_CUSTOMERS, "opportunity": Permission.READ_OPPORTUNITIES,
           "ticket": Permission.READ_TICKETS}  # fmt: skip


class Record(NamedTuple):
    """A record of the house's, and whether A sees it."""

    kind: str
    id: UUID
    place: Mapping[str, Any]
    seen: bool
    worlds: Sequence[int]


class History:
    """How the house begins, and what happens in it later on."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.grants = _grants(chance)
        self.ids: dict[str, list[str]] = {}
        """By the prefix of their ids: what A may name, rightly or not."""
        self.records: list[Record] = []
        self.left = set[UUID]()
        """Records that A saw once."""
        self._told = 0
        self.me, self.colleague, self.outsider = (self._new("staff_member") for _ in range(3))
        self.mine, self.other = self._new("team"), self._new("team")
        self.queues = self._new("queue"), self._new("queue")
        self.pipeline, self.product, self.role = self._new("pipeline"), self._new("product"), self._new("role")
        self.who = Authority(
            actor=f"user:{type_id('stf', self.me)}",
            staff_member=self.me,
            teams=frozenset((self.mine,)),
            queues=frozenset((self.queues[0],)),
            grants=self.grants,
        )
        self.begun = [*self._company(), *self._all_records()]
        """The steps that come before A does."""

    def gives_sight(self, attempt: Attempt) -> bool:
        """Whether A may see something else after it than A does now, or the house could not go on as it will."""
        kept = {type_id("stf", self.me), type_id("stf", self.outsider), type_id("tem", self.other)}
        if attempt.target in kept | {type_id("rol", self.role)}:
            return True
        return attempt.kind in ("team", "queue") and not {"parent", "lead", "team"}.isdisjoint(attempt.input)

    @property
    def targets(self) -> Mapping[str, list[str]]:
        """The records that A sees, by the prefix of their ids."""
        found = dict[str, list[str]]()
        for one in self.records:
            if one.seen:
                prefix = catalogue.prefixes[one.kind]
                found.setdefault(prefix, []).append(type_id(prefix, one.id))
        return found

    def hidden(self, world: int) -> list[Record]:
        return [one for one in self.records if not one.seen and world in one.worlds]

    @property
    def never_seen(self) -> list[Record]:
        return [one for one in self.records if not one.seen and one.id not in self.left]

    def next_seen(self) -> Step:
        """Something that happens to a record that A sees."""
        if self.chance.random() < 0.1:
            return self._step("product", "changePrice", self.product, **self._price())
        return self._further(self.chance.choice([one for one in self.records if one.seen]))

    def next_hidden(self, world: int) -> Iterator[Step]:
        """What happens in one of the worlds meanwhile, to records that A does not see: often nothing.

        Where A follows the whole book, it happens in both of them, for A is told that there was something.
        """
        hidden = self.hidden(world)
        for _ in range(self.chance.choice((0, 0, 1, 2)) if hidden else 0):
            step = self._further(self.chance.choice(hidden))
            yield step if self._book else step._replace(worlds=(world,))

    def leaving(self) -> Iterator[Step]:
        """Somebody else looks after a record from now on, so that A does not see it any longer."""
        for at, one in enumerate(self.records):
            if one.seen and one.kind != "ticket" and self.grants[READING[one.kind]] is not Scope.ALL:
                verb = "assignOwner" if one.kind == "customer" else "reassign"
                self.records[at] = one._replace(seen=False)
                self.left.add(one.id)
                yield Step(one.kind, verb, one.id, self._key(), {"owner": self.outsider, "team": self.other})
                return

    def _company(self) -> Iterator[Step]:
        told = self._step
        yield told("company", "define", COMPANY_ID, name="House", time_zone="Europe/Zurich", currency="EUR",
                   language="en", phone_region="CH")  # fmt: skip
        yield told("team", "create", self.mine, name="Mine")
        yield told("team", "create", self.other, name="Other")
        yield told("staff_member", "register", self.me, name="Anna", email=EMAIL, team=self.mine)
        yield told("staff_member", "register", self.colleague, name=self._text(self._person), team=self.mine)
        yield told("staff_member", "register", self.outsider, name=self._text(self._person), team=self.other)
        grants = [{"permission": name.value, "scope": scope.value} for name, scope in self.grants.items()]
        yield told("role", "define", self.role, name="A's", grants=grants)
        yield told("queue", "create", self.queues[0], name="First line", team=self.mine)
        yield told("queue", "create", self.queues[1], name="Second line", team=self.other)
        stages = [{"name": name, "probability": "20", "category": "pipeline"} for name in ("New", "Talking")]
        pipeline = told("pipeline", "define", self.pipeline, name="Sales", currency="EUR", stages=stages)
        self.ids["stg"] = [type_id("stg", pipeline.part(at)) for at in (1, 2)]
        yield pipeline
        yield told("product", "add", self.product, name="Engine", **self._price())
        yield told("product", "changePrice", self.product, **self._price())

    def _all_records(self) -> Iterator[Step]:
        for kind, many in KINDS.items():
            places = [self._place(kind) for _ in range(3 * many)]
            seen = [place for place in places if is_seen(self.who, kind, place)][:many]
            hidden = [place for place in places if not is_seen(self.who, kind, place)]
            both = many if self._book else many // 2  # the book tells that there are entries, so it has to have as many
            known, rest = hidden[:both], hidden[both:many]
            mine = {"assignee" if kind == "ticket" else "owner": self.me}
            if is_seen(self.who, kind, mine):
                seen = [mine, *seen]
            for place, is_seen_, worlds in (
                *((place, True, (0, 1)) for place in seen),
                *((place, False, (0, 1)) for place in known),
                *((place, False, (at % 2,)) for at, place in enumerate(rest)),
            ):
                record = Record(kind, self._new(kind), place, is_seen_, worlds)
                yield from self._begun(record)
                self.records.append(record)
        for record in self.records:
            for _ in range(1 if record.seen else 2):
                yield self._further(record)
                if not record.seen and not self._book:
                    yield self._further(record)._replace(worlds=(self.chance.choice(record.worlds),))

    def _place(self, kind: str) -> dict[str, Any]:
        staff, teams = (self.me, self.colleague, self.outsider, None), (self.mine, self.other, None)
        if kind == "ticket":
            return {"assignee": self.chance.choice(staff), "queue": self.chance.choice((*self.queues, None))}
        owner, team = self.chance.choice(staff), self.chance.choice(teams)
        if owner and not team:  # a new record that is given no team is its owner's team's
            team = self.other if owner == self.outsider else self.mine
        return {"owner": owner, "team": team}

    def _begun(self, record: Record) -> Iterator[Step]:
        """A record's first command. It may name records that A does not see, which are there in the same worlds."""
        person = self._person or not record.seen
        there = [one for one in self.records if one.kind == "customer" and set(record.worlds) <= set(one.worlds)]
        customer = self.chance.choice([*there, None])
        mark = [{"source": "house", "id": self._text(person)}]
        given: dict[str, Any] = dict(record.place)
        match record.kind:
            case "customer":
                kind = self.chance.choice(("person", "organisation"))
                point = {"kind": "email", "value": self._text(person, "{}@house.example")}
                named = self._text(person if kind == "person" else not record.seen)
                given |= {"kind": kind, "name": named, "contact_points": [point], "external_ids": mark}
                # Hidden ones have no parent: that a circle of parents is refused is a declared channel.
                given |= {"parent": customer.id if customer and record.seen else None}
                step = self._step("customer", "register", record.id, **given)
                self.ids.setdefault("cpt", []).append(type_id("cpt", step.part(1)))
            case "opportunity":
                given |= {"title": self._text(person), "pipeline": self.pipeline, "amount": self._money(record)}
                given |= {"currency": self._currency(record)}
                given |= {"customer": customer.id if customer else None, "external_ids": mark}
                step = self._step("opportunity", "open", record.id, **given)
            case _:
                given |= {"subject": self._text(person), "channel": "email", "text": self._text(person)}
                given |= {"customer": customer.id if customer else None, "external_ids": mark}
                step = self._step("ticket", "open", record.id, **given)
        yield step._replace(worlds=record.worlds)

    def _further(self, record: Record) -> Step:
        """Some other command on a record."""
        person = self._person or not record.seen
        word = self._text(person)
        verbs: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
            "customer": {
                "addNote": {"text": word},
                "addTag": {"tag": word},
                "classify": {"scheme": self._text(not record.seen), "value": "large"},
                "changeDetails": {"annual_revenue": self._money(record), "revenue_currency": self._currency(record)},
                "addContactPoint": {"contact_point": {"kind": "web", "value": self._text(person, "https://{}.example")}},
                "grantConsent": {"purpose": "news", "channel": "email", "basis": "contract", "proof": word},
            },
            "opportunity": {
                "rename": {"title": word},
                "changeAmount": {"amount": self._money(record), "currency": self._currency(record)},
                "addNote": {"text": word},
                "changeStage": {"stage": self.chance.choice(self.ids["stg"])},
            },
            "ticket": {
                "changeSubject": {"subject": word},
                "reply": {"text": word},
                "receiveReply": {"text": word},
                "changePriority": {"priority": self.chance.choice(("low", "high"))},
                "changeKind": {"kind": self.chance.choice(("incident", "problem"))},
                "addNote": {"text": word},
            },
        }  # fmt: skip
        links = [one for one in self.records if one.kind == "customer" and set(record.worlds) <= set(one.worlds)]
        if record.kind == "customer" and links and self.chance.random() < 0.25:
            # Refused where they are no organisation and no person.
            values: Mapping[str, Any] = {"person": self.chance.choice(links).id, "role": word}
            return self._step("customer", "linkContact", record.id, **values)._replace(worlds=record.worlds)
        verb = self.chance.choice([*verbs[record.kind]])
        return self._step(record.kind, verb, record.id, **verbs[record.kind][verb])._replace(worlds=record.worlds)

    def _step(self, kind: str, verb: str, id: UUID, /, **values: Any) -> Step:
        return Step(kind, verb, id, self._key(), values)

    @property
    def _book(self) -> bool:
        """Whether A follows the whole book: there are as many entries then, and what differs is what they say."""
        return Permission.READ_BOOK in self.grants

    @property
    def _person(self) -> bool:
        """Whether what tells of a person is hidden from A."""
        return Permission.SEE_PERSONAL_DATA not in self.grants

    def _text(self, differs: bool, form: str = "{}") -> Any:
        """A text that stands nowhere else; A never gives it: to guess what is hidden is a declared channel."""
        self._told += 1
        text = f"said{self._told}"
        return Differs((form.format(text), form.format(f"else{self._told}"))) if differs else form.format(text)

    def _money(self, record: Record | None) -> Any:
        self._told += 1
        amount = 1_000 + self._told
        return Differs((f"{amount}", f"{9_000 + amount}")) if self._unpriced(record) else f"{amount}"

    def _currency(self, record: Record | None) -> Any:
        return Differs(("GBP", "CHF")) if self._unpriced(record) else "EUR"  # as with texts, neither is ever guessed

    def _price(self) -> Mapping[str, Any]:
        """A list price: everybody sees the product."""
        return {"price": self._money(None), "currency": self._currency(None)}

    def _unpriced(self, record: Record | None) -> bool:
        """Whether a record's amounts are hidden from A, or, of no record, those of what everybody sees."""
        return Permission.SEE_AMOUNTS not in self.grants or (record is not None and not record.seen)

    def _new(self, kind: str) -> UUID:
        id = UUID(int=self.chance.getrandbits(128), version=4)
        prefix = catalogue.prefixes[kind]
        self.ids.setdefault(prefix, []).append(type_id(prefix, id))
        return id

    def _key(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)


def _grants(chance: Random) -> Mapping[Permission, Scope]:
    """Of a ready role, or random ones, with something to read; with what gives sight, or without."""
    manages = chance.random() < 0.5
    if chance.random() < 0.4:
        found = {one.permission: one.scope for one in chance.choice(READY).grants}
    else:
        found = {each: chance.choice(list(Scope)) for each in Permission if chance.random() < 0.75}
        if chance.random() < 0.5:
            found.pop(Permission.READ_BOOK, None)
    for permission in READING.values():
        found.setdefault(permission, chance.choice((Scope.OWN, Scope.TEAM)))
    found = {each: scope for each, scope in found.items() if each not in GIVES_SIGHT}
    if manages:
        found |= dict.fromkeys(GIVES_SIGHT, Scope.ALL)
        found |= {each: chance.choice((Scope.OWN, Scope.TEAM)) for each in READING.values()}
        for each, odds in ((Permission.READ_CUSTOMERS, 0.3), (Permission.READ_BOOK, 0.5)):
            if chance.random() < odds:
                found.pop(each, None)
    return {each: Scope.ALL if each in SCOPELESS else scope for each, scope in found.items()}
